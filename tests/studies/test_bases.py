"""Bases from files: published ones, wrapped ones, and those that do not fit."""

import json

import pytest
import torch
from helpers import finished, tiny_config, without_seconds
from loop import LoopClassifier

import espalier
from espalier import SequenceClassifier, data
from espalier.analysis import tables
from espalier.data.batching import Batches, shuffled
from espalier.errors import InputError
from espalier.nn import CELLS
from espalier.runs import files
from espalier.runs.identity import plain
from espalier.runs.seeds import generator
from espalier.settings import Logger, Mode, Model, Readout, Retrain, Rule, Target, TrainConfig, Weights
from espalier.studies import collect, prune, train
from espalier.studies.plan import base_run, prune_run


@pytest.fixture(scope="module")
def thesis(tmp_path_factory):
    """The settings of the study on few strings, as conf/experiment/thesis_pruning.yaml has them."""

    def settings(outputs, **changes):
        made = tiny_config(outputs, **changes)
        made.data.validation_fraction, made.data.batching = 0.0, type(made.data.batching).random
        made.model = Model(readout=Readout.last_step, init=type(made.model.init).uniform)
        made.rule, made.base_weights = Rule.percentile, Weights.last
        return made

    return settings


@pytest.mark.parametrize("cell", list(CELLS))
def test_published_checkpoint_gives_the_predictions_of_a_loop(tmp_path, thesis, cell):
    """A file in the study's layout, cut by its rule: the accuracy is that of the loop with these masks, batch by batch."""
    torch.manual_seed(3)
    loop = LoopClassifier(cell, (7, 4, 5))
    torch.save(loop.state_dict(), tmp_path / "published.pt")
    for target in (Target.both, Target.i2h, Target.h2h):
        settings = thesis(
            tmp_path / "outputs", cell=cell, base=str(tmp_path / "published.pt"), percent=[30, 60, 100], target=target,
            retrain=Retrain(max_epochs=0),
        )  # fmt: skip
        run = finished(settings)
        rows = tables.read(run / "results.csv")
        assert rows["val_accuracy"].isna().all()
        test = data.load(plain(settings.data)).test
        chosen = [kind for kind in ("i2h", "h2h") if target.name in (kind, "both")]
        for percent in (0, 30, 60, 100):
            mask_loop(loop, chosen, percent)
            moment = ("base",) if percent == 0 else ("prune", percent, 0)
            order = generator(0, "evaluation", "test", *moment)
            batches = Batches(test, shuffled(test.lengths, test.targets, 16, order))
            right = sum(int((loop(tokens).argmax(1) == labels).sum()) for tokens, _, labels in batches)
            row = rows[rows["percent"] == percent]
            assert row["test_accuracy"].item() == right / len(test)
            if percent == 100:
                assert row["kept"].item() == 1


def mask_loop(loop, kinds, percent):
    """The study's code A.1 and A.2: one threshold for all layers and kinds, what is strictly below it goes."""
    import numpy as np

    names = {"i2h": "weight_ih", "h2h": "weight_hh"}
    layers = loop.recurrent.recurrent_layers
    for layer in layers:
        layer.mask_i2h.fill_(True), layer.mask_h2h.fill_(True)
    if not percent:
        return
    pool = [getattr(layer, names[kind]).detach().abs().numpy().ravel() for layer in layers for kind in kinds]
    limit = np.percentile(np.concatenate(pool), percent)
    for layer in layers:
        for kind in kinds:
            getattr(layer, f"mask_{kind}").copy_(getattr(layer, names[kind]).detach().abs() >= float(limit))


