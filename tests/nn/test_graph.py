import copy

import networkx as nx
import pytest
import torch
from loop import LoopGraph
from torch.nn import functional as F

from espalier import published
from espalier.errors import InputError
from espalier.graphs import layered
from espalier.nn import CELLS, GraphClassifier, gates

EXAMPLE = [(0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)]


def graphs():
    yield nx.Graph(EXAMPLE)
    yield nx.barabasi_albert_graph(14, 2, seed=3)
    yield nx.connected_watts_strogatz_graph(16, 4, 1, seed=5)


def batch(seed=0, n=9, longest=13):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (n,), generator=generator)
    lengths[0] = longest
    tokens = torch.randint(65, 91, (n, longest), generator=generator).to(torch.uint8)
    return tokens * (torch.arange(longest) < lengths[:, None]), lengths


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize("cell", list(CELLS))
def test_separate_equals_a_loop_over_cells_forward_and_gradients(cell, interleaved):
    for graph in graphs():
        torch.manual_seed(1)
        loop = LoopGraph(cell, graph, interleaved).double()
        model = published.graph_classifier(loop.state_dict(), graph, cell).double()
        tokens, lengths = batch()
        for training in (True, False):
            model.train(training)
            torch.testing.assert_close(model(tokens, lengths), loop(tokens), rtol=0, atol=1e-12)
        model.train()
        for logits in (loop(tokens), model(tokens, lengths)):
            F.cross_entropy(logits, lengths % 2).backward()
        ours = {name: parameter.grad for name, parameter in model.named_parameters()}
        for name, parameter in loop.named_parameters():
            name = name.replace("recurrent_layers", "layers").replace("skip_layers", "skips").replace("out.", "head.")
            name = name + "_l0" if "recurrent." in name else name
            torch.testing.assert_close(ours.pop(name), parameter.grad, rtol=0, atol=1e-12)
        assert not ours


@pytest.mark.parametrize("cell", list(CELLS))
def test_a_published_file_gives_the_loops_predictions(cell, tmp_path):
    """In single precision, through a file, with the study's reading; permuted vertices travel in the mask buffers."""
    graph = nx.connected_watts_strogatz_graph(20, 4, 1, seed=2)
    torch.manual_seed(0)
    loop = LoopGraph(cell, graph)
    torch.save(loop.state_dict(), tmp_path / "barabasi_albert_0.pt")
    state_dict = torch.load(tmp_path / "barabasi_albert_0.pt", weights_only=True)
    model = published.graph_classifier(state_dict, graph, cell).eval()
    tokens, lengths = batch(4, 40, 21)
    torch.testing.assert_close(model(tokens, lengths), loop(tokens), rtol=0, atol=1e-5)
    assert torch.equal(model(tokens, lengths).argmax(1), loop(tokens).argmax(1))
    without = {key: value for key, value in state_dict.items() if "mask" not in key}
    again = published.graph_classifier(without, graph, cell).eval()
    assert torch.equal(again(tokens, lengths), model(tokens, lengths))
    with pytest.raises(InputError, match="on this graph"):
        published.graph_classifier(state_dict, nx.path_graph(20), cell)
    with pytest.raises(InputError, match="sizes do not fit"):
        published.graph_classifier({**state_dict, "out.bias": torch.zeros(3)}, graph, cell)
    mask = next(key for key, value in state_dict.items() if "mask_i2h" in key and not value.all())
    with pytest.raises(InputError, match="the graph has edges for"):
        published.graph_classifier({**state_dict, mask: torch.ones_like(state_dict[mask])}, graph, cell)


