"""Figures of training and pruning, each as PNG and SVG. All take rows (lists of dicts, or DataFrames) and a folder."""

import itertools

import matplotlib
import numpy as np
import pandas as pd

from espalier.analysis.drawing import (
    COLOURS,
    ENOUGH,
    MARKS,
    STYLE,
    edge,
    entitle,
    fit,
    grid,
    head,
    interval,
    legend,
    middles,
    repeated,
    repetitions,
    save,
    style,
    styles,
)  # fmt: skip
from espalier.analysis.tables import NAMES, as_series, judged, of_series, series, titled
from espalier.names import GATE_LETTERS


@matplotlib.rc_context(STYLE)
def examples(folder, data):
    """Examples by label per split, and lengths by label of everything, train (with validation), test: the study's figures 4.2
    to 4.5, of any labelled sequences.
    """
    if not data.labels or data.train.lengths is None:
        return
    train = [split for split in (data.train, data.validation) if len(split)]
    names = data.labels[::-1] if len(data.labels) == 2 else data.labels  # of the study's, valid comes first
    colours = [COLOURS[k] if len(names) <= len(COLOURS) else matplotlib.colormaps["tab20"](k % 20) for k in range(len(names))]
    figure, (labels, *lengths) = grid(4)
    width = 0.8 / len(names)
    for k, (name, colour) in enumerate(zip(names, colours)):
        label = data.labels.index(name)
        counts = [sum(int((split.targets == label).sum()) for split in part) for part in (train, [data.test])]
        bars = labels.bar(np.arange(2) + width * (k - (len(names) - 1) / 2), counts, 0.95 * width, label=name, color=colour)
        if len(names) <= 4:
            labels.bar_label(bars, fontsize=7)
    labels.set_xticks([0, 1], ["train and validation", "test"])
    entitle(labels, "Examples by label")
    labels.margins(y=0.1)
    parts = (("All", [*train, data.test]), ("Train and validation", train), ("Test", [data.test]))
    for axis, (title, part) in zip(lengths, parts):
        places = [data.labels.index(name) for name in names]
        by_label = [np.concatenate([split.lengths[split.targets == label].numpy() for split in part]) for label in places]
        top = int(max(values.max(initial=1) for values in by_label))
        bins = np.arange(min(int(values.min(initial=top)) for values in by_label), top + 2) - 0.5
        axis.hist(by_label, bins if len(bins) < 200 else 100, stacked=True, color=colours)
        entitle(axis, f"{title}: {sum(map(len, by_label))} examples by length")
        axis.set_xlabel("length")
        axis.xaxis.get_major_locator().set_params(integer=True)
    legend(figure, [labels])
    save(figure, folder, "examples")


@matplotlib.rc_context(STYLE)
def training(folder, rows, cell, baselines, metric):
    """The study's figures 6.1 to 6.4: what judges, on train and test (and validation), by epoch.  baselines: on test."""
    rows = pd.DataFrame(rows)
    figure, (axis,) = grid(1, 6, 3.6)
    for place, (split, name) in enumerate((("train", "train"), ("val", "validation"), ("test", "test"))):
        values = rows[f"{split}_{metric.name}"]
        if values.notna().any():
            how = {**style(place), "marker": MARKS[place] if len(rows) <= 30 else ""}
            axis.plot(rows["epoch"], values.astype(float), label=name, **how)
    fit([axis], metric, baselines.values())
    edge(axis, {f"{name} (test)": value for name, value in baselines.items()})
    axis.set(xlabel="epoch", ylabel=metric.label)
    axis.xaxis.get_major_locator().set_params(integer=True)
    entitle(axis, f"{NAMES.get(cell, cell)}: training of the base")
    legend(figure, [axis])
    save(figure, folder, "training")


def pruning(folder, summaries, curve, rows, survivors, baselines, metric):
    """The three figures of pruning: the metric's (`accuracy`), `regain`, `survivors`.  baselines: on the split that judges."""
    summaries, rows, survivors, curve = map(as_series, (summaries, rows, survivors, curve))
    costs(folder, summaries, curve, baselines, metric)
    regain(folder, summaries, rows, metric)
    survivor_maps(folder, survivors)


def split_of(summaries):
    """The split that judges, in a word."""
    return "validation" if (summaries["judge"] == "validation").all() else "test"


