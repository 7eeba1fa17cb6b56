"""Time of the exact diagonal of optimal brain damage on 10,000 images for 784-100-10, beside one pass of training over them.

    python benchmarks/second_order.py

The published study took a double backward pass per weight, about 4,550 s for a cut. Exits with 1 if the diagonal takes more
than twenty such passes; it makes ten backward passes, one per class.
"""

import statistics
import sys
import time

import torch
from torch.nn import functional as F

from espalier.nn.feedforward import FeedForward
from espalier.pruning.context import Context
from espalier.pruning.curvature import diagonal

MOST = 20


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, images, classes = FeedForward(784, 10), torch.randn(10_000, 784), torch.randint(10, (10_000,))
    names = [name for name, _ in model.named_parameters() if name.endswith("weight")]

    def training_pass():
        model.zero_grad()
        F.cross_entropy(model(images), classes).backward()

    def curvature():
        diagonal(names, Context(model, [images], torch.Generator(), loss="cross_entropy"))

    seconds = {function.__name__: [] for function in (training_pass, curvature)}
    for _ in range(7):
        for function in (training_pass, curvature):
            started = time.perf_counter()
            function()
            seconds[function.__name__].append(time.perf_counter() - started)
    one, other = (statistics.median(values[1:]) for values in seconds.values())
    print(f"training pass {one:.3f} s, diagonal {other:.3f} s: {other / one:.1f} times")
    sys.exit(other > MOST * one)


if __name__ == "__main__":
    main()
