"""What figures are made of: panels, marks, repetitions, rules at the edge, legends. Saved as PNG and SVG."""

import io
import itertools
import math
import textwrap

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from espalier.runs import files

#: Colours that stay apart without green cones, and without red ones (Okabe and Ito 2008), as far as they are dark enough.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#6f6f6f")
#: Marks and lines that go with colours, so that series are told apart without these, on paper too.
MARKS, LINES = "os^vDPX*", ("-", "--", "-.", ":", (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2, 1, 2)))
STYLE = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "font.size": 9,
    "axes.titlesize": 9.5, "legend.frameon": False, "legend.fontsize": 7.5, "figure.constrained_layout.use": True,
    "svg.hashsalt": "espalier",
}  # fmt: skip
#: Seeds from which on an interval says more than the seeds themselves.
ENOUGH = 5


def style(place):
    """Colour, mark and line of the series at this place: all three differ from those of the others, of eight at least."""
    turn = place // len(COLOURS)
    return {
        "color": COLOURS[place % len(COLOURS)], "marker": MARKS[(place + turn) % len(MARKS)], "markersize": 4.5,
        "linestyle": LINES[(place + turn) % len(LINES)], "linewidth": 1.3,
    }  # fmt: skip


def styles(keys):
    """Key -> style, in the order of the keys."""
    return {key: style(place) for place, key in enumerate(dict.fromkeys(keys))}


def save(figure, folder, name):
    """`name.png` and `name.svg`, each whole and nothing of it cut."""
    for kind, content in rendered(figure).items():
        with files.whole(folder / f"{name}.{kind}") as file:
            file.write(content)


def subplots(rows, columns, size):
    """A figure of so many inches and its axes `(rows, columns)`, outside of pyplot, whose windows are the user's."""
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def rendered(figure):
    """Kind of file -> its bytes. The figure is laid out and measured once and drawn twice."""
    figure.set_dpi(150)
    figure.get_layout_engine().execute(figure)
    contents = {}
    with matplotlib.rc_context({"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)
        box = figure.get_tightbbox().padded(0.08)
        for kind in ("png", "svg"):
            content = io.BytesIO()
            more = {"Date": None} if kind == "svg" else None
            figure.savefig(content, format=kind, dpi=150, metadata=more, bbox_inches=box)
            contents[kind] = content.getvalue()
    return contents


def grid(count, width=4.2, height=3.2, columns=None):
    """A figure and `count` axes, at most four side by side; three, where the targets of each cell fill a row."""
    columns = columns or (3 if count % 3 == 0 else 2 if count == 4 else min(count, 4))
    rows = math.ceil(count / columns)
    figure, axes = subplots(rows, columns, (width * columns, height * rows))
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return figure, list(axes.flat[:count])


def head(figure, text):
    """The line above all axes, broken where the figure is too narrow for it."""
    text = text.replace("n = ", "n\u00a0=\u00a0")
    figure.suptitle(textwrap.fill(text, int(12.5 * figure.get_figwidth())), fontsize=9)


def entitle(axis, text):
    """The title of a panel, broken where the panel is too narrow for it."""
    width = axis.figure.get_figwidth() / axis.get_gridspec().ncols
    axis.set_title(textwrap.fill(text, max(20, int(10 * width))))


def legend(figure, axes, order=(), **more):
    """One legend below all axes, over no data, of what any of them shows; what `order` names comes first, as it has it."""
    shown = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            shown.setdefault(label, handle)
    if not shown:
        return
    first = [label for label in order if label in shown]
    shown = {label: shown[label] for label in (*first, *(label for label in shown if label not in first))}
    labels = [textwrap.fill(label, 70) for label in shown]
    longest = max(len(line) for label in labels for line in label.splitlines())
    ncols = max(1, min(len(labels), int(figure.get_figwidth() / (0.6 + 0.063 * longest))))
    lines = math.ceil(len(labels) / ncols) * max(len(label.splitlines()) for label in labels)
    figure.set_figheight(figure.get_figheight() + 0.16 * max(0, lines - 4))  # or many would take the axes' place
    figure.legend(shown.values(), labels, loc="outside lower center", ncols=ncols, **more)


def interval(values):
    """Half the width of the 95 % interval of the mean (Student's t), what is missing left out; NaN for a single value."""
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return math.nan
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))


