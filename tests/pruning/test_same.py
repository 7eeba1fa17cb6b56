"""Never another function: what may stand between, what is refused and why, what an example alone would not show."""

import copy

import pytest
import torch
from networks import Between, outputs_of
from torch import nn
from torch.nn import functional as F

import espalier
from espalier.errors import InputError

REASONS = {
    "softmax": (lambda own, x: own.head(torch.softmax(own.rnn(x)[0], -1)), "mixed with each other by a softmax over the units"),
    "mean": (lambda own, x: own.rnn(x)[0].mean(-1), "mixed with each other by an average over the units"),
    "text": (lambda own, x: (own.head(own.rnn(x)[0]), "text"), "a str is among the model's outputs"),
    "distribution": (lambda own, x: torch.distributions.Normal(own.head(own.rnn(x)[0]), 1.0), "a Normal is among the model's"),
    "dropout": (lambda own, x: own.head(F.dropout(own.rnn(x)[0], 0.5, True)), "turn off its dropout or noise"),
    "input added": (lambda own, x: own.head(own.rnn(x)[0] + x.repeat(1, 1, 2)), "the model's input is added to them"),
}  # fmt: skip


@pytest.mark.parametrize("name", REASONS)
def test_what_cannot_be_is_one_line_that_says_why(name):
    forward, told = REASONS[name]
    with pytest.raises(InputError) as error:
        espalier.prune(Between(forward), structure="unit", percent=50, example=torch.randn(3, 5, 4))
    assert told in str(error.value) and "\n" not in str(error.value)


def test_an_example_that_the_model_does_not_take():
    with pytest.raises(InputError, match=r"does not take the example: RuntimeError: input\.size"):
        espalier.readers(Between(lambda own, x: own.head(own.rnn(x)[0])), torch.randn(3, 5, 9))


FOLDED = {
    "einsum": lambda own, x: torch.einsum("nth,oh->nto", own.rnn(x)[0], own.head.weight),
    "addmm": lambda own, x: torch.addmm(own.head.bias, own.rnn(x)[0].flatten(0, 1), own.head.weight.T),
    "flipped": lambda own, x: own.head(own.rnn(x)[0].flip(-1)),
    "shifted": lambda own, x: own.head(torch.cos(own.rnn(x)[0]) + 2),
    "windows": lambda own, x: own.head(own.rnn(x)[0].unfold(1, 2, 1).mean(-1)),
    "summed": lambda own, x: own.rnn(x)[0].sum(-1),
}


@pytest.mark.parametrize("name", FOLDED)
def test_functions_that_may_stand_between(name):
    torch.manual_seed(0)
    model, example = Between(FOLDED[name]), torch.randn(3, 5, 4)
    if name == "summed":
        del model.head
    espalier.prune(model, structure="unit", percent=50, example=example)
    small = espalier.shrink(model, example=example, say=None)
    assert small.rnn.hidden_size == 4
    (ours,), (theirs,) = (
        outputs_of(one, [torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(1))]) for one in (small, model)
    )
    assert (ours - theirs).abs().max() < 1e-10


def attention(own, x):
    found = own.rnn(x)[0]
    return own.head(torch.softmax(found @ found.transpose(1, 2) / found.shape[-1] ** 0.5, -1) @ found)