@pytest.mark.parametrize("cell", list(CELLS))
def test_summed_is_one_cell_over_all_sources(cell):
    """Layer by layer with torch's own module over the concatenated states of the layers that feed it."""
    graph = nx.barabasi_albert_graph(14, 2, seed=3)
    torch.manual_seed(0)
    model = GraphClassifier(graph, cell).double()
    structure = layered(graph)
    tokens, lengths = batch()
    states = []
    for t, module in enumerate(model.recurrent.layers):
        sources = [s for s, to in structure.edges() if to == t]
        inputs = torch.cat([states[s] for s in sources], 2) if t else model.embedding(tokens.t().int())
        states.append(module(inputs)[0])
    expected = model.head(states[-1][lengths - 1, torch.arange(len(lengths))])
    torch.testing.assert_close(model(tokens, lengths), expected, rtol=0, atol=1e-12)
    edges = sum(int(module.mask_ih_l0.sum()) for module in model.recurrent.layers[1:])
    assert edges == gates(cell) * graph.number_of_edges() and not model.recurrent.skips


@pytest.mark.parametrize("skip", ["summed", "separate"])
@pytest.mark.parametrize("cell", list(CELLS))
def test_what_is_masked_stays_out(cell, skip):
    torch.manual_seed(0)
    graph = nx.connected_watts_strogatz_graph(16, 4, 0.5, seed=1)
    model = GraphClassifier(graph, cell, skip=skip, h2h="diagonal", sinks="all", width=5)
    tokens, lengths = batch()
    before = model(tokens, lengths)
    masks = {name: mask for name, mask in model.named_buffers() if not mask.all()}
    weights = {name: dict(model.named_parameters())[name.replace("mask", "weight")] for name in masks}
    assert masks and all(not weights[name][~mask].any() for name, mask in masks.items())
    before.square().sum().backward()
    assert all(not weights[name].grad[~mask].any() for name, mask in masks.items())
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name][~mask] = 7.0
    assert torch.equal(model(tokens, lengths), before)
    assert model.active == sum(p.numel() for p in model.parameters()) - sum(int((~m).sum()) for m in masks.values())


def test_training_keeps_masked_weights_zero_and_copies_agree():
    torch.manual_seed(0)
    model = GraphClassifier(nx.barabasi_albert_graph(12, 2, seed=0), "gru", skip="separate")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=0.1)
    tokens, lengths = batch()
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(tokens, lengths), lengths % 2).backward()
        optimizer.step()
    for name, mask in model.named_buffers():
        assert not dict(model.named_parameters())[name.replace("mask", "weight")][~mask].any()
    twin = copy.deepcopy(model)
    fresh = GraphClassifier(nx.barabasi_albert_graph(12, 2, seed=0), "gru", skip="separate")
    fresh.load_state_dict(model.state_dict())
    for other in (twin, fresh):
        assert torch.equal(other(tokens, lengths), model(tokens, lengths))


def test_head_reads_every_vertex_that_feeds_no_other():
    graph = nx.Graph([(0, 1), (0, 2), (1, 3)])  # 2 is a dead end in layer 1
    model = GraphClassifier(graph, "rnn_tanh", sinks="all")
    assert model.read == [[], [1], [0]] and model.head.in_features == 2
    assert GraphClassifier(graph, "rnn_tanh").head.in_features == 1


def test_padding_cannot_touch_the_last_token():
    model = GraphClassifier(nx.Graph(EXAMPLE), "lstm", skip="separate")
    tokens, lengths = batch()
    torch.testing.assert_close(model(tokens, lengths), model(F.pad(tokens, (0, 6)), lengths), rtol=0, atol=1e-6)


def test_sizes_follow_the_graph():
    model = GraphClassifier(nx.Graph(EXAMPLE), "lstm")
    assert model.embedding.weight.shape == (128, 2)
    assert [module.hidden_size for module in model.recurrent.layers] == [2, 1, 1, 1]
    assert GraphClassifier(nx.Graph(EXAMPLE), "lstm", width=9).recurrent.layers[0].input_size == 9


@pytest.mark.parametrize(
    "bad", [dict(cell="lstmm"), dict(skip="none"), dict(h2h="x"), dict(sinks="x"), dict(gate_mask="x"), dict(init="x")]
)
def test_unknown_words_are_told_with_the_known_ones(bad):
    with pytest.raises(InputError, match="must be one of"):
        GraphClassifier(nx.Graph(EXAMPLE), **{"cell": "gru", **bad})
