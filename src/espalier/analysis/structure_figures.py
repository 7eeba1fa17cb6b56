"""Figures of a structure search, each as PNG and SVG."""

import math

import matplotlib
import numpy as np
from matplotlib.collections import LineCollection

from espalier.analysis.correlation import carried
from espalier.analysis.drawing import COLOURS, MARKS, STYLE, entitle, fit, grid, head, legend, save, words
from espalier.analysis.prediction import plenty
from espalier.graphs import STUDY, layered

#: The properties of the study's tables 6.1 to 6.4, which it drew as joint plots.
DRAWN = (
    "layers", "nodes", "edges", "source_nodes", "diameter", "density", "average_shortest_path_length", "eccentricity_var",
    "degree_var", "closeness_var", "nodes_betweenness_var", "edge_betweenness_var",
)  # fmt: skip


#: Kinds of nodes of a drawn graph: (mark, colour, name).
NODES = (("s", COLOURS[0], "source"), ("X", COLOURS[5], "dead end"), ("o", COLOURS[2], "other node"))


def looks(frame):
    """Family -> colour and mark."""
    families = list(dict.fromkeys(frame["graph"]))
    return {
        family: {"color": COLOURS[place % len(COLOURS)], "marker": MARKS[place % len(MARKS)]}
        for place, family in enumerate(families)
    }


@matplotlib.rc_context(STYLE)
def families(folder, frame, metric, dense=None):
    """What judges by family, beside the dense networks."""
    groups = {family.replace("_", "\n"): own[metric.test] for family, own in frame.groupby("graph", sort=False)}
    known = list(looks(frame).values())
    for kind, own in dense.groupby("kind") if dense is not None and len(dense) else ():
        groups["dense,\n" + ("same depth" if kind == "depth" else "three layers")] = own[metric.test]
        known.append({"color": COLOURS[7], "marker": MARKS[len(known) % len(MARKS)]})
    figure, (axis,) = grid(1, max(4.2, 1.4 * len(groups)), 3.8)
    axis.boxplot(list(groups.values()), widths=0.55, showfliers=False, medianprops={"color": "black"})
    spread = np.random.default_rng(0)
    for place, (values, look) in enumerate(zip(groups.values(), known), start=1):
        axis.scatter(place + spread.uniform(-0.18, 0.18, len(values)), values, s=14, **look, alpha=0.6, linewidth=0)
    axis.set_xticks(range(1, len(groups) + 1), [f"{name}\nn = {len(values)}" for name, values in groups.items()], fontsize=8)
    fit([axis], metric)
    axis.set_ylabel(f"{metric.label} on test")
    entitle(axis, f"{metric.title} by family")
    save(figure, folder, "families")


def correlations(folder, correlated, metric):
    """A heat map: property by family."""
    names = {family: family.replace("_", "\n") for family in dict.fromkeys(correlated["family"])}
    heat_map(folder, "correlations", correlated.assign(column=correlated["family"].map(names)), metric)


def cells(folder, correlated, names, metric):
    """A heat map: property by search of a sweep.  names: (cell, variant, seed) -> its name."""
    overall = correlated[correlated["family"] == "all"]
    columns = [names[key].replace(", ", "\n") for key in zip(overall["cell"], overall["variant"], overall["seed"])]
    heat_map(folder, "cells", overall.assign(column=columns), metric)


