"""Figures, each as PNG and SVG. All take rows (lists of dicts, or DataFrames) and a folder."""

import io
import math
import textwrap

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from espalier.analysis.tables import NAMES, SERIES, as_series, judged, of_series, order, varied
from espalier.names import GATE_LETTERS
from espalier.runs import files

COLOURS = {"i2h": "#1b6ca8", "h2h": "#c8553d", "both": "#4a4e69", "unit": "#588157", "linear": "#7b5ea7", "all": "#222222"}
STYLE = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "font.size": 9,
    "axes.titlesize": 10, "legend.frameon": False, "figure.constrained_layout.use": True, "svg.hashsalt": "espalier",
}  # fmt: skip
#: Marks and lines that go with colours, so that series are told apart without these.
MARKS, LINES = "os^vDPX*<>", ("-", "--", "-.", ":")


def save(figure, folder, name):
    """`name.png` and `name.svg`, each whole; the figure is closed."""
    for kind in ("png", "svg"):
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        with files.whole(folder / f"{name}.{kind}") as file:
            file.write(content.getvalue())
        figure.set_layout_engine("none")  # laid out once is enough
    plt.close(figure)


def grid(count, width=4.2, height=3.2):
    """A figure and `count` axes, at most four side by side; three, where the targets of each cell fill a row."""
    columns = 3 if count % 3 == 0 else 2 if count == 4 else min(count, 4)
    rows = math.ceil(count / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:count])


def interval(values):
    """Half the width of the 95 % interval of the mean (Student's t); NaN for a single value."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return math.nan
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))


def band(axis, x, groups, metric, **line):
    """Mean over the repetitions at each x, with its 95 % interval as a band, within the metric's limits."""
    means = np.array([np.mean(values) for values in groups])
    half = np.array([interval(values) for values in groups])
    (drawn,) = axis.plot(x, means, **line)
    if not np.isnan(half).all():
        low, high = metric.inside(means - half), metric.inside(means + half)
        axis.fill_between(x, low, high, color=drawn.get_color(), alpha=0.18, linewidth=0)


def baseline_lines(axis, baselines, on_test=False):
    """A thin line per trivial rule, named at the right edge; on_test: say that they were measured on test."""
    for value in baselines.values():
        axis.axhline(value, color="grey", linewidth=0.7, linestyle=":")
    # Rules of nearly the same value share one name.
    near, span = {}, max(baselines.values(), default=1) - min(baselines.values(), default=0)
    for name, value in sorted(baselines.items(), key=lambda item: item[1]):
        key = next((other for other in near if abs(other - value) < max(0.03, 0.04 * span)), value)
        near.setdefault(key, []).append(name)
    for value, names in near.items():
        name = ", ".join(names) + (" (test)" if on_test else "")
        axis.annotate(
            name, (1, value), xycoords=("axes fraction", "data"), fontsize=6.5, color="grey",
            ha="right", va="bottom", xytext=(-2, 1), textcoords="offset points",
        )  # fmt: skip


def top(metric, room):
    """Limits of an axis: some room above the most that the metric can be, where there is such a thing."""
    return None, None if metric.limits[1] is None else metric.limits[1] + room


@matplotlib.rc_context(STYLE)
def examples(folder, data):
    """Examples by label per split, and lengths by label of everything, train (with validation), test: the study's figures 4.2
    to 4.5, of any labelled sequences.
    """
    if not data.labels or data.train.lengths is None:
        return
    train = [split for split in (data.train, data.validation) if len(split)]
    names = data.labels[::-1] if len(data.labels) == 2 else data.labels  # of the study's, valid comes first
    colours = ["#1b6ca8", "#c8553d"] if len(names) == 2 else [plt.get_cmap("tab20")(k % 20) for k in range(len(names))]
    figure, (labels, *lengths) = grid(4)
    width = 0.8 / len(names)
    for k, (name, colour) in enumerate(zip(names, colours)):
        label = data.labels.index(name)
        counts = [sum(int((split.targets == label).sum()) for split in part) for part in (train, [data.test])]
        bars = labels.bar(np.arange(2) + width * (k - (len(names) - 1) / 2), counts, 0.95 * width, label=name, color=colour)
        if len(names) <= 4:
            labels.bar_label(bars, fontsize=7)
    labels.set_xticks([0, 1], ["train and validation", "test"])
    labels.set_title("Examples by label")
    if len(names) <= 12:
        labels.legend(loc="upper right", fontsize=7)
    parts = (("All", [*train, data.test]), ("Train and validation", train), ("Test", [data.test]))
    for axis, (title, part) in zip(lengths, parts):
        places = [data.labels.index(name) for name in names]
        by_label = [np.concatenate([split.lengths[split.targets == label].numpy() for split in part]) for label in places]
        top = int(max(values.max(initial=1) for values in by_label))
        bins = np.arange(min(int(values.min(initial=top)) for values in by_label), top + 2) - 0.5
        axis.hist(by_label, bins if len(bins) < 200 else 100, stacked=True, color=colours, label=names)
        axis.set_title(f"{title}: {sum(map(len, by_label))} examples by length")
        axis.set_xlabel("length")
        axis.xaxis.get_major_locator().set_params(integer=True)
    save(figure, folder, "examples")


