"""The studies of feed-forward networks, small, from the command line."""

import json

import pandas as pd
import pytest

from espalier.analysis import methods, tables
from espalier.tasks import ACCURACY

FAST = [
    "data=digits", "model=feedforward", "data.train_size=400", "trainer.max_epochs=4", "logger=none", "curve=false",
    "device=cpu",
]  # fmt: skip


def summary_of(tmp_path, where="prune"):
    (path,) = (tmp_path / "outputs" / where).rglob("summary.csv")
    return tables.read(path)


LADDERS = {
    25: [59550, 44662, 33496, 25122, 18841, 14131, 10598, 7948, 5961, 4471, 3353, 2515, 1886, 1414, 1060, 795, 596, 447],
    50: [39700, 19850, 9925, 4963, 2482, 1241, 621, 311],
}


@pytest.mark.parametrize("percent", LADDERS)
def test_rounds_leave_the_studys_numbers_of_weights(door, tmp_path, percent):
    rounds = ["schedule=iterative", "schedule.of=left", "schedule.smallest=500", f"percent={percent}", "rule=percentile"]
    code, _, err = door("prune", *FAST, *rounds, "retrain.max_epochs=0", "trainer.max_epochs=1")
    assert code == 0, err
    summary = summary_of(tmp_path)
    assert set(summary["total"]) == {79400} and summary["kept"].tolist() == LADDERS[percent]


def test_a_fixed_number_goes_at_every_level(door, tmp_path):
    steps = ["schedule=fixed_number", "schedule.weights=10000", "percent=100", "schedule.smallest=30000"]
    code, _, err = door("prune", *FAST, *steps, "retrain.max_epochs=0", "trainer.max_epochs=1")
    assert code == 0, err
    assert summary_of(tmp_path)["kept"].tolist() == [69400, 59400, 49400, 39400, 29400]


def test_training_goes_on_while_it_improves(door, tmp_path):
    code, _, err = door(
        "prune", *FAST, "percent=[50,97]", "retrain=while_improving", "retrain.max_epochs=12", "retrain.min_delta=0.001"
    )
    assert code == 0, err
    (path,) = (tmp_path / "outputs" / "prune").rglob("results.csv")
    results, summary = tables.read(path), summary_of(tmp_path)
    for percent, rows in results[results["epoch"].notna()].groupby("percent"):
        if percent == 0:
            continue
        values, since, best = rows.sort_values("epoch")["val_accuracy"].tolist(), 0, -1.0
        for place, value in enumerate(values):
            since, best = (0, value) if value > best + 0.001 else (since + 1, max(best, value))
            assert since < 2 or place == len(values) - 1  # two epochs that are not better end it, and nothing else does
        assert since == 2 or len(values) == 13
    assert (summary["spent"] == summary["epochs"]).all()


def test_methods_are_ranked_at_equal_weights_and_by_epochs_spent(door, tmp_path):
    sweep = [
        "experiment=ffn_methods", *(key for key in FAST if "=digits" not in key and "model" not in key), "percent=[50,80]",
        "data.side=8", "retrain.max_epochs=1", "score=magnitude,random,obs", "scope=layer", "seed=0,1",
        "schedule=one_shot,iterative",
    ]  # fmt: skip
    code, out, err = door("prune", "-m", *sweep)
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    summary = tables.read(folder / "summary.csv")
    (keys,) = methods.groups(summary)
    assert len(keys) == 6 and (folder / "figures" / "methods.svg").exists()
    iterative = summary["variant"].str.contains("iterative") & (summary["percent"] == 80)
    assert summary[iterative]["spent"].tolist() == [2] * 6 and summary[~iterative]["spent"].max() == 1
    places, values = methods.ranks(summary, keys, 80, ACCURACY)
    assert places.shape == (2, 6) and places.sum() == 2 * 21
    random = [k for k, key in enumerate(keys) if key[2] == "random"]
    magnitude = [k for k, key in enumerate(keys) if key[2] == "magnitude"]
    assert values[:, random].mean() < values[:, magnitude].mean()
    page = (folder / "report.html").read_text()
    assert "80 % removed: " in out and methods.groups(summary.drop(columns="spent")) == []
    assert "Which method?" in page and "Pruning feed-forward networks" in page
    # once more: nothing to do
    code, out, _ = door("prune", "-m", *sweep)
    assert code == 0 and "12 of 12 jobs were done before" in out


def test_the_order_of_the_methods_right_after_the_cut_is_the_studys(door, tmp_path):
    sweep = [
        "experiment=ffn_methods", "logger=none", "percent=[90]", "schedule=one_shot", "retrain.max_epochs=0",
    ]  # fmt: skip
    code, _, err = door("prune", "-m", *sweep, "score=random,magnitude,class_distributed,obd", "scope=global,layer")
    assert code == 0, err
    summary = summary_of(tmp_path, "sweeps").set_index(["score", "scope"])["cut_test_accuracy"]
    ahead = [summary["magnitude", "global"], summary["obd", "global"]]
    middle = [summary["class_distributed", "global"], summary["magnitude", "layer"]]
    assert min(ahead) > max(middle) and min(middle) > summary["random", "global"]


def test_weights_against_units(door, tmp_path):
    small = ["model.hidden=[40,30,20]", "modules=[layers.0,layers.2,layers.4]", "percent=[25,50]", "data.side=8"]
    code, _, err = door("prune", "-m", "experiment=ffn_weights_vs_units", *small, "logger=none", "trainer.max_epochs=2")
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    summary, costs = tables.read(folder / "summary.csv"), pd.read_csv(folder / "costs.csv")
    total = 64 * 40 + 40 * 30 + 30 * 20
    left = summary.set_index(["target", "percent"])["kept"]
    assert left["linear", 25] == round(0.75 * total) and set(summary["target"]) == {"linear", "unit"}
    assert left["unit", 50] == 64 * 20 + 20 * 15 + 15 * 10 + 10 * 10
    shrunk = costs[(costs["network"] == "shrunk") & (costs["target"] == "unit")].set_index("percent")
    assert shrunk["parameters"][50] == left["unit", 50] and set(costs["network"]) == {"dense", "masked", "csr", "shrunk"}
    assert (folder / "figures" / "structures.png").exists()
    result = json.loads(next((tmp_path / "outputs" / "prune").rglob("result.json")).read_text())
    assert result["baselines"]["constant"] < 0.2


@pytest.mark.parametrize(
    "overrides, told",
    [
        (["data=digits"], "data=digits has images, no sequences: add model=feedforward"),
        (["model=feedforward"], "model=feedforward reads examples of one size (data=digits, data=mnist), data=reber has"),
        (["data=digits", "model=feedforward", "target=h2h"], "target=h2h names recurrent weights, model=feedforward has none"),
        (["data=digits", "model=feedforward", "cell=gru"], "cell=gru: model=feedforward has no recurrent cell"),
        (["data=digits", "model=feedforward", "export=torch"], "export writes recurrent networks"),
        (["data=mnist", "model=feedforward"], "data=mnist needs data.root=DIR"),
        (["fresh=true", "base=x.pt"], "fresh=true needs the epochs of the base"),
        (["retrain=while_improving", "retrain.patience=0"], "retrain.patience must be positive, got 0"),
        (["retrain.patience=1"], "retrain.patience"),
        (["modules=[nothing]"], "modules: 'nothing' matches no weight"),
    ],
)
def test_what_does_not_go_together_is_one_line(door, tmp_path, overrides, told):
    code, _, err = door("prune", *overrides, "trainer.max_epochs=1", "data.train_size=100")
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1 and told in err
    assert not (tmp_path / "outputs").exists()
