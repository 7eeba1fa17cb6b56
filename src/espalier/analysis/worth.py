"""What a level buys: the dense, masked, CSR and shrunk network side by side in time and bytes."""

import math

import matplotlib
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator

from espalier.analysis import tables
from espalier.analysis.drawing import COLOURS, STYLE, entitle, grid, head, legend, save
from espalier.analysis.page import Table, number

#: Network -> (colour, marker, line) in the figure.
NETWORKS = {
    "dense": (COLOURS[4], "o", "-"), "masked": (COLOURS[7], "v", "--"), "csr": (COLOURS[1], "s", "-."),
    "shrunk": (COLOURS[0], "D", "-"), "c": (COLOURS[2], "^", "--"), "c_int8": (COLOURS[3], "P", ":"),
}  # fmt: skip
#: What they are called there.
CALLED = {"csr": "CSR", "c": "C", "c_int8": "C, int8"}
WAYS = {"csr": "CSR", "shrunk": "shrinking", "c": "the program in C", "c_int8": "the program in C, in int8,"}
#: What costs.csv says of exported files: column -> (heading, format).
EXPORTED = {
    "onnx_bytes": ("ONNX, bytes", ",.0f"), "onnx_ms_1": ("ms, batch 1", ".3f"),
    "onnx_difference": ("largest difference from torch", ".1e"), "int8_bytes": ("int8, bytes", ",.0f"),
    "int8_ms_1": ("ms, batch 1", ".3f"), "int8_error": ("off by, of the largest output", ".2g"),
    "file_bytes": ("state dict, bytes", ",.0f"),
}  # fmt: skip
#: What tells exported files apart.
WHICH = ["cell", "target", "score", "seed", "level"]
PANELS = {"ms_1": "times as fast, batch 1", "ms_32": "times as fast, batch 32", "bytes": "KiB"}


@matplotlib.rc_context(STYLE)
def draw(folder, rows):
    """rows: those of costs.csv.  Figure `worth`: a panel per measure, a row per series; where a network is above the
    line at 1, it pays.
    """
    frame = pd.DataFrame(rows)
    frame = frame[frame["ms_1"].notna()] if "ms_1" in frame else frame.head(0)
    if frame.empty:
        return
    frame = tables.as_series(frame)
    keys = tables.series(frame)
    figure, axes = grid(3 * len(keys), 4.0, 3.2)
    panels = [(key, tables.of_series(frame, key), panel) for key in keys for panel in PANELS.items()]
    for axis, (key, part, (column, title)) in zip(axes, panels):
        middle = part.groupby(["network", "percent"])[column].median().astype(float)
        for name, (colour, marker, line) in NETWORKS.items():
            if name not in middle.index or middle[name].isna().all():
                continue
            values = middle[name].dropna()
            values = values / 1024 if column == "bytes" else (middle["dense"] / values).dropna()
            how = {"marker": marker, "markersize": 4, "color": colour, "linestyle": line, "linewidth": 1.2}
            axis.plot(values.index, values, label=CALLED.get(name, name), **how)
            if column != "bytes" and f"{column}_low" in part and name != "dense":
                ends = part[part["network"] == name].groupby("percent")[[f"{column}_low", f"{column}_high"]].median()
                ends = ends.astype(float).dropna()
                ends = ends.rdiv(middle["dense"].reindex(ends.index), axis=0)
                axis.vlines(ends.index, ends[f"{column}_high"], ends[f"{column}_low"], color=colour, linewidth=0.9, alpha=0.7)
        which = f"{tables.titled(key, keys)}: " if len(keys) > 1 else ""
        axis.set_xlabel("percent removed")
        entitle(axis, which + title)
        if column == "bytes":
            axis.set_ylim(0, None)
        else:
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_locator(NullLocator())
            axis.axhline(1, color="#22223b", linewidth=0.6)
        ticks = spaced(part["percent"])
        axis.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    for place in range(len(PANELS)):  # the same of every row, for they are compared
        own = axes[place :: len(PANELS)]
        low, high = min(axis.get_ylim()[0] for axis in own), max(axis.get_ylim()[1] for axis in own)
        for axis in own:
            axis.set_ylim(low, high)
    legend(figure, axes)
    if "repeats" in frame:
        head(figure, f"against dense: medians of {int(frame['repeats'].max())} passes, upright: their quartiles")
    save(figure, folder, "worth")


def spaced(percents):
    """Of percents those that have room for their number on an axis, the highest first of all."""
    percents = sorted(set(map(float, percents)), reverse=True)
    kept = percents[:1]
    for percent in percents[1:]:
        if kept[-1] - percent >= (percents[0] - percents[-1]) / 7:
            kept.append(percent)
    return kept[::-1]


