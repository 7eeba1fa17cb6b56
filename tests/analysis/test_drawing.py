"""What is drawn, looked at by a program: nothing cut, no legend over data, nothing told by colour alone, circles inside."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from espalier.analysis import drawing, figures, methods, redundancy, structure_figures, tables
from espalier.analysis.correlation import correlations
from espalier.analysis.prediction import prediction
from espalier.graphs import barabasi_albert, properties, watts_strogatz
from espalier.settings import Predictor
from espalier.tasks import ACCURACY

RULES = {"constant": 0.5, "bigram": 0.94, "trigram": 0.945}


@pytest.fixture
def drawn(monkeypatch):
    """Figures by name, kept instead of being saved."""
    kept = {}
    for module in (figures, methods, redundancy, structure_figures):
        monkeypatch.setattr(module, "save", lambda figure, folder, name: kept.update({name: figure}))
    return kept


def study(cells=("rnn_tanh", "lstm"), scores=("magnitude",), seeds=3, long="", percents=(20, 50, 100)):
    """(summary, curve, results, survivors) of made-up jobs. Level 50 is regained in epoch 1, 2, ... by seed; 100 never."""
    summary, curve, results, survivors = [], [], [], []
    for cell, target, score, seed in itertools.product(cells, ("i2h", "both"), scores, range(seeds)):
        job = {"cell": cell, "target": target, "score": score, "scope": "global", "variant": long, "seed": seed}
        for percent in percents:
            lost = (percent / 100) ** 2 * 0.5 + 0.01 * seed
            last = 0 if percent == 20 else min(seed + 1, 3) if percent == 50 else 3
            rows = [max(1.0 - lost, 0.5) + 0.1 * epoch / 3 for epoch in range(last + 1)]
            results += [
                {**job, "percent": percent, "epoch": epoch, "val_accuracy": value, "test_accuracy": value}
                for epoch, value in enumerate(rows)
            ]  # fmt: skip
            values = {"base": 1.0, "cut": rows[0], "best": max(rows)}
            row = {f"{what}_{split}_accuracy": value for what, value in values.items() for split in ("val", "test")}
            regain = None if percent == 100 else last
            summary.append({
                **job, "percent": percent, "judge": "validation", **row, "regain_epoch": regain, "regain_step": None,
                "censored": int(regain is None), "epochs": last, "spent": last, "kept": 100 - percent, "total": 100,
            })  # fmt: skip
            survivors += [
                {**job, "percent": percent, "layer": layer, "kind": "h2h", "gate": gate, "kept": 100 - percent, "total": 100}
                for layer in ("l0", "l1") for gate in range(4)
            ]  # fmt: skip
        for percent in range(101):
            value = max(1.0 - (percent / 100) ** 2 * 0.5 - 0.01 * seed, 0.5)
            curve.append({**job, "percent": percent, "judge": "validation", "accuracy": value, "loss": 0.1})
    return [tables.as_series(part) for part in (summary, curve, results, survivors)]


def looked_at(figure):
    """Raises AssertionError for text outside the figure or over other text, and for a legend over data."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    inside = figure.get_tightbbox(renderer).padded(0.01)
    titles = []
    for axis in figure.axes:
        assert axis.get_legend() is None, "a legend inside an axis"
        if not axis.axison:
            continue
        for text in (axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts):
            if text.get_text():
                box = text.get_window_extent(renderer).transformed(figure.dpi_scale_trans.inverted())
                assert inside.contains(*box.min) and inside.contains(*box.max), text.get_text()
        titles.append(axis.title)
    titles += [figure._suptitle] if figure._suptitle else []
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in titles if text.get_text()]
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not first.padded(-1).overlaps(second.padded(-1)), f"{one!r} over {other!r}"
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        assert not any(box.overlaps(axis.get_window_extent(renderer)) for axis in figure.axes), "a legend over an axis"


def points(axis):
    """Every point that is drawn, in the axis's own coordinates."""
    for line in axis.lines:
        if line.get_transform() == axis.transData:
            for x, y in np.column_stack([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)]):
                if math.isfinite(x) and math.isfinite(y):
                    yield x, y


LONG = "model.hidden=[256,256,256] optimizer.name=sgd schedule.name=gradual schedule.shape=cubic retrain.mode=while_improving"


