"""The same on a GPU as on the CPU, where there is one."""

import copy

import networkx as nx
import pytest
import torch
from torch import nn

import espalier
from espalier.nn import CELLS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def inputs(device="cpu"):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(60, 90, (8, 15), generator=generator)
    return tokens.to(device), torch.tensor([15, 2, 7, 1, 9, 15, 4, 11]).to(device)


def networks(cell):
    torch.manual_seed(0)
    graph = nx.connected_watts_strogatz_graph(20, 4, 0.5, seed=1)
    yield espalier.SequenceClassifier(cell, (12, 10))
    yield espalier.GraphClassifier(graph, cell)
    yield espalier.GraphClassifier(graph, cell, skip="separate")


@pytest.mark.parametrize("cell", list(CELLS))
def test_logits_and_gradients(cell):
    for model in networks(cell):
        twin = copy.deepcopy(model).cuda()
        found = []
        for network, device in ((model, "cpu"), (twin, "cuda")):
            tokens, lengths = inputs(device)
            logits = network(tokens, lengths)
            nn.functional.cross_entropy(logits, lengths % 2).backward()
            found.append([logits.detach().cpu(), *(p.grad.cpu() for p in network.parameters())])
        for ours, theirs in zip(*found):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("structure", ["weight", "unit", "block"])
def test_masks_training_and_shrinking(structure):
    torch.manual_seed(0)
    model = espalier.SequenceClassifier("lstm", (12, 10)).cuda()
    masks = espalier.prune(model, structure=structure, percent=50)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    tokens, lengths = inputs("cuda")
    with masks.attached(model, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(tokens, lengths), lengths % 2).backward()
            optimizer.step()
    assert all(not dict(model.named_parameters())[name].cpu()[~mask].any() for name, mask in masks.items())
    small = espalier.shrink(model, say=None)
    assert next(small.parameters()).is_cuda
    torch.testing.assert_close(small(tokens, lengths), model(tokens, lengths), rtol=0, atol=1e-5)