def test_base_files_of_every_kind(config, tmp_path):
    trained = train.train(tiny_config(tmp_path, TrainConfig))
    ours = torch.load(trained / "best.pt", weights_only=True)
    torch.save(ours["state_dict"], tmp_path / "plain.pt")
    rows = []
    for path in (trained / "best.pt", tmp_path / "plain.pt"):
        run = finished(config(base=str(path), percent=50))
        rows.append(without_seconds(run / "results.csv"))
    assert rows[0] == rows[1]
    assert rows[0] == without_seconds(finished(tiny_config(tmp_path, percent=50)) / "results.csv")


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_a_base_whose_keys_begin_with_a_wrapper(config, tmp_path, wrapper, capsys):
    torch.manual_seed(0)
    state = SequenceClassifier("lstm", (6, 5)).state_dict()
    torch.save(state, tmp_path / "plain.pt")
    torch.save({wrapper + name: value for name, value in state.items()}, tmp_path / "wrapped.pt")
    settings = dict(percent=50, retrain=Retrain(max_epochs=0))
    plain, wrapped = (finished(config(base=str(tmp_path / f"{name}.pt"), **settings)) for name in ("plain", "wrapped"))
    assert without_seconds(plain / "results.csv") == without_seconds(wrapped / "results.csv")
    assert f"all its keys begin with '{wrapper}', which is left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda s: s.update({"recurrent.layers.1.weight_ih_l0": torch.zeros(20, 4)}), "sizes do not fit"),
        (
            lambda s: s.update({"head.weight": torch.zeros(3, 5), "head.bias": torch.zeros(3)}),
            "128 codes, 3 outputs; the data need 128 codes, 2 outputs",
        ),
        (lambda s: s.update({"embedding.weight": torch.zeros(60, 6)}), "it has 60 codes, 2 outputs"),
        (lambda s: s.pop("head.bias"), "missing head.bias"),
        (lambda s: s.update({"extra": torch.zeros(1)}), "unknown extra"),
        (lambda s: s.clear(), "not a state dict"),
        (lambda s: s["head.bias"].fill_(torch.nan), "not finite"),
        (lambda s: s.update({0: torch.zeros(1)}), "key 0 is no name"),
        (lambda s: s.update({"head.bias": torch.zeros(2, dtype=torch.complex64)}), "floating point"),
        (lambda s: s.update({"head.bias": torch.zeros(2).to_sparse()}), "dense tensor"),
        (lambda s: s.update({"head.bias": "text"}), "is no tensor"),
    ],
)
def test_bases_that_do_not_fit_are_told(config, tmp_path, change, told):
    state = SequenceClassifier("lstm", (6, 5)).state_dict()
    change(state)
    torch.save(dict(state), tmp_path / "base.pt")
    settings = config(base=str(tmp_path / "base.pt"))
    with pytest.raises(InputError, match=told) as error:
        prune.job(settings)
    assert "base.pt" in str(error.value) and "\n" not in str(error.value)
    assert prune_run(settings).result() is None


def test_a_mask_without_its_weight_is_told(config, tmp_path):
    state = LoopClassifier("lstm", (6, 5)).state_dict()
    state["recurrent.recurrent_layers.0.mask_i2h"] = torch.ones(2, 2)
    torch.save(state, tmp_path / "base.pt")
    with pytest.raises(InputError, match="mask of recurrent"):
        prune.job(config(base=str(tmp_path / "base.pt")))


def test_a_base_of_other_sizes_than_asked_is_told(config, tmp_path):
    torch.save(SequenceClassifier("lstm", (4, 4)).state_dict(), tmp_path / "base.pt")
    with pytest.raises(InputError, match=r"has hidden=\[4, 4\].*hidden=\[6, 5\]"):
        prune.job(config(base=str(tmp_path / "base.pt")))


def test_close_levels_and_zero_are_kept_apart(config):
    run = finished(config(percent=[0, 99.99999, 100], retrain=Retrain(max_epochs=0)))
    rows = tables.read(run / "results.csv")
    assert rows["percent"].tolist() == [0, 99.99999, 100]
    assert tables.read(run / "summary.csv")["percent"].tolist() == [0, 99.99999, 100]


def test_a_base_redone_in_between_is_not_mixed_with_old_levels(config, tmp_path):
    """What a level started from is compared by content: a damaged or exchanged base is trained again, and so is the level."""
    settings = config(percent=50, retrain=Retrain(max_epochs=1))
    run = finished(settings)
    before = without_seconds(run / "results.csv")
    base = base_run(settings)
    (run / "result.json").unlink()
    (base / "best.pt").write_bytes((base / "last.pt").read_bytes()[:-100])
    again = finished(settings)
    assert without_seconds(again / "results.csv") == before
    assert "best.pt is missing or damaged; the run is done again" in (run / "prune.log").read_text(encoding="utf-8")


