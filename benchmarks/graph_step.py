"""Ratio of a training step of a network wired like a graph, as one loop per connected pair of layers, to ours.

    python benchmarks/graph_step.py [cell ...]

Median over random graphs of 25 to 50 nodes, half Barabasi-Albert and half Watts-Strogatz, of the ratio on each: forward,
backward, clipping and Adam on the same batch of generated strings at full length, one thread. Exits with 1 if a ratio is below
its bound.
"""

import argparse
import statistics
import sys
import time

import torch
from loop import LoopGraph
from torch.nn import functional as F

from espalier import data
from espalier.data.batching import Batches, shuffled
from espalier.graphs import barabasi_albert, watts_strogatz
from espalier.nn import GraphClassifier
from espalier.runs.identity import plain
from espalier.settings import Reber

BOUNDS = {
    "summed": {"rnn_tanh": 8.0, "rnn_relu": 8.0, "gru": 5.0, "lstm": 15.0},
    "separate": {"rnn_tanh": 4.0, "rnn_relu": 4.0, "gru": 3.0, "lstm": 6.5},
}


def seconds(model, call, labels, repeats):
    """Median seconds of a training step after one to warm up."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    taken = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        loss = F.cross_entropy(call(), labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cells", nargs="*", default=list(BOUNDS["summed"]))
    parser.add_argument("--graphs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    strings = data.load(plain(Reber(train_size=2000, test_size=400))).train
    order = shuffled(strings.lengths, strings.targets, arguments.batch, torch.Generator().manual_seed(0))
    tokens, lengths, labels = next(iter(Batches(strings, order)))
    sizes = [25 + round(25 * k / (arguments.graphs - 1)) for k in range(arguments.graphs)]
    graphs = [barabasi_albert(n, 0.1, seed) if seed % 2 else watts_strogatz(n, 0.2, 1, seed) for seed, n in enumerate(sizes)]
    failed = False
    for cell in arguments.cells:
        ratios = {skip: [] for skip in BOUNDS}
        for graph in graphs:
            loop = LoopGraph(cell, graph)
            yardstick = seconds(loop, lambda: loop(tokens), labels, 2)  # noqa: B023
            for skip in ratios:
                model = GraphClassifier(graph, cell, skip=skip, readout="last_step")
                ratios[skip].append(yardstick / seconds(model, lambda: model(tokens, lengths), labels, 5))  # noqa: B023
        for skip, found in ratios.items():
            bound = BOUNDS[skip][cell]
            median = statistics.median(found)
            failed |= median < bound
            spread = f"{min(found):.2f} to {max(found):.2f}"
            print(f"{cell:9} {skip:9} median {median:6.2f} ({spread}), at least {bound:g}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
