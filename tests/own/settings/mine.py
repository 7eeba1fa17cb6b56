"""A network, data, a score, a schedule, a task, a family of graphs and a regressor of a user's own."""

import networkx as nx
import torch
from sklearn.linear_model import Lasso
from torch import nn

from espalier.data import Data, Split
from espalier.tasks import Metric, Task


class Net(nn.Module):
    """The last state of a GRU, and a head."""

    def __init__(self, features, outputs, width=8):
        super().__init__()
        self.rnn = nn.GRU(features, width, batch_first=True)
        self.head = nn.Linear(width, outputs)
        self.readers = {"rnn": ["head"]}

    def forward(self, values):
        return self.head(self.rnn(values)[0][:, -1])


def load(seed, count=120, steps=6):
    generator = torch.Generator().manual_seed(seed)

    def draw(number):
        values = torch.rand(number, steps, 2, generator=generator)
        return Split((values,), values.sum((1, 2)).unsqueeze(1))

    return Data(draw(count), draw(count // 4), draw(count // 4), {"features": 2, "outputs": 1}, baselines={"constant": 1.0})


def absolute(allowed=0.1):
    metric = Metric("mae", False, allowed, relative=True, label="mean absolute error", limits=(0, None))

    def loss(outputs, targets):
        return (outputs - targets).abs().mean()

    def score(outputs, targets):
        return (outputs - targets).abs().sum(), targets.numel()

    return Task(metric, loss, score)


def saliency(weights, context, power=1.0):
    return {name: (weight * context.gradient(name)).abs() ** power for name, weight in weights.items()}


def twice(level, start, percents, run, settings):
    for percent in percents[: settings["most"]]:
        yield run(level(percent, start))


def ring(nodes, seed, chords=3):
    graph = nx.cycle_graph(nodes)
    graph.add_edges_from((k, (k + 2 + seed % 3) % nodes) for k in range(chords))
    return graph


def lasso(seed):
    return Lasso(alpha=1e-4)
