"""Figures of redundant units: how the shares of units vary over sequences, and the two points that decide."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from espalier.analysis.figures import STYLE, head, save

#: Passes that are drawn, the first and the last among them.
MOST = 5


@matplotlib.rc_context({**STYLE, "axes.grid": False})
def draw(folder, passes):
    """`variation`: a row per pass: a heat map of shares, units (sorted by their mean) x sequences, and the scatter of units
    with the mean and the origin, of which the nearer one decides.

    passes: (title, shares `(sequences, units)` of the units that are left, points `(units, 2)`, middle `(2,)`).
    """
    places = np.unique(np.linspace(0, len(passes) - 1, min(MOST, len(passes))).round().astype(int))
    figure, axes = plt.subplots(len(places), 2, figsize=(11, 3.0 * len(places)), squeeze=False)
    for (left, right), place in zip(axes, places):
        title, shares, points, middle = passes[place]
        order = np.argsort(-shares.mean(0), kind="stable")
        image = left.imshow(shares[:, order].T, aspect="auto", cmap="viridis", interpolation="nearest", vmin=0)
        figure.colorbar(image, ax=left, label="share of the layer's movement")
        left.set(title=title, xlabel="sequence", ylabel="unit, by its mean share")
        stays = points @ middle >= middle @ middle / 2
        for kept, colour, marker, word in ((True, "#1b6ca8", "o", "stay"), (False, "#c8553d", "x", "redundant")):
            own = points[stays == kept]
            right.plot(own[:, 0], own[:, 1], marker, color=colour, markersize=4, linestyle="", label=f"{len(own)} {word}")
        for point, name in ((middle, "mean"), (np.zeros(2), "origin")):
            right.plot(*point, "*", color="black", markersize=10)
            right.annotate(name, point, xytext=(6, 4), textcoords="offset points", fontsize=7)
        right.set(xlabel="mean share - least share", ylabel="greatest share - mean share", title="nearer to the mean stays")
        right.legend(fontsize=7, loc="best")
    head(figure, "variation of units over the sequences that judge")
    save(figure, folder, "variation")
