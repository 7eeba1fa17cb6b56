"""Ratio of a training epoch of the loop to one through train.py: same strings, batch size and thread, one process.

    python benchmarks/train_epoch.py [cell ...]

An epoch of ours lasts from its start to the start of the next: making the batches, Lightning, progress, TensorBoard and the
checkpoint are in it. The loop, on the study's random batches, does nothing but train; so the ratio leaves out the evaluation
of validation and test after our epoch, and the last column counts it too. Exits with 1 if a ratio is below its bound.
"""

import argparse
import itertools
import statistics
import tempfile
import time

import torch
from loop import LoopClassifier
from torch.nn import functional as F

from espalier.data.batching import Batches, shuffled
from espalier.learning.bench import Bench
from espalier.learning.feeds import Feed
from espalier.settings import Reber, Shares, TrainConfig, Trainer
from espalier.studies import train as story
from espalier.studies.plan import base_training

BOUNDS = {"rnn_tanh": 2.8, "rnn_relu": 2.8, "gru": 2.0, "lstm": 4.5}


def loop_seconds(cell, bench, steps, seed):
    """Median seconds of a training step of the loop, over random batches of the same strings."""
    torch.manual_seed(seed)
    model = LoopClassifier(cell)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    strings = bench.splits.train
    batches = Batches(strings, shuffled(strings.lengths, strings.targets, 32, torch.Generator().manual_seed(seed))[:steps])
    taken = []
    for tokens, _, labels in batches:
        started = time.perf_counter()
        loss = F.cross_entropy(model(tokens), labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


class Watch:
    """Notes when each epoch starts and how long its evaluation takes."""

    starts, evaluations = [], []


def our_seconds(cell, epochs):
    """Median seconds of an epoch through the story that train.py calls: (without evaluation, with it)."""
    Watch.starts.clear(), Watch.evaluations.clear()
    with tempfile.TemporaryDirectory() as outputs:
        config = TrainConfig(cell=cell, outputs=outputs, data=data(), trainer=Trainer(max_epochs=epochs + 1))
        story.job(config)
    whole = [b - a for a, b in itertools.pairwise(Watch.starts)]
    return (
        statistics.median(seconds - evaluation for seconds, evaluation in zip(whole, Watch.evaluations)),
        statistics.median(whole),
    )


def watched(row):
    def timed(*arguments):
        started = time.perf_counter()
        result = row(*arguments)
        Watch.evaluations.append(time.perf_counter() - started)
        return result

    return timed


def noted(train_dataloader):
    def timed(self):
        Watch.starts.append(time.perf_counter())
        return train_dataloader(self)

    return timed


def data():
    return Reber(train_size=18750, test_size=6250, shares=Shares())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", default=list(BOUNDS))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120, help="of the loop")
    arguments = parser.parse_args()
    Bench.row = watched(Bench.row)
    Feed.train_dataloader = noted(Feed.train_dataloader)
    torch.set_num_threads(1)
    below = False
    print("cell      loop ms/step  ours ms/step  ratio  with evaluation  at least")
    for cell in arguments.cells:
        bench = Bench(base_training(TrainConfig(cell=cell, data=data())), 0, torch.device("cpu"))
        steps = -(-len(bench.host.train) // 32)
        before = loop_seconds(cell, bench, arguments.steps // 2, 0)
        training, everything = (seconds / steps for seconds in our_seconds(cell, arguments.epochs))
        loop = (before + loop_seconds(cell, bench, arguments.steps // 2, 1)) / 2
        below |= loop / training < BOUNDS[cell]
        print(
            f"{cell:9} {1e3 * loop:12.2f} {1e3 * training:13.2f} {loop / training:6.2f} {loop / everything:16.2f}"
            f" {BOUNDS[cell]:9.1f}",
            flush=True,
        )
    raise SystemExit(below)


if __name__ == "__main__":
    main()