@pytest.mark.parametrize(
    "cells, seeds, long",
    [(("lstm",), 1, LONG), (("rnn_tanh", "lstm"), 3, LONG), (("rnn_tanh", "rnn_relu", "gru", "lstm"), 6, "")],
)
def test_nothing_is_cut_and_no_legend_lies_over_data(drawn, tmp_path, cells, seeds, long):
    summary, curve, results, survivors = study(cells, seeds=seeds, long=long)
    both = pd.concat([summary, summary.assign(variant="")]) if long else summary
    figures.pruning(tmp_path, both, curve, results, survivors, RULES, ACCURACY)
    methods.draw(tmp_path, both, results, ACCURACY)
    assert set(drawn) == {"accuracy", "regain", "survivors"} | ({"methods"} if long else set())
    for figure in drawn.values():
        looked_at(figure)


def test_many_series_of_one_cell_leave_their_panel_its_room(drawn, tmp_path):
    parts = [study(("gru",), seeds=1, long=f"{LONG} schedule.steps={number}") for number in range(7)]
    summary, curve, results, survivors = (pd.concat(part, ignore_index=True) for part in zip(*parts))
    figures.pruning(tmp_path, summary, curve, results, survivors, RULES, ACCURACY)
    looked_at(drawn["accuracy"])
    (axis,) = [axis for axis in drawn["accuracy"].axes if axis.axison]
    assert axis.get_window_extent().height / drawn["accuracy"].dpi > 2


def test_circles_at_both_ends_are_inside_the_frame_and_panels_are_equal(drawn, tmp_path):
    summary, curve, results, survivors = study(percents=(0, 20, 50, 100))
    figures.pruning(tmp_path, summary, curve, results, survivors, RULES, ACCURACY)
    for name in ("accuracy", "regain"):
        axes = [axis for axis in drawn[name].axes if axis.axison]
        assert len({axis.get_ylim() for axis in axes}) == 1 and len({axis.get_xlim() for axis in axes}) == 1
        for axis in axes:
            (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
            for x, y in points(axis):
                assert left < x < right and low < y < high, (name, x, y)


def test_series_differ_in_every_mark(drawn, tmp_path):
    summary, curve, results, survivors = study(("gru",), scores=("magnitude", "random"))
    figures.pruning(tmp_path, summary, curve, results, survivors, RULES, ACCURACY)
    handles = drawn["accuracy"].legends[0].legend_handles
    assert len(handles) == 4
    for one, other in itertools.combinations(handles, 2):
        assert one.get_color() != other.get_color() and one.get_marker() != other.get_marker()
        assert one.get_linestyle() != other.get_linestyle() or one._dash_pattern != other._dash_pattern


def test_rules_are_those_of_the_split_that_is_drawn(drawn, tmp_path):
    summary, curve, results, survivors = study(("gru",))
    figures.pruning(tmp_path, summary, curve, results, survivors, RULES, ACCURACY)
    (axis,) = (axis for axis in drawn["accuracy"].axes if axis.axison)
    told = " ".join(text.get_text().replace("\n", " ") for text in axis.texts)
    assert "constant" in told and "bigram, trigram" in told and "base" in told and "test" not in told
    assert "validation accuracy" in drawn["accuracy"]._suptitle.get_text()


@pytest.mark.parametrize("seeds", [3, 6])
def test_few_seeds_are_lines_and_many_a_band(drawn, tmp_path, seeds):
    summary, curve, results, survivors = study(("gru",), seeds=seeds)
    figures.pruning(tmp_path, summary, curve, results, survivors, {}, ACCURACY)
    (axis,) = drawn["accuracy"].axes
    thin = [line for line in axis.lines if line.get_linewidth() < 0.7]
    assert len(thin) == (2 * seeds if seeds < drawing.ENOUGH else 0) and bool(axis.collections) == (seeds >= drawing.ENOUGH)
    assert ("thin" in drawn["accuracy"]._suptitle.get_text()) == (seeds < drawing.ENOUGH)


def test_what_has_regained_is_carried_on_and_n_is_told_where_it_changes(drawn, tmp_path):
    summary, curve, results, survivors = study(("gru",))
    gone = (results["percent"] == 100) & (results["seed"] == 0) & (results["epoch"] == 3)  # stopped early, not regained
    figures.pruning(tmp_path, summary, curve, results[~gone], survivors, {}, ACCURACY)
    axis = drawn["regain"].axes[0]
    middle = next(line for line in axis.lines if line.get_label() == "50 %")
    own = results[(results["percent"] == 50) & (results["target"] == "both")]
    ends = [own[own["seed"] == seed]["val_accuracy"].iloc[-1] for seed in range(3)]
    assert list(middle.get_xdata()) == [0, 1, 2, 3] and middle.get_ydata()[-1] == pytest.approx(np.mean(ends))
    assert (np.diff(middle.get_ydata()) >= 0).all()  # as no good seed leaves
    assert [text.get_text() for text in axis.texts if text.get_text().startswith("n =")] == ["n = 2"]
    assert [text.get_text() for text in drawn["regain"].legends[0].get_texts()] == ["50 %", "100 %"]


def test_survivors_stand_at_their_true_places(drawn, tmp_path):
    summary, curve, results, survivors = study(("gru",), percents=(20, 90, 100))
    figures.pruning(tmp_path, summary, curve, results, survivors, {}, ACCURACY)
    axis = drawn["survivors"].axes[0]
    assert list(axis.get_xticks()) == [20, 90, 100] and axis.get_xlim() == (-15, 105)
    assert "±0" in axis.texts[0].get_text() and "n = 3" in drawn["survivors"]._suptitle.get_text().replace("\u00a0", " ")


def test_figures_of_redundant_units_are_whole(drawn, tmp_path):
    share = np.random.default_rng(0).dirichlet(np.ones(12), 30)
    points = np.stack([share.mean(0) - share.min(0), share.max(0) - share.mean(0)], 1)
    redundancy.draw(tmp_path, [(f"{LONG}, {title}", share, points, points.mean(0)) for title in ("base", "30 % removed")])
    redundancy.draw_forecast(tmp_path, share[:, 0], {LONG: share[:, 1], "base": share[:, 2]}, ACCURACY)
    summary = study(("lstm",))[0]
    summary = summary[summary["target"] == "both"].assign(target="unit")
    controls = summary[[*tables.SERIES, "seed", "percent"]].assign(dense_test=0.9, gradual_test=0.8)
    redundancy.draw_sizes(tmp_path, summary, controls, {"base_widths": [100], "baselines": RULES}, ACCURACY)
    assert set(drawn) == {"variation", "forecast", "sizes"}
    for figure in drawn.values():
        looked_at(figure)


def simulated(colour):
    """A colour as seen without green cones, in CIE Lab (Machado, Oliveira, Fernandes 2009, severity 1)."""
    linear = np.array([part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)])
    seen = np.clip(
        np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]) @ linear,
        0,
        1,
    )
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    f = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.008856))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_colours_stay_apart_without_green_cones():
    for one, other in itertools.combinations(drawing.COLOURS, 2):
        assert np.linalg.norm(simulated(one) - simulated(other)) > 10, (one, other)