@matplotlib.rc_context({**STYLE, "axes.grid": False})
def heat_map(folder, name, correlated, metric):
    """Pearson's r, a row per property, a column per value of `column`."""
    values = correlated.pivot(index="property", columns="column", values="pearson")
    values = values.loc[list(dict.fromkeys(correlated["property"])), list(dict.fromkeys(correlated["column"]))]
    certain = correlated.pivot(index="property", columns="column", values="p_adjusted").loc[values.index, values.columns] < 0.05
    figure, (axis,) = grid(1, 3.4 + 1.05 * values.shape[1], 0.8 + 0.2 * len(values))
    image = axis.imshow(values.to_numpy(dtype=float), aspect="auto", vmin=-1, vmax=1, cmap="RdBu_r")
    for (i, j), value in np.ndenumerate(values.to_numpy(dtype=float)):
        if not math.isnan(value):
            weight = "bold" if certain.iloc[i, j] else "normal"
            shade = "white" if abs(value) > 0.6 else "black"
            axis.text(j, i, f"{value:+.2f}", ha="center", va="center", fontsize=6.5, color=shade, fontweight=weight)
    axis.set_yticks(range(len(values)), map(words, values.index), fontsize=7)
    axis.set_xticks(range(values.shape[1]), values.columns, fontsize=7)
    head(figure, f"Pearson's r with {metric.label} on test (bold: p < 0.05 after correction)")
    figure.colorbar(image, ax=axis, shrink=0.6)
    save(figure, folder, name)


@matplotlib.rc_context(STYLE)
def joint(folder, frame, correlated, metric):
    """What judges against each property of the study's tables, with both distributions at the edges."""
    figure, axes = grid(len(DRAWN), 3.5, 3.2)
    overall = correlated[correlated["family"] == "all"].set_index("property")
    y = frame[metric.test].astype(float)
    for axis, name in zip(axes, DRAWN):
        x = frame[name].astype(float)
        for family, look in looks(frame).items():
            own = frame["graph"] == family
            axis.scatter(x[own], y[own], s=11, **look, alpha=0.6, linewidth=0, label=family.replace("_", " "))
        row = overall.loc[name]
        told = "does not vary" if x.nunique() < 2 else f"{metric.label} does not vary"
        if not math.isnan(row["pearson"]):
            slope, start = np.polyfit(x, y, 1)
            ends = np.array([x.min(), x.max()])
            axis.plot(ends, start + slope * ends, color="black", linewidth=0.9)
            told = f"r = {row['pearson']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f}), n = {row['n']:.0f}"
            told += f"\nwithout one graph {row['without_one']:+.2f}" if carried(row) else ""
        axis.set_xlabel(f"{words(name)}\n{told}", fontsize=7)
        axis.tick_params(labelsize=6)
    fit(axes, metric)
    for axis, name in zip(axes, DRAWN):
        x = frame[name].astype(float)
        for values, fill, transform, limits in (
            (x, axis.fill_between, axis.get_xaxis_transform(), axis.get_xlim()),
            (y, axis.fill_betweenx, axis.get_yaxis_transform(), axis.get_ylim()),
        ):
            varies = values.nunique() > 1  # of what does not, numpy's bins go beyond the axes
            counts, edges = np.histogram(values, bins=14, range=None if varies else limits)
            heights = 1.01 + 0.1 * np.append(counts, 0) / counts.max()
            fill(edges, 1.01, heights, step="post", transform=transform, clip_on=False, color="#8d99ae", linewidth=0)
    legend(figure, axes)
    figure.supylabel(f"{metric.label} on test", fontsize=9)
    save(figure, folder, "joint")


@matplotlib.rc_context(STYLE)
def predicted(folder, frame, held, table, metric):
    """Predicted against measured, per regressor, out of fold."""
    names = [name for name in held if name not in ("row", metric.test)]
    figure, axes = grid(len(names), 3.5, 3.3)
    found = table[(table["features"] == "all") & (table["protocol"] == "cross_validation")].set_index("regressor")["r2"]
    enough = plenty(len(frame), len(STUDY))
    low, high = held[[metric.test, *names]].min().min(), held[[metric.test, *names]].max().max()
    for axis, name in zip(axes, names):
        for family, look in looks(frame).items():
            points = held[(frame["graph"] == family).to_numpy()]
            label = family.replace("_", " ")
            axis.scatter(points[metric.test], points[name], s=11, **look, alpha=0.6, linewidth=0, label=label)
        axis.plot([low, high], [low, high], color="black", linewidth=0.8)
        axis.set(xlabel="measured", ylabel="predicted")
        entitle(axis, f"{name.replace('_', ' ')}, " + (f"R² {found[name]:.2f}" if enough else "too few graphs to tell R²"))
    fit(axes, metric, x=(low, high))
    legend(figure, axes)
    save(figure, folder, "predicted")


