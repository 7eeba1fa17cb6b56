"""Which properties of a graph go with the quality of the network wired like it."""

import numpy as np
import pandas as pd
from scipy import stats

from espalier.graphs import DIRECTED, STUDY

COLUMNS = (
    "property", "family", "pearson", "low", "high", "spearman", "p_adjusted", "spearman_low", "spearman_high", "p", "n",
)  # fmt: skip


def correlations(frame, column="test_acc"):
    """Correlation of every property with the quality of the networks, `column`, over all graphs (family `all`) and within
    each family.

    frame: the columns `STUDY` (and `DIRECTED`, as far as they are there), `graph` (the family) and `column`.
    Returns a DataFrame with `COLUMNS`: Pearson's r with its 95 % interval (Fisher's z), Spearman's rho with its own (Bonett
    and Wright 2000), the two-sided p of r, and `p_adjusted`, corrected for the number of properties within the family
    (Holm 1979). NaN where a property or the quality does not vary, or where there are fewer than four graphs.
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
        names = ("pearson", "low", "high", "spearman", "spearman_low", "spearman_high", "p")
        return {**dict.fromkeys(names, nan), "n": n}
    pearson, p = stats.pearsonr(x, y)
    spearman = stats.spearmanr(x, y).statistic
    low, high = interval(pearson, 1 / np.sqrt(n - 3))
    spearman_low, spearman_high = interval(spearman, np.sqrt((1 + spearman**2 / 2) / (n - 3)))
    return {
        "pearson": pearson, "low": low, "high": high, "spearman": spearman, "spearman_low": spearman_low,
        "spearman_high": spearman_high, "p": p, "n": n,
    }  # fmt: skip


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
