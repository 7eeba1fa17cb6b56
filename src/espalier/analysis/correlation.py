"""Which properties of a graph go with the quality of the network wired like it."""

import numpy as np
import pandas as pd
from scipy import stats

from espalier.graphs import DIRECTED, STUDY

COLUMNS = (
    "property", "family", "pearson", "low", "high", "spearman", "p_adjusted", "spearman_low", "spearman_high", "p", "n",
    "without_one",
)  # fmt: skip


def correlations(frame, column="test_acc"):
    """Correlation of every property with the quality of the networks, `column`, over all graphs (family `all`) and within
    each family.

    frame: the columns `STUDY` (and `DIRECTED`, as far as they are there), `graph` (the family) and `column`.
    Returns a DataFrame with `COLUMNS`: Pearson's r with its 95 % interval (Fisher's z), Spearman's rho with its own (Bonett
    and Wright 2000), the two-sided p of r, `p_adjusted`, corrected for the number of properties within the family (Holm 1979),
    and `without_one`, r without the one graph that moves it most. NaN where a property or the quality does not vary, or where
    there are fewer than four graphs.
    """
    known = [name for name in (*STUDY, *DIRECTED) if name in frame]
    families = ["all", *(dict.fromkeys(frame["graph"]) if frame["graph"].nunique() > 1 else ())]
    parts = []
    for family in families:
        own = frame if family == "all" else frame[frame["graph"] == family]
        rows = [{"property": name, "family": family, **one(own[name], own[column])} for name in known]
        part = pd.DataFrame(rows)
        parts.append(part.assign(p_adjusted=holm(part["p"].to_numpy())))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def one(x, y):
    """The numbers of one pair of columns, see `correlations`."""
    n, nan = len(x), np.nan
    if n < 4 or x.nunique() == 1 or y.nunique() == 1:
        names = ("pearson", "low", "high", "spearman", "spearman_low", "spearman_high", "p", "without_one")
        return {**dict.fromkeys(names, nan), "n": n}
    pearson, p = stats.pearsonr(x, y)
    spearman = stats.spearmanr(x, y).statistic
    low, high = interval(pearson, 1 / np.sqrt(n - 3))
    spearman_low, spearman_high = interval(spearman, np.sqrt((1 + spearman**2 / 2) / (n - 3)))
    return {
        "pearson": pearson, "low": low, "high": high, "spearman": spearman, "spearman_low": spearman_low,
        "spearman_high": spearman_high, "p": p, "n": n,
        "without_one": without_one(x.to_numpy(float), y.to_numpy(float), pearson),
    }  # fmt: skip


def without_one(x, y, r):
    """Pearson's r without the one point that moves it most; NaN where what is left does not vary."""
    n = len(x)
    left = np.full(n, np.nan)
    # Sums without point k are the sums less its own terms; centred first, so that nothing large cancels.
    x, y = x - x.mean(), y - y.mean()
    sums = [values.sum() - values for values in (x, y, x * x, y * y, x * y)]
    sum_x, sum_y, squares_x, squares_y, products = sums
    spread = (squares_x - sum_x**2 / (n - 1)) * (squares_y - sum_y**2 / (n - 1))
    varies = spread > 1e-12 * ((x * x).sum() * (y * y).sum())
    left[varies] = (products - sum_x * sum_y / (n - 1))[varies] / np.sqrt(spread[varies])
    if not varies.all():
        return np.nan
    return left[np.abs(left - r).argmax()]


def carried(row):
    """Whether a correlation, a row of `correlations`, hangs on one graph: without it, it is less than half as strong, or of the
    other sign, or there is nothing left that varies.
    """
    if np.isnan(row["pearson"]) or "without_one" not in row:
        return False
    return not row["without_one"] * np.sign(row["pearson"]) >= abs(row["pearson"]) / 2


def interval(r, error):
    """95 % interval of a correlation whose arc tangent has this standard error."""
    centre = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    half = stats.norm.ppf(0.975) * error
    return np.tanh(centre - half), np.tanh(centre + half)


def holm(p):
    """Holm's step-down correction of p values; NaN are passed over and not counted."""
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
