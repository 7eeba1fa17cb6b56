"""Methods held against each other: scores, scopes, schedules and whatever else a sweep varies, at equal numbers of weights left
and by the epochs that each of them spent.
"""

import math

import matplotlib
import numpy as np

from espalier.analysis.drawing import STYLE, entitle, fit, grid, head, interval, legend, repeated, repetitions, save, styles
from espalier.analysis.page import Table, number
from espalier.analysis.tables import NAMES, in_words, of_series, plural, series, titled


def groups(summary):
    """[(keys of the methods of one cell and target)], of those that have several; none where runs of before do not say what
    they spent.
    """
    if "spent" not in summary or summary["spent"].isna().any():
        return []
    keys, found = series(summary), {}
    for key in keys:
        found.setdefault(key[:2], []).append(key)
    return [own for own in found.values() if len(own) > 1]


def name(key, keys):
    """A method in words: what tells it from the others."""
    return titled(key, keys, 2).replace("schedule.name=", "").replace("schedule.", "")


def levels(summary, keys):
    """The levels that all methods came to, ascending."""
    return sorted(set.intersection(*(set(of_series(summary, key)["percent"]) for key in keys)))


def ranks(summary, keys, percent, metric, what="best"):
    """Ranks of the methods at a level by the test value of their best epoch, or right after the `cut`, 1 the best, of equals
    the mean: an array of seeds x methods; and the values likewise. Seeds that not all methods have are left out.
    """
    column = f"{what}_test_{metric.name}"
    frames = [of_series(summary, key) for key in keys]
    frames = [frame[frame["percent"] == percent].set_index("seed")[column] for frame in frames]
    seeds = sorted(set.intersection(*(set(frame.index) for frame in frames)))
    values = np.array([[frame[seed] for frame in frames] for seed in seeds], dtype=float).reshape(len(seeds), len(keys))
    better = metric.better(values)
    above = (better[:, None, :] > better[:, :, None]).sum(2)
    equal = (better[:, None, :] == better[:, :, None]).sum(2)
    return 1 + above + (equal - 1) / 2, values


def compare(summary, metric):
    """(sentences, a `Table` of a row per method and level) of all cells and targets that have several methods."""
    told, rows = [], []
    for keys in groups(summary):
        names = [name(key, keys) for key in keys]
        for percent in levels(summary, keys):
            placed, values = ranks(summary, keys, percent, metric)
            if not len(placed):
                continue
            order = np.argsort(placed.mean(0), kind="stable")
            cells = [of_series(summary, key) for key in keys]
            cells = [cell[cell["percent"] == percent] for cell in cells]
            spent = [float(cell["spent"].mean()) for cell in cells]
            for k in order:
                rows.append([
                    NAMES.get(keys[k][0], keys[k][0]), keys[k][1], f"{percent:g} %", f"{int(cells[k]['kept'].iloc[0]):,}",
                    names[k], _ranked(placed[:, k]), number(values[:, k]), f"{spent[k]:.1f}",
                ])  # fmt: skip
            if percent == levels(summary, keys)[-1] or percent == 90:
                told.append(_sentence(keys, names, percent, placed, values, spent, order, metric))
    columns = ["cell", "target", "removed", "weights left", "method", "rank", f"test {metric.label}", "epochs spent"]
    return told, Table(columns, rows, 2)


def _ranked(places):
    half = interval(places)
    return f"{places.mean():.1f}" + ("" if math.isnan(half) else f" ± {half:.1f}")


def listed(names):
    """`a`, `a and b`, `a; b and c`: names hold commas."""
    return names[0] if len(names) == 1 else f"{'; '.join(names[:-1])} and {names[-1]}"


def ends(values, told):
    """What a value is in words, or the smallest and the largest."""
    low, high = told(min(values)), told(max(values))
    return low if low == high else f"{low} to {high}"


def _sentence(keys, names, percent, placed, values, spent, order, metric):
    first, cheap = order[0], min(spent)
    tied = [k for k in order if placed[:, k].mean() == placed[:, first].mean()]
    level = listed([names[k] for k in tied])
    ahead = f"ahead is {level}" if len(tied) == 1 else f"{level} are level"
    reached = ends([values[:, k].mean() for k in tied], "{:.4f}".format)
    epochs = ends([round(spent[k], 1) for k in tied], plural)
    told = (
        f"{_titled(keys)}, {percent:g} % removed: {ahead} (test {metric.label} {reached}, mean rank "
        f"{placed[:, first].mean():.1f} of {len(keys)}, {epochs} of retraining)"
    )
    frugal = [k for k in order if spent[k] <= cheap + 1e-9]
    if not set(frugal) & set(tied):
        best = [k for k in frugal if values[:, k].mean() == values[:, frugal[0]].mean()]
        told += f"; of those that spent the fewest, {plural(round(cheap, 1))}, {listed([names[k] for k in best])}"
        told += f" ({values[:, best[0]].mean():.4f})"
    seeds = len(values)
    return told + f"; n = {seeds} seed{'s' * (seeds != 1)}."