def section(costs):
    """What the report tells of it: sentences, times and exported files, or None.  costs: rows of costs.csv as a DataFrame."""
    if costs is None or not costs["ms_1"].notna().any():
        return None
    told, rows = [], []
    measured = [f"ms_{batch}{end}" for batch in (1, 32) for end in ("", "_low", "_high")]
    costs = costs.reindex(columns=list(dict.fromkeys([*costs, *measured, "repeats"])))  # runs of before have no quartiles
    timed = tables.as_series(costs[costs["ms_1"].notna()])
    keys = tables.series(timed)
    for key in keys:
        name = tables.titled(key, keys)
        own = tables.of_series(timed, key).groupby(["percent", "network"])
        middle = own[["nonzero", "bytes", "multiply_adds", *measured]].median()
        there = [network for network in NETWORKS if network in middle.index.unique("network")]
        told += [f"{name}: {WAYS[network]} pays in {pays(middle, network)}." for network in there if network in WAYS]
        for percent in middle.index.unique("percent"):
            dense = middle.loc[percent, "dense"]
            for network in there:
                if (percent, network) not in middle.index:
                    continue
                row = middle.loc[percent, network]
                numbers = [(row["nonzero"], ",.0f"), (row["bytes"] / 1024, ",.1f"), (row["multiply_adds"], ",.0f")]
                cells = ["" if math.isnan(value) else format(value, form) for value, form in numbers]
                cells += [passed(row, batch) for batch in (1, 32)]
                cells += ["" if network == "dense" else speed(dense, row, batch) for batch in (1, 32)]
                rows.append([name, f"{percent:g} %", CALLED.get(network, network), *cells])
    columns = [
        "", "level", "network", "parameters that are not zero", "KiB", "multiply-adds per sequence", "ms, batch 1",
        "ms, batch 32", "times as fast as dense, batch 1", "batch 32",
    ]  # fmt: skip
    repeats = costs.loc[costs["network"] == "dense", "repeats"].max()
    return {
        "sentences": told, "times": Table(columns, rows, 3), "exported": shipped(costs), "programs": programs(costs),
        "repeats": None if math.isnan(repeats) else int(repeats),
    }  # fmt: skip


def passed(row, batch):
    """Milliseconds: median and, in brackets, quartiles."""
    middle, low, high = (row[f"ms_{batch}{end}"] for end in ("", "_low", "_high"))
    if math.isnan(middle):
        return ""
    return f"{middle:.3f}" + ("" if math.isnan(low) else f" ({low:.3f} to {high:.3f})")


def speed(dense, row, batch):
    """How many times as fast as dense, or that it is no other speed: the quartiles overlap."""
    if math.isnan(row[f"ms_{batch}"]):
        return ""
    return "equal" if equal(dense, row, batch) else f"{dense[f'ms_{batch}'] / row[f'ms_{batch}']:.2f}"


def equal(one, other, batch):
    """Whether two times differ by less than their spread; False where that is not known.  Rows, or columns of them."""
    low, high = f"ms_{batch}_low", f"ms_{batch}_high"
    return (one[low] <= other[high]) & (other[low] <= one[high])


def programs(costs):
    """The table of what was written in C, or None."""
    rows = []
    for row in costs[costs["network"].isin(["c", "c_int8"])].itertuples():
        parts = ((row.c_difference, ".1e"), (row.int8_error, ".2g"))
        told = ["" if math.isnan(value) else format(value, form) for value, form in parts]
        note = row.note if isinstance(row.note, str) else ""
        rows.append([*_which(row), CALLED[row.network], *told, note])
    columns = [*WHICH, "", "largest difference from torch", "int8 off by, of the largest output", ""]
    return Table(columns, rows, 6) if rows else None


def price(summary, metric):
    """What tiles cost against single weights at the same percent: a `Table` of means over seeds, or None where not both are
    there.  summary: rows of summary.csv as a DataFrame.
    """
    tiles = summary[summary["target"].str.endswith("-block")]
    tiles = tiles.assign(target=tiles["target"].str.removesuffix("-block"))
    both = tiles.merge(summary, on=["cell", "target", "score", "scope", "seed", "percent"], suffixes=("", "_single"))
    rows = []
    for key, own in both.groupby(["cell", "target", "score", "variant", "percent"], sort=False):
        cell, target, score, variant, percent = key
        cells = []
        for what in ("cut", "best"):
            single, tile = (own[f"{what}_test_{metric.name}{end}"] for end in ("_single", ""))
            cells += [number(single), number(tile), number((single - tile) * (1 if metric.higher else -1))]
        rows.append(
            [
                tables.NAMES.get(cell, cell),
                tables.in_words(target),
                score,
                variant,
                f"{percent:g} %",
                own["seed"].nunique(),
                *cells,
            ]
        )
    heads = [f"{what}, {head}" for what in ("cut", "best") for head in ("single", "tiles", "price")]
    return Table(["cell", "target", "score", "variant", "level", "n", *heads], rows, 5) if rows else None


def pays(middle, network):
    """From which level on, and at every level above, a network is better than dense, in words."""
    parts = []
    for measure, name in (("ms_1", "time at batch 1"), ("ms_32", "time at batch 32"), ("bytes", "memory")):
        ours = middle.xs(network, level="network").dropna(subset=measure)
        if ours.empty:
            continue
        dense = middle.xs("dense", level="network").reindex(ours.index)
        better = ours[measure] < dense[measure]
        if measure != "bytes" and f"{measure}_low" in ours:
            better &= ~equal(dense, ours, measure.removeprefix("ms_"))
        from_here = better[::-1].cummin()[::-1]
        levels = list(from_here.index[from_here])
        parts.append(f"{name} from {levels[0]:g} % on" if levels else f"{name} at no level")
    return ", ".join(parts)


def shipped(costs):
    """The table of exported files, or None."""
    rows = []
    numbers = {name: entry for name, entry in EXPORTED.items() if name in costs and costs[name].notna().any()}
    there = costs[[name for name in numbers if name.endswith("bytes")]].notna().any(axis=1) if numbers else []
    for row in costs[there].itertuples() if numbers else ():
        values = [(getattr(row, name), form) for name, (_, form) in numbers.items()]
        told = ["" if math.isnan(value) else format(value, form) for value, form in values]
        rows.append([*_which(row), *told])
    columns = [*WHICH, *(heading for heading, _ in numbers.values())]
    return Table(columns, rows, 5) if rows else None


def _which(row):
    """Of which job and level a row of costs.csv is, in words."""
    return tables.NAMES.get(row.cell, row.cell), tables.in_words(row.target), row.score, row.seed, f"{row.percent:g} %"
