import logging

import pytest
import pytorch_lightning as pl
import torch
from loop import LoopClassifier
from torch.nn import functional as F

import espalier
from espalier import published
from espalier.errors import InputError
from espalier.nn import CELLS
from espalier.pruning import make_masks
from espalier.pruning.regain import Regain

OPTIMIZERS = {
    "adam_l2": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.003, momentum=0.5),
}
CLIP, ACCUMULATE = 0.3, 2


def batches(count=12):
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randint(1, 9, (6, 5), generator=generator), torch.randint(0, 2, (6,), generator=generator)) for _ in range(count)
    ]


class Task(pl.LightningModule):
    """Someone's own LightningModule around a recurrent network."""

    def __init__(self, model, optimizer=None, automatic=True):
        super().__init__()
        self.model, self.made = model, optimizer

    def training_step(self, batch, index):
        tokens, labels = batch
        return F.cross_entropy(self.model(tokens, torch.full((len(tokens),), tokens.shape[1])), labels)

    def validation_step(self, batch, index):
        tokens, labels = batch
        logits = self.model(tokens, torch.full((len(tokens),), tokens.shape[1]))
        self.log("accuracy", (logits.argmax(1) == labels).double().mean())

    def configure_optimizers(self):
        return self.made or torch.optim.Adam(self.parameters(), lr=0.01)


def loader(count=12):
    return torch.utils.data.DataLoader(batches(count), batch_size=None)


def trainer(*callbacks, **arguments):
    quiet = dict(logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False)
    return pl.Trainer(callbacks=list(callbacks), accelerator="cpu", **{**quiet, "max_epochs": 1, **arguments})


def train_reference(loop, optimizer, data):
    """Training of `w * mask`, written out: the loop multiplies its masks in every time step."""
    for k in range(0, len(data), ACCUMULATE):
        optimizer.zero_grad()
        for tokens, labels in data[k : k + ACCUMULATE]:
            (F.cross_entropy(loop(tokens), labels) / ACCUMULATE).backward()
        torch.nn.utils.clip_grad_norm_(loop.parameters(), CLIP)
        optimizer.step()


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize("cell", list(CELLS))
def test_training_in_place_is_the_training_of_w_times_mask(cell, optimizer, warm):
    torch.manual_seed(0)
    loop = LoopClassifier(cell, (4, 5), codes=9).double()
    model = published.sequence_classifier(loop.state_dict(), cell).double()
    theirs, ours = OPTIMIZERS[optimizer](loop.parameters()), OPTIMIZERS[optimizer](model.parameters())
    steps = dict(gradient_clip_val=CLIP, accumulate_grad_batches=ACCUMULATE)
    if warm:
        train_reference(loop, theirs, batches(4))
        trainer(**steps).fit(Task(model, ours), loader(4))
    masks = make_masks(model, "both", 60)
    for l, layer in enumerate(loop.recurrent.recurrent_layers):
        layer.mask_i2h.copy_(masks[f"recurrent.layers.{l}.weight_ih_l0"])
        layer.mask_h2h.copy_(masks[f"recurrent.layers.{l}.weight_hh_l0"])
    train_reference(loop, theirs, batches())
    trainer(espalier.Pruning("both", 60), **steps).fit(Task(model, ours), loader())
    expected = published.translate(loop.state_dict())
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-10)


def test_weights_stay_zero_and_the_rest_moves():
    torch.manual_seed(0)
    task = Task(espalier.SequenceClassifier("lstm", (4,), codes=9))
    before = task.model.recurrent.layers[0].weight_hh_l0.detach().clone()
    callback = espalier.Pruning(target="h2h", percent=80)
    trainer(callback).fit(task, loader())
    mask = callback.masks["model.recurrent.layers.0.weight_hh_l0"]
    after = task.model.recurrent.layers[0].weight_hh_l0.detach()
    assert not after[~mask].any() and (after[mask] != before[mask]).all()
    assert mask.sum() == mask.numel() - round(0.8 * mask.numel())