@matplotlib.rc_context(STYLE)
def costs(folder, summaries, curve, baselines, metric):
    """What judges against percent: right after the cut at every whole percent (line), after retraining (hollow). A panel per
    cell, or one for all series where nothing else tells them apart.
    """
    keys = series(summaries)
    panels = {}
    for key in keys:
        panels.setdefault(key[0] if key[1] else "", []).append(key)
    looks = styles(key[1:] if key[1] else key for key in keys)
    figure, axes = grid(len(panels), 5.0, 3.6)
    bases = []
    for axis, (panel, own_keys) in zip(axes, panels.items()):
        for key in own_keys:
            line = looks[key[1:] if key[1] else key] | {"label": titled(key, keys, 1) or titled(key, keys)}
            points = of_series(summaries, key)
            points = points.assign(cut=judged(points, "cut", metric), best=judged(points, "best", metric))
            if len(curve) and len(own := of_series(curve, key)):
                repetitions(axis, own, "percent", metric.name, metric, **{**line, "marker": "", "label": None})
            else:
                repetitions(axis, points, "percent", "cut", metric, **{**line, "markersize": 3, "label": None})
            retrained = points[points["epochs"] > 0].groupby("percent")["best"]
            means, hollow = retrained.mean(), {**line, "markerfacecolor": "white", "label": None}
            axis.plot(means.index, means, **{**hollow, "linestyle": ""})
            if summaries["seed"].nunique() >= ENOUGH:
                half = retrained.apply(interval)
                ends = metric.inside(means - half), metric.inside(means + half)
                axis.vlines(means.index, *ends, color=line["color"], linewidth=0.9, alpha=0.7)
            axis.plot([], [], **{**hollow, "label": line["label"]})  # line and mark together in the legend
        axis.set(xlabel="percent removed", ylabel=metric.label)
        entitle(axis, NAMES.get(panel, panel))
        named = {"base": own_keys} if panel else {f"base of {titled(key, keys)}": [key] for key in own_keys}
        bases.append({
            name: float(np.mean([judged(of_series(summaries, key), "base", metric).mean() for key in own]))
            for name, own in named.items()
        })  # fmt: skip
    fit(axes, metric, [*(value for base in bases for value in base.values()), *baselines.values()], (0, 100))
    for axis, base in zip(axes, bases):
        edge(axis, base | baselines, list(base))
    legend(figure, axes)
    told = f"{split_of(summaries)} {metric.label}; line: right after the cut, hollow: best after retraining"
    head(figure, f"{told}; {repeated(summaries['seed'].nunique())}")
    save(figure, folder, metric.name)


@matplotlib.rc_context(STYLE)
def regain(folder, summaries, rows, metric):
    """What judges by epoch of retraining, for the levels that cost something right after the cut (as in figure 6.6). A seed
    that has regained is carried on at its last value, for it trained no further; a dot shows where.
    """
    keys = series(summaries)
    figure, axes = grid(len(keys), 4.1, 3.1)
    split = split_of(summaries)
    column = f"{'val' if split == 'validation' else 'test'}_{metric.name}"
    levels = sorted(summaries.loc[summaries["regain_epoch"] != 0, "percent"].unique())
    bases = [judged(of_series(summaries, key), "base", metric).mean() for key in keys]
    last = rows.loc[rows["percent"].isin(levels), "epoch"].max() if levels else 0
    for axis, key in zip(axes, keys):
        points, own = of_series(summaries, key), of_series(rows, key)
        for place, percent in enumerate(levels):
            level = points[points["percent"] == percent].set_index("seed")
            if level.empty or (level["regain_epoch"] == 0).all():
                continue
            parts = own[own["percent"] == percent][["seed", "epoch", column]]
            ends = parts.loc[parts.groupby("seed")["epoch"].idxmax()]
            back = ends[ends["seed"].isin(level.index[level["regain_epoch"].notna()])]
            carried = [back.assign(epoch=epoch) for epoch in range(int(last) + 1)]
            whole = pd.concat([parts, *carried]).drop_duplicates(["seed", "epoch"])
            look = style(place) | {"color": matplotlib.colormaps["viridis_r"](0.12 + 0.88 * percent / 100)}
            table = repetitions(axis, whole, "epoch", column, metric, **look, label=f"{percent:g} %")
            axis.plot(back["epoch"], back[column], ".", color=look["color"], markersize=5)
            counts = table.notna().sum(axis=1)
            for epoch in counts.index[counts.diff().fillna(0) != 0]:
                axis.annotate(f"n = {counts[epoch]}", (epoch, table.loc[epoch].mean()), fontsize=6, xytext=(2, 3),
                              textcoords="offset points")  # fmt: skip
        axis.set(xlabel="epoch of retraining (0: right after the cut)", ylabel=metric.label)
        axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        entitle(axis, titled(key, keys))
        if not len(axis.lines):
            axis.annotate("no level costs anything", (0.5, 0.5), xycoords="axes fraction", ha="center", color="#444444")
    if levels:
        fit(axes, metric, bases, (0, max(last, 1)))
    else:
        fit(axes, metric, [0.95 * base for base in bases] + bases, (0, 1))
    for axis, base in zip(axes, bases):
        edge(axis, {"base": base}, ["base"])
    legend(figure, axes, [f"{percent:g} %" for percent in levels], title="removed", title_fontsize=7.5)
    told = f"{split} {metric.label} while retraining; dot: a seed is back and trained no further"
    head(figure, f"{told}; {repeated(summaries['seed'].nunique())}")
    save(figure, folder, "regain")


