"""What stands in conf/: every file composes, every experiment runs."""

import importlib.util
from pathlib import Path

import pytest
from helpers import TINY_PRUNE

from espalier import cli
from espalier.errors import InputError
from espalier.names import WEIGHT_SCORES
from espalier.runs.identity import plain
from espalier.settings import Model, PruneConfig, StructureConfig, TrainConfig, to_config
from espalier.settings.means import parameters, refuse_beyond

ROOT = Path(__file__).parents[1]
FAST = [*TINY_PRUNE, "curve=false", "logger=none"]


def composed(door_name, *overrides):
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), **cli.VERSION_BASE):
        return to_config(compose(door_name, list(overrides)))


ENGINES = {"joblib": "hydra_joblib_launcher", "slurm": "hydra_submitit_launcher", "ray": "hydra_ray_launcher"}


def options(group):
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


#: Groups and members that are not prune.py's.
DOOR_OF = {
    "graph": "structure_search", "predictor": "structure_search", "structure_search": "structure_search",
    "thesis_structure": "structure_search", "train": "train",
}  # fmt: skip
#: Members that go together only.
TOGETHER = {
    "digits": ["model=feedforward"], "mnist": ["model=feedforward"], "feedforward": ["data=digits"],
    "redundant": ["structure=unit", "score=variation"],
}  # fmt: skip
GROUPS = sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name != "quick")


@pytest.mark.parametrize("group, option", [(g, o) for g in GROUPS for o in options(g)])
def test_every_file_in_conf_composes(group, option):
    if group == "engine" and importlib.util.find_spec(f"hydra_plugins.{ENGINES[option]}") is None:
        pytest.skip(f"{ENGINES[option]} is not installed")
    door_name = DOOR_OF.get(group if group in DOOR_OF else option, "prune")
    door_name = "structure_search" if (group, option) == ("model", "graph") else door_name
    if (group, option) == ("task", "logged"):
        with pytest.raises(InputError, match=r"task=logged needs task\.metric=NAME"):
            composed(door_name, "task=logged")
        return
    config = composed(
        door_name,
        f"{group}={option}",
        *TOGETHER.get(option, []),
        *(["structure=unit"] if group == "score" and option not in WEIGHT_SCORES else []),
    )
    if group in ("cell", "score"):
        assert plain(config)[group] == option


@pytest.mark.parametrize("option", options("data"))
def test_members_of_a_group_have_the_same_keys(option):
    import yaml

    for group in GROUPS:
        if group not in (
            "engine",
            "experiment",
            "door",
            "model",
            "schedule",
            "data",
            "task",
            "retrain",
        ):  # which differ by door or member
            keys = [
                set(yaml.safe_load((ROOT / "conf" / group / f"{name}.yaml").read_text(encoding="utf-8")))
                for name in options(group)
            ]
            assert all(key == keys[0] for key in keys), group


@pytest.mark.parametrize("experiment", ["quick", "thesis_pruning"])
def test_every_experiment_runs(door, experiment):
    fast = [*FAST, "percent=[50]", "cell=rnn_relu", "target=i2h", f"experiment={experiment}"]
    code, out, err = door("prune", *fast)
    assert code == 0, err
    assert "RNN-ReLU" in out


def test_thesis_settings_are_the_published_ones():
    config = plain(composed("prune", "experiment=thesis_pruning"))
    assert config["rule"] == "percentile" and config["scope"] == "global" and config["base_weights"] == "last"
    model = {"name": "recurrent", "hidden": [50, 50, 50], "embedding": None, "readout": "last_step", "init": "uniform"}
    assert config["model"] == {**model, "dropout": 0}
    assert config["data"]["batching"] == "random" and config["data"]["validation_fraction"] == 0
    assert config["data"]["batch_size"] == 32 and not config["data"]["deduplicate"]
    assert config["retrain"] == {"mode": "fixed", "max_epochs": 10, "checks_per_epoch": 1}
    assert config["optimizer"]["lr"] == 1e-3 and config["trainer"] == {"max_epochs": 50, "clip_norm": 5.0, "plateau": None}
    assert config["percent"] == list(range(10, 101, 10)) and config["safe"]["tolerance"] == 0.05


def test_settings_of_the_structure_study_are_the_published_ones():
    config = plain(composed("structure_search", "experiment=thesis_structure"))
    assert config["model"] == {
        "name": "graph", "skip": "separate", "gate_mask": "interleaved", "h2h": "dense", "sinks": "last_layer",
        "embedding": None, "readout": "last_step", "init": "uniform",
    }  # fmt: skip
    assert config["graph"] == {
        "barabasi_albert": 100, "watts_strogatz": 100, "erdos_renyi": 0, "nodes": [10, 50], "attach": 0.1,
        "ba_initial": "isolated", "neighbours": 0.2, "rewire": [1.0], "probability": [0.2, 0.3], "tries": 10, "folder": None,
        "seed": 0,
    }  # fmt: skip
    assert config["data"]["batch_size"] == 128 and config["data"]["batching"] == "random"
    assert config["data"]["validation_fraction"] == 0 and not config["data"]["deduplicate"]
    assert config["trainer"] == {"max_epochs": 15, "clip_norm": 5.0, "plateau": None} and config["optimizer"]["lr"] == 1e-3
    assert config["predictor"]["regressors"] == ["bayesian_ridge", "random_forest", "ada_boost"]


def test_quick_is_for_every_door():
    assert composed("train", "experiment=quick").trainer.max_epochs == 10
    assert composed("prune", "experiment=quick").retrain.max_epochs == 5
    graph = composed("structure_search", "experiment=quick").graph
    assert graph.barabasi_albert + graph.watts_strogatz + graph.erdos_renyi == 24


@pytest.mark.parametrize("experiment", ["quick", "thesis_pruning"])
@pytest.mark.parametrize("kind", options("data"))
def test_experiments_fit_every_data_set(experiment, kind):
    overrides = [f"experiment={experiment}", f"data={kind}"]
    if kind in TOGETHER:
        with pytest.raises(InputError, match=f"data={kind} has (no key|images)"):
            composed("prune", *overrides)
    elif kind in ("text", "sine", "series_csv") or (kind in ("adding", "copy", "embedded_reber") and experiment != "quick"):
        with pytest.raises(InputError, match=f"data={kind} has no key"):  # told, not passed over
            composed("prune", *overrides)
    else:
        assert composed("prune", *overrides).data.name == kind


def test_doors_are_short():
    for name in ("train.py", "prune.py", "structure_search.py"):
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 60


def test_what_the_machine_cannot_hold_is_refused_with_the_estimate():
    """Parameters are counted as a network of ours has them, but for what its data decide."""
    config = TrainConfig(cell="lstm", model=Model(hidden=[20_000]))
    assert parameters(config.model, "lstm") == 4 * 20_000 * 20_000 * 2
    refuse_beyond(config, cores=1, memory=64 * 2**30)
    with pytest.raises(InputError, match=r"model\.hidden and model\.embedding: about 47\.7 GiB .* this machine has 16\.0"):
        refuse_beyond(config, cores=1, memory=16 * 2**30)
    for kind in (TrainConfig, PruneConfig, StructureConfig):
        refuse_beyond(kind(), cores=1, memory=2**30)
    refuse_beyond(TrainConfig(threads=64), cores=1)
    with pytest.raises(InputError, match="threads=65: this machine has 1 cores; 64 is the most"):
        refuse_beyond(TrainConfig(threads=65), cores=1)