@matplotlib.rc_context({**STYLE, "axes.grid": False})
def graphs(folder, frame, known, metric, count=6):
    """Graphs from the best to the worst, evenly spaced in rank, in their layers, as far as they are known."""
    there = [(name, int(number)) in known for name, number in zip(frame["graph"], frame["graph_nr"])]
    ranked = frame[there].sort_values(metric.test, ascending=not metric.higher)
    if ranked.empty:
        return
    places = np.unique(np.linspace(0, len(ranked) - 1, count).round().astype(int))
    figure, axes = grid(len(places), 4.0, 3.0)
    for axis, place in zip(axes, places):
        row = ranked.iloc[place]
        structure = layered(known[row["graph"], int(row["graph_nr"])])
        layers = enumerate(structure.layers)
        spots = {vertex: (k, (i + 1) / (len(layer) + 1)) for k, layer in layers for i, vertex in enumerate(layer)}
        index = structure.index
        near, skips = [], []
        for u, v in structure.dag.edges:
            (skips if index[v] - index[u] > 1 else near).append(arc(spots[u], spots[v], 0.2 * (index[v] - index[u] > 1)))
        axis.add_collection(LineCollection(near, colors="#6f6f6f", linewidths=0.6))
        axis.add_collection(LineCollection(skips, colors=COLOURS[1], linewidths=0.45, alpha=0.6, linestyles="--"))
        ends = {vertex for layer in structure.layers[:-1] for vertex in layer if not structure.dag.out_degree(vertex)}
        kinds = {v: 0 if index[v] == 0 else 1 if v in ends else 2 for v in spots}
        for kind, (marker, colour, _) in enumerate(NODES):
            own = [spots[v] for v in spots if kinds[v] == kind]
            axis.scatter(*(zip(*own) if own else ([], [])), s=22, color=colour, marker=marker, linewidths=0, zorder=3)
        entitle(axis, f"{row['graph'].replace('_', ' ')} {row['graph_nr']}: {row[metric.test]:.4f} (rank {place + 1})")
        axis.set_axis_off()
    for marker, colour, label in NODES:
        axes[0].plot([], [], marker, color=colour, linestyle="", label=label)
    axes[0].plot([], [], color=COLOURS[1], linewidth=1, linestyle="--", label="edge that skips layers")
    legend(figure, axes[:1])
    save(figure, folder, "graphs")


def arc(start, end, bend):
    """Points of a curve between two points that hangs below the straight line by `bend` of the height."""
    t = np.linspace(0, 1, 14 if bend else 2)
    (x0, y0), (x1, y1) = start, end
    return np.column_stack([x0 + t * (x1 - x0), y0 + t * (y1 - y0) - 4 * bend * t * (1 - t)])


@matplotlib.rc_context(STYLE)
def ranking(folder, table, metric):
    """What is predicted for unseen graphs by rank, and the measured one of those that were trained."""
    figure, (axis,) = grid(1, 6, 3.6)
    axis.plot(table["rank"], table["predicted"], ".", color="#6f6f6f", markersize=4, label="predicted")
    trained = table.dropna(subset=metric.test)
    for family, own in trained.groupby("graph", sort=False):
        name = f"measured, {family.removeprefix('unseen_').replace('_', ' ')}"
        axis.plot(own["rank"], own[metric.test], **looks(table)[family], linestyle="", markersize=5, label=name)
    fit([axis], metric)
    axis.set(xlabel=f"rank by predicted {metric.label}", ylabel=f"{metric.label} on test")
    entitle(axis, "Unseen graphs")
    legend(figure, [axis])
    save(figure, folder, "ranking")
