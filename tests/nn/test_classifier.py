import pytest
import torch
from loop import LoopClassifier

from espalier import published
from espalier.data.batching import Batches, by_length
from espalier.data.strings import encode
from espalier.errors import InputError
from espalier.nn import CELLS, SequenceClassifier, gates


def batch(seed=0, n=12, longest=17):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (n,), generator=generator)
    tokens = torch.randint(65, 91, (n, int(lengths.max())), generator=generator).to(torch.uint8)
    return tokens * (torch.arange(tokens.shape[1]) < lengths[:, None]), lengths


@pytest.mark.parametrize("cell", list(CELLS))
def test_equals_a_loop_over_time_steps(cell):
    torch.manual_seed(1)
    loop = LoopClassifier(cell, (7, 5, 6))
    model = published.sequence_classifier(loop.state_dict(), cell)
    tokens, lengths = batch()
    torch.testing.assert_close(model(tokens, lengths), loop(tokens), rtol=0, atol=1e-6)
    model.readout = "last_token"
    alone = torch.cat([loop(tokens[k : k + 1, : lengths[k]]) for k in range(len(tokens))])
    torch.testing.assert_close(model(tokens, lengths), alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", list(CELLS))
def test_gradients_equal_the_loops(cell):
    torch.manual_seed(2)
    loop = LoopClassifier(cell, (4, 6)).double()
    model = published.sequence_classifier(loop.state_dict(), cell).double()
    tokens, lengths = batch(3)
    for logits in (loop(tokens), model(tokens, lengths)):
        torch.nn.functional.cross_entropy(logits, lengths % 2).backward()
    ours = {name: p.grad for name, p in model.named_parameters()}
    theirs = published.translate({name: p.grad for name, p in loop.named_parameters()})
    assert set(ours) == set(theirs)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=0, atol=1e-12)


def test_padding_cannot_touch_the_last_token():
    torch.manual_seed(0)
    model = SequenceClassifier("gru", (8, 8))
    tokens, lengths = batch()
    wider = torch.nn.functional.pad(tokens, (0, 9))
    torch.testing.assert_close(model(tokens, lengths), model(wider, lengths), rtol=0, atol=1e-6)


def test_sizes_and_names():
    model = SequenceClassifier("lstm", (9, 4), embedding=3)
    assert model.embedding.weight.shape == (128, 3) and model.head.weight.shape == (2, 4)
    assert [layer.hidden_size for layer in model.recurrent.layers] == [9, 4]
    assert "recurrent.layers.1.weight_hh_l0" in model.state_dict()
    assert SequenceClassifier("lstm", **{**model.sizes, "init": "uniform"}).load_state_dict(model.state_dict())


@pytest.mark.parametrize("cell, parameters", [("rnn_tanh", 21_802), ("rnn_relu", 21_802), ("gru", 52_402), ("lstm", 67_702)])
def test_default_size_is_the_studys(cell, parameters):
    assert sum(p.numel() for p in SequenceClassifier(cell).parameters()) == parameters


@pytest.mark.parametrize("cell", list(CELLS))
def test_init(cell):
    torch.manual_seed(0)
    for init in ("orthogonal", "uniform"):
        h2h = SequenceClassifier(cell, init=init).recurrent.layers[1].weight_hh_l0.detach()
        orthogonal = torch.allclose(h2h[:50] @ h2h[:50].t(), torch.eye(50), atol=1e-5)
        assert orthogonal == (init == "orthogonal" and gates(cell) == 1)
        assert orthogonal or float(h2h.abs().max()) <= 50**-0.5


@pytest.mark.parametrize("bad", [dict(cell="lstmm"), dict(cell="gru", readout="median"), dict(cell="gru", init="zeros")])
def test_unknown_words_are_told_with_the_known_ones(bad):
    with pytest.raises(InputError, match="must be one of"):
        SequenceClassifier(**bad)


def test_evaluation_batches_give_every_string_its_own_logits():
    model = SequenceClassifier("rnn_tanh", (5,))
    strings = encode(["ABC", "A", "ABCDE", "AB"], [0, 1, 0, 1])
    order = torch.cat(by_length(strings.lengths, 3))
    got = torch.cat([model(tokens, lengths) for tokens, lengths, _ in Batches(strings, by_length(strings.lengths, 3))])
    torch.testing.assert_close(got, model(strings.sequences, strings.lengths)[order], rtol=0, atol=1e-6)