@matplotlib.rc_context({**STYLE, "axes.grid": False})
def survivor_maps(folder, survivors):
    """Share of weights left in every layer, kind and gate, by level at its true place: a heat map per series, with the mean
    over seeds in percent and, of several seeds, their standard deviation.
    """
    if survivors.empty:
        return
    keys = series(survivors)
    heights = [of_series(survivors, key)[["layer", "kind", "gate"]].drop_duplicates().shape[0] for key in keys]
    seeds = survivors["seed"].nunique()
    figure, axes = grid(len(keys), 5.2, 3)
    spec, tall = axes[0].get_gridspec(), 0.27 if seeds > 1 else 0.2
    rows = [max(heights[start : start + spec.ncols]) for start in range(0, len(keys), spec.ncols)]
    spec.set_height_ratios([1.0 + tall * count for count in rows])
    figure.set_figheight(0.5 + sum(1.0 + tall * count for count in rows))
    for axis, key in zip(axes, keys):
        own = of_series(survivors, key)
        share = own.assign(share=100 * own["kept"] / own["total"])
        groups = share.groupby(["layer", "kind", "gate", "percent"])["share"]
        mean, spread = groups.mean().unstack("percent"), groups.std().unstack("percent")
        percents = list(mean.columns)
        edges = middles(percents)
        image = axis.pcolormesh(edges, np.arange(len(mean) + 1) - 0.5, mean.to_numpy(), vmin=0, vmax=100, cmap="viridis")
        axis.invert_yaxis()
        wide = [right - left > 0.045 * (edges[-1] - edges[0]) for left, right in itertools.pairwise(edges)]
        for (row, column), value in np.ndenumerate(mean.to_numpy()):
            off = spread.iloc[row, column]
            if wide[column] and not np.isnan(value):
                text = f"{value:.0f}" + (f"\n±{off:.0f}" if seeds > 1 and not np.isnan(off) else "")
                axis.text(percents[column], row, text, ha="center", va="center", fontsize=5.5, linespacing=0.9,
                          color="black" if value > 55 else "white")  # fmt: skip
        letters = GATE_LETTERS.get(own["gate"].max() + 1, range(99))
        layers = {layer: str(k + 1) for k, layer in enumerate(dict.fromkeys(own["layer"]))}
        names = [f"layer {layers[layer]} {kind} {letters[gate]}".rstrip() for layer, kind, gate in mean.index]
        axis.set_yticks(range(len(mean)), names, fontsize=6)
        axis.set_xticks(percents, [f"{percent:g}" for percent in percents], fontsize=6, rotation=0 if all(wide) else 90)
        axis.set_xlabel("percent removed")
        entitle(axis, titled(key, keys))
    figure.colorbar(image, ax=axes, label="% of the weights left", shrink=0.8)
    told = "weights left by layer, kind and gate, in percent"
    head(figure, f"{told}; n = {seeds} seed" + ("s, mean ± standard deviation" if seeds > 1 else ""))
    save(figure, folder, "survivors")
