"""Who reads a recurrent layer: what is missing, impossible or shared is told."""

import pytest
import torch
from networks import Net
from torch import nn

import espalier
from espalier.errors import InputError
from espalier.nn import SequenceClassifier

WHO = "who reads 'rnn'? say readers={'rnn': [...]}; modules of a fitting width: 'head'"


@pytest.mark.parametrize(
    "readers, told",
    [
        (None, WHO),
        ({}, WHO),
        ({"rnn": ["tail"]}, "readers['rnn']: the model has no module 'tail'; modules of a fitting width: 'head'"),
        ({"rnn": ["norm"]}, "readers['rnn']: 'norm' is LayerNorm; only nn.Linear and recurrent modules can read units"),
        ({"rnn": ["other"]}, "readers['rnn']: 'other' takes 9 inputs, 'rnn' gives 6; modules of a fitting width: 'head'"),
        ({"rnn": ["head"], "lstm": ["head"]}, "the model has no recurrent module 'lstm'; it has 'rnn'"),
        ({"rnn": "head"}, "readers['rnn'] must be a list of names, got 'head'"),
    ],
)
def test_missing_and_impossible_readers(readers, told):
    model = Net("gru")
    model.norm, model.other = nn.LayerNorm(6), nn.Linear(9, 2)
    for call in (
        lambda: espalier.prune(model, structure="unit", readers=readers),
        lambda: espalier.shrink(model, readers, say=None),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert told in str(error.value) and "\n" not in str(error.value)


def test_one_reader_reads_one_module():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.head = nn.GRU(3, 4), nn.GRU(3, 4), nn.Linear(4, 2)

    with pytest.raises(InputError, match="'head' reads both 'a' and 'b'"):
        espalier.shrink(Two(), {"a": ["head"], "b": ["head"]}, say=None)


def test_shared_parameters_are_refused():
    model = SequenceClassifier("gru", (6, 6), codes=128, outputs=128)
    model.head.weight = model.embedding.weight
    with pytest.raises(InputError, match=r"embedding\.weight and head\.weight are one shared parameter"):
        espalier.prune(model, structure="unit", percent=50)
    with pytest.raises(InputError, match="shared parameter"):
        espalier.shrink(model)


def test_the_meta_device_is_refused():
    with torch.device("meta"):
        model = SequenceClassifier("gru", (6, 6), init="uniform")
    for structure in ("unit", "weight", "block"):
        with pytest.raises(InputError, match="on the meta device"):
            espalier.prune(model, structure=structure)
    with pytest.raises(InputError, match="on the meta device"):
        espalier.shrink(model)


def test_what_is_no_recurrent_model_is_refused():
    with pytest.raises(InputError, match="holds no"):
        espalier.shrink(nn.Linear(3, 2))
    with pytest.raises(InputError, match="holds no"):
        espalier.prune(nn.Linear(3, 2), structure="unit")
    with pytest.raises(InputError, match="matches no recurrent module"):
        espalier.prune(Net("gru"), structure="unit", modules=["tail"], readers={"rnn": ["head"]})
    with pytest.raises(InputError, match="vertices"):
        import networkx as nx

        espalier.shrink(espalier.GraphClassifier(nx.path_graph(4), "gru"))


@pytest.mark.parametrize(
    "arguments, told",
    [
        (dict(structure="units"), "structure must be one of weight, unit, block"),
        (dict(structure="unit", score="norm"), "score of units must be one of"),
        (dict(structure="unit", scope="gate"), "scope of units must be one of"),
        (dict(structure="unit", target="h2h"), "takes target=both"),
        (dict(structure="unit", percent=100), "would remove all 6 units"),
        (dict(structure="unit", score="activation"), "needs data"),
        (dict(structure="unit", score="taylor"), "needs gradients"),
        (dict(structure="block", block=(0, 2)), "two positive whole numbers"),
        (dict(structure="block", block=3), "two positive whole numbers"),
        (dict(structure="block", score="taylor"), "score=taylor ranks hidden units"),
    ],
)
def test_bad_arguments(arguments, told):
    with pytest.raises(InputError, match=told):
        espalier.prune(Net("lstm"), **{"readers": {"rnn": ["head"]}, **arguments})


# Scores of units