@matplotlib.rc_context(STYLE)
def training(folder, rows, cell, baselines, metric):
    """The study's figures 6.1 to 6.4: what judges, on train and test (and validation), by epoch."""
    rows = pd.DataFrame(rows)
    figure, (axis,) = grid(1, 6, 3.6)
    for split, name, colour in (("train", "train", "#8d99ae"), ("val", "validation", "#1b6ca8"), ("test", "test", "#c8553d")):
        values = rows[f"{split}_{metric.name}"]
        if values.notna().any():
            axis.plot(rows["epoch"], values.astype(float), label=name, color=colour, linewidth=1.3)
    baseline_lines(axis, baselines)
    axis.set(
        title=f"{NAMES.get(cell, cell)}: training of the base", xlabel="epoch", ylabel=metric.label, ylim=top(metric, 0.01)
    )
    axis.legend(loc="center right", fontsize=7)
    save(figure, folder, "training")


def head(figure, text):
    """The line above all axes, broken where the figure is too narrow for it."""
    text = text.replace("n = ", "n\u00a0=\u00a0")
    figure.suptitle(textwrap.fill(text, int(15 * figure.get_figwidth())), fontsize=9)


def series(frame):
    """The series of the frame, in a fixed order."""
    keys = list(dict.fromkeys(map(tuple, frame[SERIES].itertuples(index=False))))
    return sorted(keys, key=order)


def titled(key, keys, first=0):
    """What tells this series from the others: the cell and the target, the rest only where it differs."""
    told = [NAMES.get(key[0], key[0]), key[1], *(key[k] for k in varied(keys))]
    return ", ".join(told[first:])


def pruning(folder, summaries, curve, rows, survivors, baselines, metric):
    """The three figures of pruning: the metric's (`accuracy`), `regain`, `survivors`."""
    summaries, rows, survivors, curve = map(as_series, (summaries, rows, survivors, curve))
    costs(folder, summaries, curve, baselines, metric)
    regain(folder, summaries, rows, metric)
    survivor_maps(folder, survivors)


@matplotlib.rc_context(STYLE)
def costs(folder, summaries, curve, baselines, metric):
    """What judges against percent: right after the cut at every whole percent (line), after retraining (dots), per cell."""
    keys = series(summaries)
    cells = list(dict.fromkeys(key[0] for key in keys))
    seeds = summaries["seed"].nunique()
    many = max(sum(key[0] == cell for key in keys) for cell in cells) > 6  # then the legend stands below
    height = 3.6 + (0.22 * len(keys) / len(cells) if many else 0)
    figure, axes = grid(len(cells), 5.4, height)
    styles = dict(zip(dict.fromkeys(key[2:] for key in keys), ("-", "--", "-.", ":") * len(keys)))
    for axis, cell in zip(axes, cells):
        for key in (key for key in keys if key[0] == cell):
            # One colour per target, as far as the styles of lines tell the rest apart.
            colour = COLOURS.get(key[1]) if len(styles) <= 4 else plt.get_cmap("tab10")(list(styles).index(key[2:]) % 10)
            points = of_series(summaries, key)
            points = points.assign(cut=judged(points, "cut", metric), best=judged(points, "best", metric))
            line = dict(color=colour, linewidth=1.3, linestyle=styles[key[2:]], label=textwrap.fill(titled(key, keys, 1), 60))
            if len(curve) and len(own := of_series(curve, key)):
                band(axis, *repeated(own, "percent", metric.name), metric, **line)
            else:
                band(axis, *repeated(points, "percent", "cut"), metric, marker=".", **line)
            retrained = points[points["epochs"] > 0]
            if len(retrained):
                x, groups = repeated(retrained, "percent", "best")
                axis.plot(x, [np.mean(values) for values in groups], "o", color=colour, markersize=4, markerfacecolor="white")
        base = judged(summaries[summaries["cell"] == cell], "base", metric).mean()
        axis.axhline(base, color="black", linewidth=0.8)
        axis.annotate(
            "base",
            (0, base),
            xycoords=("axes fraction", "data"),
            fontsize=6.5,
            va="bottom",
            xytext=(2, 1),
            textcoords="offset points",
        )
        baseline_lines(axis, baselines, on_test=True)
        axis.set(
            title=NAMES.get(cell, cell), xlabel="percent removed", ylabel=metric.label, xlim=(0, 100), ylim=top(metric, 0.03)
        )
        if many:
            axis.legend(loc="upper left", bbox_to_anchor=(0, -0.18), fontsize=6)
        else:
            axis.legend(loc="lower left" if metric.higher else "upper left", fontsize=7)
    split = "validation" if (summaries["judge"] == "validation").all() else "test"
    told = f"{split} {metric.label}; line: right after the cut, circle: best after retraining"
    head(figure, f"{told}; n = {seeds}" + (", mean and 95 % interval" if seeds > 1 else ""))
    save(figure, folder, metric.name)