OTHERS = {
    "one step only": (attention, torch.randn(3, 1, 4), "another function"),
    "small outputs": (lambda own, x: 1e-6 * attention(own, x), torch.randn(3, 5, 4), "another function"),
    "hidden by a mask": (
        lambda own, x: attention(own, x).masked_fill(torch.arange(3) == 1, -1e9), torch.randn(3, 5, 4), "another function",
    ),
    "a way not taken": (
        lambda own, x: (own.head if len(x) < 99 else own.tail)(own.rnn(x)[0]), torch.randn(3, 5, 4), "does not reach 'tail'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_the_example_alone_would_not_show(name):
    torch.manual_seed(0)
    forward, example, told = OTHERS[name]
    model = Between(forward)
    if name == "a way not taken":
        model.tail = nn.Linear(8, 3)
    espalier.prune(model, structure="unit", percent=50, example=example)
    with pytest.raises(InputError, match=told):
        espalier.shrink(model, example=example, say=None)


def test_infinite_outputs_and_examples_that_know_few_shapes():
    torch.manual_seed(0)
    model = Between(lambda own, x: own.head(own.rnn(x)[0]).masked_fill(x[..., :1] > 1, -torch.inf))

    def example(batch, time):
        if time < 2:
            raise ValueError("too short")
        return torch.randn(batch, time, 4)

    espalier.prune(model, structure="unit", percent=50, example=example)
    assert espalier.shrink(model, example=example, say=None).rnn.hidden_size == 4


@pytest.mark.parametrize("batch", [2, 3])
def test_a_batch_is_no_stack_of_states(batch):
    torch.manual_seed(0)
    model, x = nn.LSTM(4, 8, 2, batch_first=True), torch.randn(batch, 5, 4)
    espalier.prune(model, structure="unit", percent=50, example=x)
    small = espalier.shrink(model, example=x, say=None)
    kept = small.kept["", 1, 0]
    torch.testing.assert_close(small(x)[0], model(x)[0][..., kept], rtol=0, atol=1e-6)


def test_layers_that_share_channels_lose_what_the_narrowest_can_spare():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.narrow, self.head = (
                nn.GRU(4, 16, batch_first=True),
                nn.GRU(4, 8, batch_first=True),
                nn.Linear(16, 3),
            )

        def forward(self, x):
            wide = self.wide(x)[0]
            return self.head(torch.cat([wide[..., :8] + self.narrow(x)[0], wide[..., 8:]], -1))

    torch.manual_seed(0)
    model, x = Shared(), torch.randn(3, 5, 4)
    masks = espalier.make_masks(model, structure="unit", percent=50, example=x)
    left = [int(masks[f"{name}.weight_hh_l0"].any(0).sum()) for name in ("wide", "narrow")]
    assert left == [8, 4]


def test_told_readers_are_checked_against_what_is_found():
    model, x = Between(lambda own, x: own.head(own.rnn(x)[0])), torch.randn(3, 5, 4)
    model.other = nn.Linear(8, 3)
    espalier.prune(model, structure="unit", percent=50, example=x, readers={"rnn": ["head"]})
    with pytest.raises(InputError, match="'other' does not read 'rnn' when the example is run"):
        espalier.shrink(model, {"rnn": ["head", "other"]}, say=None, example=x)
    with pytest.raises(InputError, match="'head' reads 'rnn' too when the example is run"):
        espalier.shrink(model, {"rnn": []}, say=None, example=x)


@pytest.mark.parametrize("between", ["norm", "softmax", "sigmoid", "summed", "residual"])
@pytest.mark.parametrize("columns", [True, False])
def test_told_readers_never_make_another_function(between, columns):
    functions = {
        "norm": lambda own, x: own.head(F.layer_norm(own.rnn(x)[0], own.rnn(x)[0].shape[-1:])),
        "softmax": lambda own, x: own.head(torch.softmax(own.rnn(x)[0], -1)),
        "sigmoid": lambda own, x: own.head(torch.sigmoid(own.rnn(x)[0])),
        "summed": lambda own, x: own.head(own.rnn(x)[0]) + own.rnn(x)[0].cos().sum(),
        "residual": lambda own, x: own.head(own.rnn(x)[0] + x[..., :1]),
    }
    torch.manual_seed(0)
    model = Between(functions[between])
    espalier.prune(model, structure="unit", percent=50, readers={"rnn": ["head"]})
    if not columns:
        nn.init.normal_(model.head.weight)  # what is silent is read again
    elif between in ("sigmoid", "residual"):  # nothing reads what is pruned
        small = espalier.shrink(model, {"rnn": ["head"]}, say=None)
        (ours,), (theirs,) = (outputs_of(one, [torch.ones(2, 9, 4)]) for one in (small, model))
        assert (ours - theirs).abs().max() < 1e-10
        return
    with pytest.raises(InputError, match=r"another function|does not run"):
        espalier.shrink(model, {"rnn": ["head"]}, say=None)


def test_where_inputs_cannot_be_made_it_says_so():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x, y):
            return self.head(self.rnn(x)[0]) + y

    model, lines = Two(), []
    espalier.prune(model, structure="unit", percent=50, readers={"rnn": ["head"]})
    small = espalier.shrink(model, {"rnn": ["head"]}, say=lines.append)
    assert any(line.startswith("not checked") for line in lines) and small.rnn.hidden_size == 4


class Sub(nn.LSTM):
    pass


def layers(*kinds):
    return dict(zip("abc", kinds))


GRU, HEAD = {"batch_first": True}, nn.Linear(8, 3)
#: name -> (forward, layers, other inputs than `(3, 5, 4)`; or what is said)
ODD = {
    "a mask from the input": (
        lambda own, x: own.b(torch.where(x[..., :1] > 0, own.a(x)[0], torch.zeros(()).to(x))),
        layers(nn.GRU(4, 8, **GRU), HEAD), None,
    ),
    "ones where masked": (
        lambda own, x: own.b(torch.where(x[..., :1] > 0, own.a(x)[0], torch.ones(()).to(x))),
        layers(nn.GRU(4, 8, **GRU), HEAD), "the model's input is added to them",
    ),
    "no biases": (
        lambda own, x: own.c(own.b(torch.sigmoid(own.a(x)[0]))[0]),
        layers(nn.GRU(4, 8, bias=False, **GRU), nn.GRU(8, 6, bias=False, **GRU), nn.Linear(6, 3, bias=False)), None,
    ),
    "the last states of two layers": (
        lambda own, x: own.b(own.a(x)[1].transpose(0, 1).flatten(1)),
        layers(nn.GRU(4, 8, 2, **GRU), nn.Linear(16, 3)), None,
    ),
    "cells": (lambda own, x: own.b(own.a(x)[1][1][-1]), layers(nn.LSTM(4, 8, **GRU), HEAD), None),
    "largest of two": (
        lambda own, x: own.b(own.a(x)[0].unflatten(-1, (-1, 2)).amax(-1)),
        layers(nn.GRU(4, 16, **GRU), HEAD), None,
    ),
    "a gate of another": (
        lambda own, x: own.c(own.a(x)[0] * own.b(x)[0]),
        layers(nn.GRU(4, 8, **GRU), nn.GRU(4, 8, **GRU), HEAD), None,
    ),
    "weight_norm": (
        lambda own, x: own.b(own.a(x)[0]),
        layers(nn.utils.parametrizations.weight_norm(nn.GRU(4, 8, **GRU), "weight_hh_l0"), HEAD), "weight_norm computes it",
    ),
    "a subclass": (lambda own, x: own.b(own.a(x)[0]), layers(Sub(4, 8, **GRU), HEAD), "'parts.a' is a Sub, a subclass"),
    "an unused layer": (lambda own, x: own.b(own.a(x)[0]), layers(nn.GRU(4, 8, **GRU), HEAD, nn.GRU(5, 7)), None),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("training", [True, False])
def test_odd_networks(name, training):
    torch.manual_seed(0)
    forward, parts, told = ODD[name]
    model = nn.Module()
    for place, part in parts.items():
        setattr(model, place, copy.deepcopy(part))
    model = Whole(model, forward).train(training)
    if told:
        with pytest.raises(InputError, match=told):
            espalier.prune(model, structure="unit", percent=50, example=torch.randn(3, 5, 4))
        return
    espalier.prune(model, structure="unit", percent=50, example=torch.randn(3, 5, 4))
    small = espalier.shrink(model, example=torch.randn(3, 5, 4), say=None)
    assert small.training == model.training == training
    assert small.parts.a.hidden_size == model.parts.a.hidden_size // 2
    (ours,), (theirs,) = (outputs_of(one.eval(), [torch.linspace(-2, 2, 72).view(2, 9, 4)]) for one in (small, model))
    assert (ours - theirs).abs().max() < 1e-10


class Whole(nn.Module):
    def __init__(self, parts, forward):
        super().__init__()
        self.parts, self.calls = parts, forward

    def forward(self, x):
        return self.calls(self.parts, x)