def test_force_leaves_no_second_record(config):
    settings = config(percent=50, retrain=Retrain(max_epochs=1, mode=Mode["fixed"]))
    finished(settings)
    settings.force = True
    run = finished(settings)
    assert len(list((run / "tensorboard").rglob("events*"))) == 1


def test_a_base_of_another_cell_or_reading_is_told(config, tmp_path):
    about = {"cell": "rnn_relu", "state_dict": SequenceClassifier("rnn_relu", (6, 5)).state_dict()}
    torch.save(about, tmp_path / "base.pt")
    with pytest.raises(InputError, match="holds cell rnn_relu, asked for cell=rnn_tanh"):
        prune.job(config(base=str(tmp_path / "base.pt"), cell="rnn_tanh"))
    with pytest.raises(InputError, match="not the weights of gru"):
        torch.save(about["state_dict"], tmp_path / "plain.pt")
        prune.job(config(base=str(tmp_path / "plain.pt"), cell="gru"))
    torch.save({**about, "sizes": {"readout": "last_step"}}, tmp_path / "base.pt")
    with pytest.raises(InputError, match="readout=last_step"):
        prune.job(config(base=str(tmp_path / "base.pt"), cell="rnn_relu"))


def test_result_names_the_baselines_and_the_base(config):
    run = finished(config())
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert result["base"].endswith("best.pt") and 0 <= result["base_accuracy"] <= 1
    vouched = {"config.yaml", "results.csv", "summary.csv", "curve.csv", "survivors.csv", "levels/50.pt", "levels/90.pt"}
    assert set(result["files"]) == vouched
    before = without_seconds(run / "results.csv")
    (training,) = (run.directory.parents[2] / "trainings").glob("*-prune_90-*/seed_0")
    for damaged in (run / "levels" / "90.pt", training / "last.pt", training / "result.json"):
        damaged.write_bytes(damaged.read_bytes()[:40])
        (run / "result.json").unlink()
        assert without_seconds(finished(config()) / "results.csv") == before
        assert torch.load(run / "levels" / "90.pt", weights_only=True)["percent"] == 90
    assert "last.pt is missing or damaged; the run is done again" in (run / "prune.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("schedule, score", [("one_shot", "magnitude"), ("iterative", "random"), ("gradual", "magnitude")])
def test_what_was_pruned_in_a_base_stays_and_counts(tmp_path, caplog, schedule, score):
    """Levels below the sparsity of a base change nothing and say so; no zero of it grows back in retraining."""
    base = SequenceClassifier("gru", (6, 5))
    espalier.prune(base, percent=60)
    zeros = {name: value == 0 for name, value in base.state_dict().items() if "weight_" in name}
    torch.save(base.state_dict(), tmp_path / "pruned.pt")
    settings = tiny_config(
        tmp_path / "outputs", cell="gru", base=str(tmp_path / "pruned.pt"), percent=[30, 80], score=score,
        schedule={"name": schedule}, retrain=Retrain(Mode.fixed, 1), logger=Logger(tensorboard=False),
    )  # fmt: skip
    with caplog.at_level("INFO"):
        run = finished(settings)
    low, high = tables.read(run / "summary.csv").to_dict("records")
    total = sum(zero.numel() for zero in zeros.values())
    assert low["base_zeros"] == high["base_zeros"] == round(0.6 * total)
    assert low["kept"] == total - round(0.6 * total) and high["kept"] == total - round(0.8 * total)
    assert tables.idle(low) and not tables.idle(high)
    assert "level 30 %: " in caplog.text and "changes nothing, 60.1 % of the base are zero already" in caplog.text
    for percent in (30, 80):
        kept = files.load_tensors(run / "levels" / f"{percent}.pt", "level")["state_dict"]
        assert not any((kept[name][zero] != 0).any() for name, zero in zeros.items())
    about = {"command": "", "experiment": None, "safe": plain(settings.safe)}
    collect.pruning(run.directory, [run.directory], about)
    assert "changes nothing" in (run / "report.html").read_text(encoding="utf-8")