class Stop(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            trainer.save_checkpoint(self.path)
            raise KeyError("killed")


@pytest.mark.parametrize("structure", ["weight", "unit", "block"])
@pytest.mark.parametrize("score", ["magnitude", "random"])
def test_resumed_training_equals_an_uninterrupted_one(tmp_path, score, structure):
    def fit(*more, resume=None, seed=0):
        torch.manual_seed(seed)
        task = Task(espalier.SequenceClassifier("gru", (4, 3), codes=9))
        callback = espalier.Pruning(
            "both", 60, score, monitor="accuracy", base=0.9, generator=torch.Generator().manual_seed(seed), structure=structure,
            block=(2, 2),
        )  # fmt: skip
        work = trainer(callback, *more, max_epochs=4, num_sanity_val_steps=-1)
        work.fit(task, loader(), loader(3), ckpt_path=resume)
        return task, callback

    whole, recorded = fit()
    stop = Stop()
    stop.path = tmp_path / "killed.ckpt"
    with pytest.raises(KeyError):
        fit(stop)
    resumed, again = fit(resume=stop.path, seed=9)  # other initial weights and scores: all comes from the checkpoint
    assert again.masks == recorded.masks
    assert [entry for entry in again.history if entry["step"]] == [entry for entry in recorded.history if entry["step"]]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_checkpoint_loads_into_plain_torch(tmp_path):
    task = Task(espalier.SequenceClassifier("gru", (4,), codes=9))
    work = trainer(espalier.Pruning("i2h", 50))
    work.fit(task, loader(2))
    work.save_checkpoint(tmp_path / "task.ckpt")
    content = torch.load(tmp_path / "task.ckpt", weights_only=True)
    fresh = espalier.SequenceClassifier("gru", (4,), codes=9)
    fresh.load_state_dict({name.removeprefix("model."): value for name, value in content["state_dict"].items()})
    assert int((fresh.recurrent.layers[0].weight_ih_l0 == 0).sum()) == 24


def test_records_the_cut_and_every_validation():
    torch.manual_seed(0)
    callback = espalier.Pruning("both", 90, monitor="accuracy", base=0.0)
    work = trainer(callback, max_epochs=2, num_sanity_val_steps=-1)
    work.fit(Task(espalier.SequenceClassifier("gru", (4,), codes=9)), loader(), loader(3))
    assert [(entry["epoch"], entry["step"]) for entry in callback.history] == [(0, 0), (1, 12), (2, 24)]
    assert (callback.regain.epoch, callback.regain.step, callback.regain.censored) == (0, 0, False)


def test_regain_by_hand():
    regain = Regain(base=1.0, tolerance=0.01)
    assert not regain.update(0.98, 0, 0) and regain.censored
    assert not regain.update(0.995, 1, 40) and not regain.update(0.98, 1, 60)  # a lucky look, and not again
    assert not regain.update(0.99, 2, 70)
    resumed = Regain(0)
    resumed.load_state_dict(regain.state_dict())
    assert resumed.update(1.0, 2, 75) and (resumed.epoch, resumed.step) == (2, 70)
    assert regain.update(0.99, 2, 75) and not regain.censored
    assert regain.update(0.5, 3, 80) and (regain.epoch, regain.step) == (2, 70)
    with pytest.raises(InputError, match="negative"):
        Regain(1.0, -0.1)
    with pytest.raises(InputError, match="must be at least 1"):
        Regain(1.0, patience=0)
    alone = Regain(1.0, patience=3)
    assert alone.update(1.0, 0, 0) and alone.step == 0  # right after the cut there is one look only


def test_wrong_use_is_told(caplog):
    with pytest.raises(InputError, match="base"):
        espalier.Pruning(monitor="accuracy")
    with pytest.raises(InputError, match="0 to 100"):
        espalier.Pruning(percent=120)
    task = Task(espalier.SequenceClassifier("gru", (4,), codes=9))
    with pytest.raises(InputError, match="there are accuracy"):
        trainer(espalier.Pruning(monitor="acc", base=1.0)).fit(task, loader(2), loader(1))


def test_optimizers_that_mix_weights_are_refused(caplog):
    task = Task(espalier.SequenceClassifier("gru", (4,), codes=9))
    task.made = torch.optim.Adafactor(task.parameters())
    with pytest.raises(InputError, match="Adafactor mixes"):
        trainer(espalier.Pruning()).fit(task, loader(2))

    class Own(torch.optim.SGD):
        pass

    task.made = Own(task.parameters(), lr=0.1)
    with caplog.at_level(logging.WARNING, "espalier"):
        trainer(espalier.Pruning()).fit(task, loader(2))
    assert "Own is not known" in caplog.text


def test_two_callbacks_prune_one_model_and_resume(tmp_path):
    def callbacks():
        return espalier.Pruning(target="i2h", percent=50), espalier.Pruning(target="h2h", percent=80)

    torch.manual_seed(0)
    task, first = Task(espalier.SequenceClassifier("gru", (4,), codes=9)), callbacks()
    work = trainer(*first)
    work.fit(task, loader(2))
    work.save_checkpoint(tmp_path / "two.ckpt")
    layer = task.model.recurrent.layers[0]
    assert int((layer.weight_ih_l0 == 0).sum()) == 24 and int((layer.weight_hh_l0 == 0).sum()) == round(0.8 * 48)
    again, resumed = Task(espalier.SequenceClassifier("gru", (4,), codes=9)), callbacks()
    trainer(*resumed, max_epochs=2).fit(again, loader(2), ckpt_path=tmp_path / "two.ckpt")
    assert [callback.masks for callback in resumed] == [callback.masks for callback in first]


def test_a_checkpoint_that_was_pruned_otherwise_is_refused(tmp_path):
    def fit(callback, resume=None):
        work = trainer(callback, max_epochs=2 if resume else 1)
        work.fit(Task(espalier.SequenceClassifier("gru", (4,), codes=9)), loader(2), ckpt_path=resume)
        return work

    path = tmp_path / "80.ckpt"
    fit(espalier.Pruning(percent=80)).save_checkpoint(path)
    with pytest.raises(InputError, match=r"pruned with percent=80\.0, this callback says percent=90\.0: resume with"):
        fit(espalier.Pruning(percent=90), path)
    with pytest.raises(InputError, match="pruned with scope=None, this callback says scope=layer"):
        fit(espalier.Pruning(percent=80, scope="layer"), path)
    with pytest.raises(InputError, match=r"the checkpoint was pruned by Pruning.*'both'.*this callback is Pruning.*'h2h'"):
        fit(espalier.Pruning(target="h2h", percent=80), path)
    masks = make_masks(Task(espalier.SequenceClassifier("gru", (4,), codes=9)), percent=80)
    fit(espalier.Pruning(masks=masks)).save_checkpoint(tmp_path / "given.ckpt")
    fit(espalier.Pruning(masks=masks), tmp_path / "given.ckpt")
    others = espalier.Masks({name: ~mask for name, mask in masks.items()})
    with pytest.raises(InputError, match="other masks than this callback"):
        fit(espalier.Pruning(masks=others), tmp_path / "given.ckpt")
    fit(espalier.Pruning(percent=80), path)


def test_one_callback_prunes_one_model():
    callback = espalier.Pruning(percent=80)
    task = Task(espalier.SequenceClassifier("gru", (4,), codes=9))
    trainer(callback).fit(task, loader(2))
    trainer(callback).fit(task, loader(2))  # trained on
    with pytest.raises(InputError, match="masks of another model; make one for each"):
        trainer(callback).fit(Task(espalier.SequenceClassifier("gru", (4,), codes=9)), loader(2))


def test_weights_averaged_by_another_callback_are_masked_too():
    torch.manual_seed(0)
    task = Task(espalier.SequenceClassifier("gru", (4,), codes=9))
    average = pl.callbacks.EMAWeightAveraging(decay=0.5)
    callback = espalier.Pruning(percent=80)
    trainer(average, callback).fit(task, loader(4))  # the averaged weights are the model's in the end
    for name, mask in callback.masks.items():
        parameter = dict(task.named_parameters())[name]
        assert not parameter[~mask].any() and parameter[mask].any()
