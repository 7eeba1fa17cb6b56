"""What a level buys: the dense, masked, CSR and shrunk network side by side in time and bytes."""

import math

import matplotlib
import numpy as np
import pandas as pd

from espalier.analysis import tables
from espalier.analysis.figures import STYLE, grid, save
from espalier.analysis.page import Table

NETWORKS = {"dense": "#22223b", "masked": "#8d99ae", "csr": "#c8553d", "shrunk": "#1b6ca8"}
WAYS = {"csr": "CSR", "shrunk": "shrinking"}
#: What costs.csv says of exported files: column -> (heading, format).
EXPORTED = {
    "onnx_bytes": ("ONNX, bytes", ",.0f"), "onnx_ms_1": ("ms, batch 1", ".3f"),
    "onnx_difference": ("largest difference from torch", ".1e"), "int8_bytes": ("int8, bytes", ",.0f"),
    "int8_ms_1": ("ms, batch 1", ".3f"), "int8_error": ("off by, of the largest output", ".2g"),
    "file_bytes": ("state dict, bytes", ",.0f"),
}  # fmt: skip
PANELS = {"ms_1": "batch 1, ms", "ms_32": "batch 32, ms", "bytes": "KiB"}


@matplotlib.rc_context(STYLE)
def draw(folder, rows):
    """rows: those of costs.csv.  Figure `worth`: a panel per measure, a row per cell and target."""
    frame = pd.DataFrame(rows)
    frame = frame[frame["ms_1"].notna()] if "ms_1" in frame else frame.head(0)
    if frame.empty:
        return
    kinds = list(frame.groupby(["cell", "target"], sort=False))
    figure, axes = grid(3 * len(kinds), 4.0, 3.2)
    panels = [(about, part, panel) for about, part in kinds for panel in PANELS.items()]
    for axis, ((cell, target), part, (column, title)) in zip(axes, panels):
        for name, colour in NETWORKS.items():
            own = part[part["network"] == name].groupby("percent")[column].median()
            values = own.to_numpy(dtype=float) / (1024 if column == "bytes" else 1)
            axis.plot(own.index, values, marker="o", markersize=3, color=colour, label=name, linewidth=1.2)
        which = f"{tables.NAMES.get(cell, cell)}, {target}: " if len(kinds) > 1 else ""
        axis.set(title=which + title, xlabel="percent removed", ylim=(0, None))
        ticks = np.array(sorted(part["percent"].unique()), dtype=float)
        axis.set_xticks(ticks[:: max(1, len(ticks) // 6)])
    axes[0].legend(fontsize=7)
    save(figure, folder, "worth")


def section(costs):
    """What the report tells of it: sentences, times and exported files, or None.  costs: rows of costs.csv as a DataFrame."""
    if costs is None or not costs["ms_1"].notna().any():
        return None
    told, rows = [], []
    for (cell, target), series in costs[costs["ms_1"].notna()].groupby(["cell", "target"], sort=False):
        name = f"{tables.NAMES.get(cell, cell)}, {target}"
        middle = series.groupby(["percent", "network"])[["nonzero", "bytes", "multiply_adds", "ms_1", "ms_32"]].median()
        told += [f"{name}: {WAYS[network]} pays in {pays(middle, network)}." for network in WAYS]
        for percent in middle.index.unique("percent"):
            dense = middle.loc[percent, "dense"]
            for network in NETWORKS:
                row = middle.loc[percent, network]
                times = [dense[batch] / row[batch] for batch in ("ms_1", "ms_32")]
                rows.append([
                    name, f"{percent:g} %", network, f"{row['nonzero']:,.0f}", f"{row['bytes'] / 1024:,.1f}",
                    f"{row['multiply_adds']:,.0f}", f"{row['ms_1']:.3f}", f"{row['ms_32']:.3f}",
                    *(f"{x:.2f}" for x in times),
                ])  # fmt: skip
    columns = [
        "", "level", "network", "parameters that are not zero", "KiB", "multiply-adds per sequence", "ms, batch 1",
        "ms, batch 32", "times as fast as dense, batch 1", "batch 32",
    ]  # fmt: skip
    return {"sentences": told, "times": Table(columns, rows, 3), "exported": shipped(costs)}


def pays(middle, network):
    """From which level on, and at every level above, a network is better than dense, in words."""
    parts = []
    for measure, name in (("ms_1", "time at batch 1"), ("ms_32", "time at batch 32"), ("bytes", "memory")):
        better = middle.xs(network, level="network")[measure] < middle.xs("dense", level="network")[measure]
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
        rows.append([tables.NAMES.get(row.cell, row.cell), row.target, f"{row.percent:g} %", *told])
    columns = ["cell", "target", "level", *(heading for heading, _ in numbers.values())]
    return Table(columns, rows, 2) if rows else None