def repeated(frame, x, y):
    """The sorted values of column x and, for each, the values of column y."""
    grouped = frame.groupby(x)[y]
    return np.array([value for value, _ in grouped], dtype=float), [values.to_numpy(dtype=float) for _, values in grouped]


@matplotlib.rc_context(STYLE)
def regain(folder, summaries, rows, metric):
    """What judges by epoch of retraining, for the levels that cost something right after the cut (as in figure 6.6)."""
    keys = series(summaries)
    figure, axes = grid(len(keys), 3.9, 3.0)
    column = f"val_{metric.name}" if (summaries["judge"] == "validation").all() else f"test_{metric.name}"
    colours = plt.get_cmap("viridis_r")
    for axis, key in zip(axes, keys):
        points = of_series(summaries, key)
        base = judged(points, "base", metric).mean()
        costly = sorted(set(points.loc[points["regain_epoch"] != 0, "percent"]))
        for percent in costly:
            own = of_series(rows, key)
            own = own[own["percent"] == percent]
            colour = colours(0.15 + 0.85 * percent / 100)
            band(axis, *repeated(own, "epoch", column), metric, label=f"{percent:g} %", marker=".", color=colour, linewidth=1.2)
        axis.axhline(base, color="black", linewidth=0.8)
        axis.set(
            title=textwrap.fill(titled(key, keys), 44),
            xlabel="epoch of retraining (0: right after the cut)",
            ylabel=metric.label,
        )
        axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        if costly:
            axis.legend(fontsize=7, title="removed", title_fontsize=7)
        else:
            axis.set(xticks=[], ylim=(base - 0.05 * abs(base), base + 0.02 * abs(base)))
            axis.annotate("no level costs anything", (0.5, 0.5), xycoords="axes fraction", ha="center", color="grey")
    split = "validation" if column.startswith("val_") else "test"
    seeds = summaries["seed"].nunique()
    told = f"{split} {metric.label} while retraining; n = {seeds}" + (", mean and 95 % interval" if seeds > 1 else "")
    head(figure, told)
    save(figure, folder, "regain")


@matplotlib.rc_context({**STYLE, "axes.grid": False})
def survivor_maps(folder, survivors):
    """Share of weights left in every layer, kind and gate, by level: a heat map per series (mean over seeds)."""
    keys = series(survivors)
    heights = [of_series(survivors, key)[["layer", "kind", "gate"]].drop_duplicates().shape[0] for key in keys]
    figure, axes = grid(len(keys), 4.4, 0.9 + 0.17 * max(heights))
    image = None
    for axis, key in zip(axes, keys):
        own = of_series(survivors, key)
        share = own.assign(share=own["kept"] / own["total"])
        table = share.pivot_table(index=["layer", "kind", "gate"], columns="percent", values="share", sort=True)
        image = axis.imshow(table.to_numpy(), aspect="auto", vmin=0, vmax=1, cmap="magma")
        names = GATE_LETTERS.get(own["gate"].max() + 1, range(99))
        layers = {layer: str(k + 1) for k, layer in enumerate(dict.fromkeys(own["layer"]))}
        axis.set_yticks(
            range(len(table)), [f"layer {layers[l]} {kind} {names[gate]}" for l, kind, gate in table.index], fontsize=6
        )
        axis.set_xticks(range(table.shape[1]), [f"{percent:g}" for percent in table.columns], fontsize=6)
        axis.set(title=textwrap.fill(titled(key, keys), 44), xlabel="percent removed")
    figure.colorbar(image, ax=axes, label="share of weights left", shrink=0.8)
    save(figure, folder, "survivors")
