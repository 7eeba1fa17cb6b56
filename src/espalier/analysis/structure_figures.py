"""Figures of a structure search, each as PNG and SVG."""

import math

import matplotlib
import numpy as np
from matplotlib.collections import LineCollection

from espalier.analysis.figures import STYLE, grid, save, top
from espalier.graphs import layered

#: The properties of the study's tables 6.1 to 6.4, which it drew as joint plots.
DRAWN = (
    "layers", "nodes", "edges", "source_nodes", "diameter", "density", "average_shortest_path_length", "eccentricity_var",
    "degree_var", "closeness_var", "nodes_betweenness_var", "edge_betweenness_var",
)  # fmt: skip
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8a5a9e", "#b08900", "#4a4e69")


def colours(frame):
    return dict(zip(dict.fromkeys(frame["graph"]), COLOURS * len(frame)))


@matplotlib.rc_context(STYLE)
def families(folder, frame, metric, dense=None):
    """What judges by family, beside the dense networks."""
    groups = {family.replace("_", "\n"): own[metric.test] for family, own in frame.groupby("graph", sort=False)}
    shades = list(colours(frame).values())[: len(groups)]
    for kind, own in dense.groupby("kind") if dense is not None and len(dense) else ():
        groups["dense,\n" + ("same depth" if kind == "depth" else "three layers")] = own[metric.test]
        shades.append("#8d99ae")
    figure, (axis,) = grid(1, max(4.2, 1.4 * len(groups)), 3.8)
    axis.boxplot(list(groups.values()), widths=0.55, showfliers=False, medianprops={"color": "black"})
    spread = np.random.default_rng(0)
    for place, (values, colour) in enumerate(zip(groups.values(), shades), start=1):
        axis.scatter(place + spread.uniform(-0.18, 0.18, len(values)), values, s=12, color=colour, alpha=0.6, linewidth=0)
    axis.set_xticks(range(1, len(groups) + 1), [f"{name}\nn = {len(values)}" for name, values in groups.items()], fontsize=8)
    axis.set(ylabel=f"{metric.label} on test", title=f"{metric.title} by family")
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
    figure, (axis,) = grid(1, 2.6 + 1.05 * values.shape[1], 0.8 + 0.2 * len(values))
    image = axis.imshow(values.to_numpy(dtype=float), aspect="auto", vmin=-1, vmax=1, cmap="RdBu_r")
    for (i, j), value in np.ndenumerate(values.to_numpy(dtype=float)):
        if not math.isnan(value):
            weight = "bold" if certain.iloc[i, j] else "normal"
            shade = "white" if abs(value) > 0.6 else "black"
            axis.text(j, i, f"{value:+.2f}", ha="center", va="center", fontsize=6.5, color=shade, fontweight=weight)
    axis.set_yticks(range(len(values)), values.index, fontsize=7)
    axis.set_xticks(range(values.shape[1]), values.columns, fontsize=7)
    axis.set_title(f"Pearson's r with {metric.label} on test\n(bold: p < 0.05 after correction)", fontsize=9)
    figure.colorbar(image, ax=axis, shrink=0.6)
    save(figure, folder, name)


@matplotlib.rc_context(STYLE)
def joint(folder, frame, correlated, metric):
    """What judges against each property of the study's tables, with both distributions at the edges."""
    figure, axes = grid(len(DRAWN), 3.5, 3.1)
    overall = correlated[correlated["family"] == "all"].set_index("property")
    for axis, name in zip(axes, DRAWN):
        x, y = frame[name].astype(float), frame[metric.test].astype(float)
        for family, colour in colours(frame).items():
            own = frame["graph"] == family
            axis.scatter(x[own], y[own], s=9, color=colour, alpha=0.6, linewidth=0, label=family.replace("_", " "))
        row = overall.loc[name]
        told = "does not vary"
        if not math.isnan(row["pearson"]):
            slope, start = np.polyfit(x, y, 1)
            ends = np.array([x.min(), x.max()])
            axis.plot(ends, start + slope * ends, color="black", linewidth=0.9)
            told = f"r = {row['pearson']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"
        axis.set_xlabel(f"{name}   {told}", fontsize=7)
        room = 0.02 if metric.limits[1] is not None else 0.05 * (y.max() - y.min() or 1)
        axis.set_ylim(y.min() - room, min(y.max() + room, (top(metric, 0.02)[1] or np.inf)))
        axis.tick_params(labelsize=6)
        for values, fill, transform in (
            (x, axis.fill_between, axis.get_xaxis_transform()), (y, axis.fill_betweenx, axis.get_yaxis_transform()),
        ):  # fmt: skip
            counts, edges = np.histogram(values, bins=14)
            heights = 1.01 + 0.1 * np.append(counts, 0) / counts.max()
            fill(edges, 1.01, heights, step="post", transform=transform, clip_on=False, color="#8d99ae", linewidth=0)
    axes[0].legend(fontsize=6, loc="lower right")
    figure.supylabel(f"{metric.label} on test", fontsize=9)
    save(figure, folder, "joint")


@matplotlib.rc_context(STYLE)
def predicted(folder, frame, held, table, metric):
    """Predicted against measured, per regressor, out of fold."""
    names = [name for name in held if name not in ("row", metric.test)]
    figure, axes = grid(len(names), 3.5, 3.3)
    found = table[(table["features"] == "all") & (table["protocol"] == "cross_validation")].set_index("regressor")["r2"]
    low, high = held[[metric.test, *names]].min().min(), held[[metric.test, *names]].max().max()
    for axis, name in zip(axes, names):
        for family, colour in colours(frame).items():
            own = (frame["graph"] == family).to_numpy()
            points = held[own]
            axis.scatter(points[metric.test], points[name], s=11, color=colour, alpha=0.6, linewidth=0, label=family)
        axis.plot([low, high], [low, high], color="black", linewidth=0.8)
        axis.set(xlabel="measured", ylabel="predicted", title=f"{name}, R² {found[name]:.2f}")
    axes[0].legend(fontsize=6)
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
        axis.add_collection(LineCollection(near, colors="#4a4e69", linewidths=0.6))
        axis.add_collection(LineCollection(skips, colors="#c8553d", linewidths=0.45, alpha=0.55))
        ends = {vertex for layer in structure.layers[:-1] for vertex in layer if not structure.dag.out_degree(vertex)}
        shades = ["#1b6ca8" if index[v] == 0 else "#b08900" if v in ends else "#588157" for v in spots]
        axis.scatter(*zip(*spots.values()), s=22, c=shades, linewidths=0, zorder=3)
        title = f"{row['graph'].replace('_', ' ')} {row['graph_nr']}: {row[metric.test]:.4f} (rank {place + 1})"
        axis.set_title(title, fontsize=8)
        axis.set_axis_off()
    figure.suptitle("blue: sources, ochre: dead ends, red: edges that skip layers", fontsize=8)
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
    axis.plot(table["rank"], table["predicted"], ".", color="#8d99ae", markersize=4, label="predicted")
    trained = table.dropna(subset=metric.test)
    for family, own in trained.groupby("graph", sort=False):
        name = f"measured, {family.removeprefix('unseen_').replace('_', ' ')}"
        axis.plot(own["rank"], own[metric.test], "o", color=colours(table)[family], markersize=5, label=name)
    axis.set(xlabel=f"rank by predicted {metric.label}", ylabel=f"{metric.label} on test", title="Unseen graphs")
    axis.legend(fontsize=7)
    save(figure, folder, "ranking")
