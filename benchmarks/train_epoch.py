"""Ratio of a training epoch of the loop to one through train.py: same strings, batch size and thread, one process.

    python benchmarks/train_epoch.py [cell ...]

The loop trains on the study's random batches; train.py does all that it does: Lightning, progress, TensorBoard, checkpoint,
and, in the second column, also the evaluation of validation and test after the epoch, which the loop is spared.
"""

import argparse
import statistics
import tempfile
import time

import torch
from loop import LoopClassifier
from torch.nn import functional as F

from espalier.data.batching import Batches, shuffled
from espalier.experiments import train as story
from espalier.experiments.common import Bench
from espalier.experiments.config import Data, Shares, TrainConfig, Trainer
from espalier.learning.fit import Epochs

BOUNDS = {"rnn_tanh": 2.8, "rnn_relu": 2.8, "gru": 2.0, "lstm": 4.5}


def loop_seconds(cell, bench, steps, seed):
    """Median seconds of a training step of the loop, over random batches of the same strings."""
    torch.manual_seed(seed)
    model = LoopClassifier(cell)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    strings = bench.splits.train
    batches = Batches(strings, shuffled(strings.lengths, strings.labels, 32, torch.Generator().manual_seed(seed))[:steps])
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


class Watch(Epochs):
    """Notes when each epoch of training ends, before and after what follows it."""

    log = []

    def on_train_epoch_start(self, trainer, pl_module):
        Watch.log.append([time.perf_counter()])

    def on_train_epoch_end(self, trainer, pl_module):
        Watch.log[-1].append(time.perf_counter())
        super().on_train_epoch_end(trainer, pl_module)
        Watch.log[-1].append(time.perf_counter())


def our_seconds(cell, epochs):
    """Seconds of an epoch through the story that train.py calls: (training alone, with evaluation), fastest of the epochs."""
    Watch.log.clear()
    with tempfile.TemporaryDirectory() as outputs:
        config = TrainConfig(cell=cell, outputs=outputs, data=data(), trainer=Trainer(max_epochs=epochs))
        story.job(config)
    return tuple(statistics.median(entry[k] - entry[0] for entry in Watch.log) for k in (1, 2))


def data():
    return Data(train_size=18750, test_size=6250, shares=Shares())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", default=list(BOUNDS))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120, help="of the loop")
    arguments = parser.parse_args()
    story.Epochs = Watch
    torch.set_num_threads(1)
    print("cell      loop ms/step  ours ms/step  ratio  with evaluation  at least")
    for cell in arguments.cells:
        bench = Bench(TrainConfig(cell=cell, data=data()), torch.device("cpu"))
        steps = -(-len(bench.host.train) // 32)
        before = loop_seconds(cell, bench, arguments.steps // 2, 0)
        training, everything = (seconds / steps for seconds in our_seconds(cell, arguments.epochs))
        loop = (before + loop_seconds(cell, bench, arguments.steps // 2, 1)) / 2
        print(
            f"{cell:9} {1e3 * loop:12.2f} {1e3 * training:13.2f} {loop / training:6.2f} {loop / everything:16.2f}"
            f" {BOUNDS[cell]:9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
