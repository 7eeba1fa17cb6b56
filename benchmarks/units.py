"""What removing 75 % of the hidden units of a 2 x 256 network buys: time of a forward pass, dense over shrunk.

    python benchmarks/units.py [cell ...] [--levels]

Batch 1, one thread, 32 time steps, median of many passes, the networks taking turns. --levels adds masked dense, CSR and
shrunk networks at several percents, at batch 1 and 32. Exits with 1 if a ratio is below its bound.
"""

import argparse
import copy
import sys

import torch
from torch import nn

import espalier
from espalier.pruning.costs import costs, worth

BOUNDS = {"lstm": 5.0, "gru": 2.3, "rnn_tanh": 1.8, "rnn_relu": 1.8}
KINDS = {"lstm": (nn.LSTM, {}), "gru": (nn.GRU, {}), "rnn_tanh": (nn.RNN, {}), "rnn_relu": (nn.RNN, {"nonlinearity": "relu"})}
PERCENTS = (50, 75, 90, 95, 99)


class Net(nn.Module):
    def __init__(self, cell):
        super().__init__()
        kind, more = KINDS[cell]
        self.rnn, self.head = kind(64, 256, num_layers=2, batch_first=True, **more), nn.Linear(256, 10)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def pruned(dense, percent, **how):
    model = copy.deepcopy(dense)
    espalier.prune(model, percent=percent, **how)
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cells", nargs="*", default=list(BOUNDS))
    parser.add_argument("--levels", action="store_true")
    arguments = parser.parse_args()
    readers, failed = {"rnn": ["head"]}, False
    for cell in arguments.cells:
        torch.manual_seed(0)
        dense = Net(cell)
        small = espalier.shrink(pruned(dense, 75, structure="unit", readers=readers), readers, say=None)
        one, two = costs({"dense": dense, "shrunk": small}, batches=(1,), repeats=200)
        ratio = one["ms_1"] / two["ms_1"]
        failed |= ratio < BOUNDS[cell]
        print(
            f"{cell:9} dense {one['ms_1']:.2f} ms, shrunk {two['ms_1']:.2f} ms, ratio {ratio:.2f}, at least {BOUNDS[cell]:g}; "
            f"bytes {one['bytes'] / two['bytes']:.1f}, multiply-adds {one['multiply_adds'] / two['multiply_adds']:.1f}",
            flush=True,
        )
        for percent in PERCENTS if arguments.levels else ():
            masked = pruned(dense, percent)
            small = espalier.shrink(pruned(dense, percent, structure="unit", readers=readers), readers, say=None)
            rows = worth(dense, masked, small, repeats=20)
            told = "; ".join(f"{r['name']} {r['ms_1']:.2f} / {r['ms_32']:.2f} ms, {r['bytes'] / 1024:.0f} KiB" for r in rows)
            print(f"  {percent} %: {told}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
