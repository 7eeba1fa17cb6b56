"""A network as one C file: equal to torch in every layout and on both paths, clean under sanitizers, or refused."""

import re

import networkx as nx
import numpy as np
import pytest
import torch
from c_networks import Reader, held, numbers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from zoo import ZOO

import espalier
from espalier.errors import InputError
from espalier.nn.feedforward import FeedForward
from espalier.pruning.c import layouts
from espalier.pruning.c.check import STRICT, compiler
from espalier.pruning.c.network import Network

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler")
#: Networks of the zoo that the export does not hold -> what it says of each.
REFUSED = {
    "AdditiveAttention": "values of one step together with all of them",
    "ConvReads": "conv1d in 'conv'",
    "CrfEmissions": "gives out more than one sequence and the states of its layers",
    "Crnn": "conv2d in 'conv.0'",
    "CrossAttention": "multi_head_attention_forward in 'attend'",
    "DeepSpeech": "conv1d in 'conv'",
    "DotAttention": "takes more than one sequence",
    "EncoderDecoder": "values that are no channels of a step in 'decoder'",
    "Noisy": "randn_like",
    "NormBetween": "layer_norm in 'norm'",
    "OwnAttention": "scaled_dot_product_attention",
    "Policy": "gives out more than one sequence and the states of its layers",
    "Projected": "a projection (proj_size) in 'rnn'",
    "RnNoise": "gives out more than one sequence and the states of its layers",
    "SelfAttention": "multi_head_attention_forward in 'attend'",
    "SigmoidBetween": "cos, which",
    "SumOverTime": "sum over something other than time",
    "WordModel": "a recurrent layer over something other than time in 'rnn'",
    "WorldModel": "gives out more than one sequence and the states of its layers",
}