def repetitions(axis, frame, x, y, metric, **line):
    """The mean of column y over seeds at each value of column x: of `ENOUGH` seeds with its 95 % interval as a band, within the
    limits of the metric; of fewer, with every seed as a thin line, for their interval would be wider than what they show.
    Returns the table: a row per x, a column per seed.
    """
    table = frame.pivot_table(index=x, columns="seed", values=y).astype(float)
    mean = table.mean(axis=1)
    axis.plot(mean.index, mean, **line)
    if table.shape[1] >= ENOUGH:
        half = np.array([interval(values) for values in table.to_numpy()])
        low, high = metric.inside(mean.to_numpy() - half), metric.inside(mean.to_numpy() + half)
        axis.fill_between(mean.index, low, high, color=line["color"], alpha=0.18, linewidth=0)
    elif table.shape[1] > 1:
        thin = {**line, "linewidth": 0.6, "alpha": 0.55, "marker": "", "label": None}
        for seed in table:
            axis.plot(table.index, table[seed], **thin)
    return table


def repeated(seeds):
    """What a figure says of its repetitions."""
    if seeds == 1:
        return "n = 1 seed"
    return f"n = {seeds} seeds, " + ("mean and 95 % interval" if seeds >= ENOUGH else "thin, and their mean")


def fit(axes, metric, values=(), x=None):
    """The same limits for axes that are compared, with room for the marks at their ends, also where the metric ends.

    values: what has to be seen besides what is drawn.  x: limits across, which get such room too; None: as they are.
    """
    ends = [axis.dataLim for axis in axes]
    low = min([end.y0 for end in ends if math.isfinite(end.y0)] + list(values), default=0.0)
    high = max([end.y1 for end in ends if math.isfinite(end.y1)] + list(values), default=1.0)
    room = 0.06 * (high - low or abs(high) or 1)
    for axis in axes:
        axis.set_ylim(low - room, high + room)
        if x is not None:
            aside = 0.03 * (x[1] - x[0] or abs(x[1]) or 1)
            axis.set_xlim(x[0] - aside, x[1] + aside)


def edge(axis, values, firm=()):
    """A thin line per value, named beside the right edge, where no data are; call it when limits are set.

    values: name -> value; firm: names of those whose lines are solid and black, others are dotted and grey.
    """
    low, high = axis.get_ylim()
    inside = {name: value for name, value in values.items() if value is not None and low <= value <= high}
    for name, value in inside.items():
        solid = name in firm
        axis.axhline(value, color="black" if solid else "#6f6f6f", linewidth=0.8, linestyle="-" if solid else ":", zorder=1)
    # Names at nearly the same height share a line of text; others move apart.
    height = 0.11 / (axis.figure.get_figheight() / axis.get_gridspec().nrows * 0.75)
    places = []
    for name, value in sorted(inside.items(), key=lambda item: item[1]):
        at = (value - low) / (high - low)
        if places and at - places[-1][0] < 0.4 * height:
            places[-1][1].append(name)
        else:
            places.append([at if not places else max(at, places[-1][0] + height), [name]])
    for at, names in places:
        text = textwrap.fill(", ".join(names), 24)
        axis.annotate(
            text, (1, at), xycoords="axes fraction", fontsize=6.5, color="#444444", ha="left", va="center", xytext=(3, 0),
            textcoords="offset points",
        )  # fmt: skip


def words(name):
    """A column's name in words: `average shortest path length`, `degree (variance)`."""
    return name.removesuffix("_var").replace("_", " ") + (" (variance)" if name.endswith("_var") else "")


def middles(places):
    """The edges of cells around places on an axis: half-way to the next, and as far outside."""
    places = sorted(places)
    if len(places) == 1:
        return [places[0] - 5, places[0] + 5]
    between = [(one + other) / 2 for one, other in itertools.pairwise(places)]
    return [2 * places[0] - between[0], *between, 2 * places[-1] - between[-1]]