@matplotlib.rc_context(STYLE)
def draw(folder, summary, results, metric):
    """`methods`: what judges on test against the share of weights left, and, at the highest level that all came to, against
    the epochs spent; a row per cell and target. Nothing where there are no several methods.
    """
    found = groups(summary)
    if not found:
        return
    figure, axes = grid(2 * len(found), 5.4, 3.5, columns=2)
    looks = styles(name(key, keys) for keys in found for key in keys)
    for left, right, keys in zip(axes[::2], axes[1::2], found):
        highest = (levels(summary, keys) or [None])[-1]
        for key in keys:
            look = looks[name(key, keys)] | {"label": name(key, keys)}
            own = of_series(summary, key)
            own = own.assign(left=100 * own["kept"] / own["total"])
            own = own[own["left"] > 0]
            repetitions(left, own, "left", f"best_test_{metric.name}", metric, **look)
            if highest is not None:
                _by_epochs(right, own, of_series(results, key), highest, metric, look)
        first = of_series(summary, keys[0])  # units and tiles leave other shares than their percents say
        shares = (100 * first["kept"] / first["total"]).groupby(first["percent"]).mean()
        common = [shares[percent] for percent in levels(summary, keys) if shares[percent] > 0]
        left.set(xscale="log", xlabel="% of the weights left", ylabel=f"test {metric.label}")
        entitle(left, _titled(keys))
        left.invert_xaxis()
        if len(common) <= 12:
            left.set_xticks(common, [f"{share:.3g}" for share in common])
            left.set_xticks([], minor=True)
        right.xaxis.get_major_locator().set_params(integer=True)
        right.set(xlabel="epochs of retraining since the base", ylabel=f"test {metric.label}")
        entitle(right, f"{highest:g} % removed" if highest is not None else "there is no level that all methods came to")
    fit(axes, metric)
    legend(figure, axes)
    told = "left: best epoch; right: by epochs spent, those of earlier levels included"
    head(figure, f"{told}; {repeated(summary['seed'].nunique())}")
    save(figure, folder, "methods")


@matplotlib.rc_context(STYLE)
def draw_structures(folder, summary, metric):
    """`structures`: what judges on test against the share of weights left, where the units or blocks of a cell stand beside its
    single weights: equal percents of them are not equal sizes. Nothing where they do not.
    """
    whole = summary["target"].eq("unit") | summary["target"].str.endswith("-block")
    cells = [cell for cell, own in whole.groupby(summary["cell"], sort=False) if own.nunique() == 2]
    if not cells:
        return
    figure, axes = grid(len(cells), 5.4, 3.6)
    looks = styles(key[1:3] for key in series(summary))
    for axis, cell in zip(axes, cells):
        for key in (key for key in series(summary) if key[0] == cell):
            own = of_series(summary, key)
            own = own.assign(left=100 * own["kept"] / own["total"])
            look = looks[key[1:3]] | {"label": f"{in_words(key[1])}, {key[2]}"}
            repetitions(axis, own, "left", f"cut_test_{metric.name}", metric, **look)
            retrained = own[own["epochs"] > 0].groupby("left")[f"best_test_{metric.name}"].mean()
            axis.plot(retrained.index, retrained, **{**look, "label": None, "linestyle": "", "markerfacecolor": "white"})
        axis.set(xlabel="% of the weights left", ylabel=f"test {metric.label}")
        entitle(axis, NAMES.get(cell, cell))
    fit(axes, metric, x=(0, 100))
    for axis in axes:
        axis.invert_xaxis()
    legend(figure, axes)
    told = "line: right after the cut" + ("; hollow: best after retraining" if summary["epochs"].any() else "")
    head(figure, f"{told}; {repeated(summary['seed'].nunique())}")
    save(figure, folder, "structures")


def _titled(keys):
    """The cell and the target that methods share."""
    return titled(keys[0], keys[:1])


def _by_epochs(axis, own, rows, percent, metric, look):
    """The last level's rows, by the epochs that were spent before and in it."""
    level, rows = own[own["percent"] == percent], rows[rows["percent"] == percent]
    before = (level["spent"] - level["epochs"]).set_axis(level["seed"])
    rows = rows.assign(spent=rows["epoch"] + rows["seed"].map(before))
    repetitions(axis, rows, "spent", f"test_{metric.name}", metric, **look)