@pytest.mark.parametrize("varies", [True, False])
def test_figures_of_a_search_are_whole_and_in_words(drawn, tmp_path, varies):
    noise, rows = np.random.default_rng(0), []
    for number in range(12):
        for family in ("barabasi_albert", "watts_strogatz"):
            n = int(noise.integers(10, 40))
            graph = barabasi_albert(n, 0.1, number) if family == "barabasi_albert" else watts_strogatz(n, 0.2, 1, number)
            rows.append(
                {"mode": "GRU", "graph": family, "graph_nr": number, **properties(graph), "test_acc": noise.uniform(0.5, 1)}
            )
    frame = pd.DataFrame(rows) if varies else pd.DataFrame(rows).assign(test_acc=0.5)
    found = correlations(frame)
    predicted, held, _ = prediction(frame, Predictor(regressors=["bayesian_ridge"], repeats=1))
    structure_figures.families(tmp_path, frame, ACCURACY)
    structure_figures.correlations(tmp_path, found, ACCURACY)
    structure_figures.joint(tmp_path, frame, found, ACCURACY)
    structure_figures.predicted(tmp_path, frame, held, predicted, ACCURACY)
    for figure in drawn.values():
        looked_at(figure)
        assert figure.get_tightbbox().height < 1.2 * figure.get_figheight()
    labels = [axis.get_xlabel() for axis in drawn["joint"].axes]
    assert any(label.startswith("average shortest path length\n") for label in labels)
    assert not any("_" in label for label in labels)
    assert varies != any("accuracy does not vary" in label for label in labels)
    assert "too few graphs" in drawn["predicted"].axes[0].get_title()
    assert all("n = 12" in label.get_text() for label in drawn["families"].axes[0].get_xticklabels())