@needs_compiler
@settings(max_examples=14, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_networks_are_equal_and_clean(data):
    """All cells, layers, structures, layouts and both paths of the code, under the sanitizers of addresses and behaviour."""
    pick = lambda *values: data.draw(st.sampled_from(values))  # noqa: E731
    torch.manual_seed(data.draw(st.integers(0, 99)))
    inputs, hidden, codes = pick(1, 3, 8), pick(1, 5, 8, 19), pick(0, 9)
    between = pick(None, "relu", "norm", "softmax")
    between = {None: None, "relu": nn.ReLU(), "softmax": nn.Softmax(-1)}.get(between, nn.Hardswish())
    model = Reader(
        pick("rnn_tanh", "rnn_relu", "gru", "lstm"), inputs, hidden, pick(1, 2), pick(False, True), codes,
        pick("all", "last"), between, pick(True, False),
    ).eval()  # fmt: skip
    percent, structure = pick(0, 50, 90), pick("weight", "block")
    if percent:
        espalier.prune(model, percent=percent, structure=structure, **({"block": (8, 4)} if structure == "block" else {}))
    example = (lambda batch, time: torch.randint(codes, (batch, time))) if codes else numbers(inputs)
    path = pick(
        ("-fsanitize=address,undefined", "-fno-sanitize-recover"), ("-DNET_PLAIN", "-fsanitize=address,undefined"), ("-O3",)
    )
    layout, quantize = pick(None, *layouts.TILES), pick(None, "int8")
    assert held(model, example, (*STRICT, *path), layout, quantize) < 1e-5


@needs_compiler
@pytest.mark.parametrize("name", sorted(ZOO))
def test_the_zoo_is_written_or_refused_by_name(name, tmp_path):
    torch.manual_seed(0)
    kind, example = ZOO[name]
    if name in REFUSED:
        with pytest.raises(InputError, match=re.escape(REFUSED[name])) as error:
            espalier.export(kind().eval(), tmp_path / "net.c", example, say=None)
        assert "\n" not in str(error.value) and not list(tmp_path.iterdir())
        return
    (row,) = espalier.export(kind().eval(), tmp_path / "net.c", example, say=None)
    assert row["difference"] < 1e-5 and {path.name for path in tmp_path.iterdir()} == {"net.c", "net.h"}


def test_most_of_the_zoo_that_is_steps_is_written():
    assert len(ZOO) - len(REFUSED) >= 11


WIRED = nx.DiGraph([(0, 2), (0, 3), (1, 3), (2, 4), (3, 4), (0, 4), (1, 4), (2, 5), (1, 5)])
MODELS = {
    "classifier": lambda: espalier.SequenceClassifier("gru", (6, 11), codes=20, outputs=3),
    "mean": lambda: espalier.SequenceClassifier("lstm", (6, 5), readout="mean", codes=20, outputs=3),
    "every step": lambda: espalier.SequenceClassifier("rnn_tanh", (6, 5), readout="every_step", features=3, outputs=2),
    "all steps": lambda: espalier.SequenceClassifier("gru", (6, 5), readout="all_steps", features=3, outputs=2, steps=11),
    "all steps of tokens": lambda: espalier.SequenceClassifier("lstm", (6, 5), readout="all_steps", outputs=2, steps=4),
    "graph": lambda: espalier.GraphClassifier(WIRED, "lstm", sinks="all"),
    "graph, separate skips": lambda: espalier.GraphClassifier(WIRED, "gru", skip="separate"),
    "feed-forward": lambda: FeedForward(12, 3, hidden=(7, 5)),
}
EXAMPLES = {
    "graph": lambda batch, time: (torch.randint(1, 100, (batch, time)), torch.full((batch,), time)),
    "graph, separate skips": lambda batch, time: (torch.randint(1, 100, (batch, time)), torch.full((batch,), time)),
    "feed-forward": lambda batch, time: torch.randn(batch, 1, 3, 4),
}


@needs_compiler
@pytest.mark.parametrize("name", MODELS)
def test_our_own_models(name):
    torch.manual_seed(1)
    assert held(MODELS[name]().eval(), EXAMPLES.get(name)) < 1e-5


@needs_compiler
@pytest.mark.parametrize("cell", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_a_cell_is_one_step(cell):
    state = lambda batch: torch.randn(batch, 5)  # noqa: E731
    states = (lambda batch: (state(batch), state(batch))) if cell is nn.LSTMCell else state
    assert held(cell(4, 5), lambda batch, time: (torch.randn(batch, 4), states(batch))) < 1e-5


class Forms(nn.Module):
    """The same in many spellings: packed, permuted, picked, put together again."""

    def __init__(self):
        super().__init__()
        self.rnn, self.back, self.head = nn.GRU(3, 4, 2), nn.LSTM(4, 4, bidirectional=True), nn.Linear(12, 2)
        self.matrix = nn.Parameter(torch.randn(4, 4))

    def forward(self, x):  # (batch, time, 3)
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.full((len(x),), x.shape[1]), batch_first=True)
        states, last = self.rnn(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(states)
        steps = torch.stack([torch.tanh(one @ self.matrix) * 2 - 0.5 for one in states.unbind(0)], 1)
        _, (ends, _) = self.back(steps.permute(1, 0, 2))
        both = torch.cat([ends[-2], ends[-1]], -1)
        return self.head(torch.cat([both, last[1]], 1).view(len(x), -1)).squeeze(1)


@needs_compiler
def test_other_spellings_of_the_same():
    torch.manual_seed(2)
    assert held(Forms().eval(), numbers(3)) < 1e-5


@needs_compiler
def test_batch_norms_are_folded_and_layouts_follow_the_mask():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.BatchNorm1d(64), nn.Linear(64, 2))
    for norm in (model[1], model[3]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    program = Network(model.eval(), torch.randn(4, 64)).program
    assert [node.kind for node in program.nodes] == ["input", "linear", "map", "linear"]
    assert held(model, torch.randn(4, 64)) < 1e-5
    generator = np.random.default_rng(0)
    chosen = {}
    for name, (height, width) in layouts.TILES.items():
        left = 1.0 if name == "dense" else 0.02 if name == "csr" else 0.1
        keep = generator.random((256 // height, 256 // width)) < left
        chosen[name] = layouts.chosen(np.kron(keep, np.ones((height, width))))
    assert chosen == {name: name for name in layouts.TILES}
