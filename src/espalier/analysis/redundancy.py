"""Figures of redundant units: how the shares of units vary over sequences, and the two points that decide."""

import matplotlib
import numpy as np
import pandas as pd

from espalier.analysis.drawing import (
    COLOURS,
    LINES,
    STYLE,
    edge,
    entitle,
    fit,
    grid,
    head,
    legend,
    repeated,
    repetitions,
    save,
    style,
    subplots,
)  # fmt: skip
from espalier.analysis.tables import NAMES, of_series, series, titled

#: Controls beside the levels, in words.
BESIDE = {"dense": "small network, trained directly", "gradual": "gradual, as many single weights"}
#: Passes that are drawn, the first and the last among them.
MOST = 5


@matplotlib.rc_context({**STYLE, "axes.grid": False})
def draw(folder, passes):
    """`variation`: a row per pass: a heat map of shares, units (sorted by their mean) x sequences, and the scatter of units
    with the mean and the origin, of which the nearer one decides.

    passes: (title, shares `(sequences, units)` of the units that are left, points `(units, 2)`, middle `(2,)`).
    """
    places = np.unique(np.linspace(0, len(passes) - 1, min(MOST, len(passes))).round().astype(int))
    figure, axes = subplots(len(places), 2, (11, 3.0 * len(places)))
    for (left, right), place in zip(axes, places):
        title, shares, points, middle = passes[place]
        order = np.argsort(-shares.mean(0), kind="stable")
        image = left.imshow(shares[:, order].T, aspect="auto", cmap="viridis", interpolation="nearest", vmin=0)
        figure.colorbar(image, ax=left, label="share of the layer's movement")
        left.set(xlabel="sequence", ylabel="unit, by its mean share")
        entitle(left, title)
        stays = points @ middle >= middle @ middle / 2
        for kept, colour, marker, word in ((True, COLOURS[0], "o", "stay"), (False, COLOURS[1], "x", "redundant")):
            own = points[stays == kept]
            right.plot(own[:, 0], own[:, 1], marker, color=colour, markersize=4, linestyle="", label=word)
        for point, name in ((middle, "mean"), (np.zeros(2), "origin")):
            right.plot(*point, "*", color="black", markersize=10)
            right.annotate(name, point, xytext=(6, 4), textcoords="offset points", fontsize=7)
        right.set(xlabel="mean share - least share", ylabel="greatest share - mean share")
        entitle(right, f"nearer to the mean stays: {stays.sum()} stay, {(~stays).sum()} are redundant")
    legend(figure, axes[:, 1])
    head(figure, "variation of units over the sequences that judge")
    save(figure, folder, "variation")


@matplotlib.rc_context(STYLE)
def draw_sizes(folder, summary, controls, first, metric):
    """`sizes`: what judges against the hidden units left, with the rules that need no learning; a panel per cell. Nothing where
    no job removed units.

    controls: rows of the controls, or None.  first: result.json of the first job, which holds the widths of its levels.
    """
    own = summary[summary["target"] == "unit"]
    total = sum(first.get("base_widths", ()))
    if own.empty or not total or own.groupby("cell")["total"].nunique().max() > 1:
        return
    own = own.assign(units=(total * (1 - own["percent"] / 100)).round())
    keys = series(own)
    cells = list(dict.fromkeys(key[0] for key in keys))
    figure, axes = grid(len(cells), 6.0, 3.8)
    for axis, cell in zip(axes, cells):
        place = 0
        for key in (key for key in keys if key[0] == cell):
            rows = of_series(own, key)
            base = rows.groupby("seed").first().reset_index()
            start = base.assign(units=total, **{f"best_test_{metric.name}": base[f"base_test_{metric.name}"]})
            label = f"units, {titled(key, keys, 2) or key[2]}"
            whole = pd.concat([start, rows])
            repetitions(axis, whole, "units", f"best_test_{metric.name}", metric, **style(place), label=label)
            place += 1
            if controls is not None:
                held = rows.merge(
                    of_series(controls, key)[["seed", "percent", "dense_test", "gradual_test"]], on=["seed", "percent"]
                )
                for name in BESIDE:
                    there = held[held[f"{name}_test"].notna()]
                    if len(there):
                        how = {**style(place), "markerfacecolor": "white"}
                        repetitions(axis, there, "units", f"{name}_test", metric, **how, label=BESIDE[name])
                        place += 1
        axis.set(xscale="log", xlabel="hidden units left", ylabel=f"test {metric.label}")
        entitle(axis, NAMES.get(cell, cell))
        widths = sorted({total, *own.loc[own["cell"] == cell, "units"]})
        axis.set_xticks(widths, [f"{width:g}" for width in widths], rotation=45 if len(widths) > 8 else 0)
        axis.set_xticks([], minor=True)
        axis.invert_xaxis()
    fit(axes, metric, first["baselines"].values())
    for axis in axes:
        edge(axis, first["baselines"])
    legend(figure, axes)
    head(figure, f"after retraining, by size; {repeated(summary['seed'].nunique())}")
    save(figure, folder, "sizes")


@matplotlib.rc_context(STYLE)
def draw_forecast(folder, came, said, metric):
    """`forecast`: what came in the first windows of test, and what networks said of it.

    came: values, window after window; said: title of a network -> as many values.
    """
    figure, ((axis,),) = subplots(1, 1, (11, 3.6))
    axis.plot(came, color="#6f6f6f", linewidth=1.6, label="what came")
    for place, (title, values) in enumerate(said.items()):
        error = np.sqrt(np.square(values - came).mean())
        how = dict(color=COLOURS[place % len(COLOURS)], linestyle=LINES[(place + 1) % len(LINES)], linewidth=1.2)
        axis.plot(values, label=f"{title} ({error:.3g})", **how)
    axis.set(xlabel="step of the test windows, one after the other", ylabel="value")
    legend(figure, [axis])
    head(figure, f"forecast against truth; in brackets the {metric.label} of what is drawn")
    save(figure, folder, "forecast")
