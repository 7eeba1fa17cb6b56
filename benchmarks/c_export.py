"""How fast an exported network in C is: against torch and onnxruntime, at several percents removed, on one thread at batch 1.

    python benchmarks/c_export.py                 the table of benchmarks/RESULTS.md
    python benchmarks/c_export.py --model         what `COSTS` in src/espalier/pruning/c/layouts.py is made of

Exits with 1 if a network in tiles is slower than `LEAST` times torch's dense layer, or from 50 % on than onnxruntime.
"""

import argparse
import copy
import io
import platform
import statistics
import sys
import time
import warnings

import numpy as np
import torch
from torch import nn

import espalier
from espalier.pruning.c import layouts
from espalier.pruning.c.check import FAST, Compiled, temporary
from espalier.pruning.c.network import Network

#: Percent removed in tiles -> how many times as fast as torch's dense layer it must be.
LEAST = {0: 0.9, 80: 3.0, 90: 5.0}
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


def compiled(model, size, folder, **how):
    """(an exported network as a program, what it is written by, a step of its input)."""
    network = Network(model, lambda batch, steps: torch.randn(batch, steps, size))
    writer = network.writer("net.c", **how)
    return Compiled(writer, folder, FAST), network.sequences[1], writer


def onnx_session(model, values):
    import onnxruntime

    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (values,), content, input_names=["x"], opset_version=17, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content.getvalue(), options, providers=["CPUExecutionProvider"])


def milliseconds(call, passes=40):
    """Median of a call."""
    taken = []
    for k in range(passes + 3):
        started = time.perf_counter()
        call()
        if k > 2:
            taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)


def pruned(dense, percent, structure):
    """A copy with so many percent of its weights removed, in tiles of 8x4 or one by one."""
    network = copy.deepcopy(dense)
    if percent:
        espalier.prune(network, percent=percent, **({"structure": "block", "block": (8, 4)} if structure == "block" else {}))
    return network


def measured(dense, network, size, steps, rounds):
    """(milliseconds of torch's dense layer, of C, of onnxruntime, of C in int8, one row per round; the writer of C)."""
    values = torch.randn(1, steps, size)
    session, feed = onnx_session(network, values), {"x": values.numpy()}
    with temporary() as one, temporary() as two, torch.inference_mode():
        ours, _, writer = compiled(network, size, one)
        small, _, _ = compiled(network, size, two, quantize="int8")
        rows = []
        for _ in range(rounds):  # in turns, for machines are busy
            ort = milliseconds(lambda: session.run(None, feed))
            c, int8 = (program.milliseconds(values[0].numpy()) for program in (ours, small))
            rows.append((milliseconds(lambda: dense(values)), c, ort, int8))
    return rows, writer


def table(size, steps, rounds):
    print(f"size {size}, {steps} steps, batch 1, one thread; times as fast as torch's dense layer, median of {rounds} rounds")
    heads = "cell", "removed", "structure", "torch ms", "C ms", "C", "ORT", "C int8", "KiB"
    print("".join(f"{head:>10}" for head in heads), " layouts")
    failed = False
    for name, kind in CELLS.items():
        torch.manual_seed(0)
        dense = kind(size, size, batch_first=True).eval()
        for percent in (0, 50, 80, 90, 95):
            for structure in ("block",) if percent in (0, 50) else ("block", "weight"):
                rows, writer = measured(dense, pruned(dense, percent, structure), size, steps, rounds)
                times = [statistics.median(row[k] for row in rows) for k in (0, 1)]
                speeds = [statistics.median(row[0] / row[k] for row in rows) for k in (1, 2, 3)]
                cells = [name, f"{percent} %", structure, *(f"{one:.3f}" for one in times), *(f"{one:.1f}" for one in speeds)]
                kept = ", ".join(sorted({own.layout for own in writer.matrices.values()}))
                cells.append(f"{writer.about['bytes'] / 1024:.0f}")
                print("".join(f"{one:>10}" for one in cells), f" {kept}", flush=True)
                if structure == "block":
                    failed |= speeds[0] < LEAST.get(percent, 0) or (percent >= 50 and speeds[0] <= speeds[1])
    return failed


def model(size, quantize):
    """Milliseconds of products in every layout, and the least-squares costs per tile and per group of rows."""
    rows = {name: [] for name in layouts.TILES}
    generator = np.random.default_rng(0)
    for percent in (0, 50, 80, 90, 95, 98):
        for name, (height, width) in layouts.TILES.items():
            net = nn.RNN(size, size, bias=False, batch_first=True)
            with torch.no_grad():
                for weight in net.parameters():
                    keep = generator.random((size // height, size // width)) >= percent / 100
                    weight.mul_(torch.from_numpy(np.kron(keep, np.ones((height, width)))).float())
            if name == "dense" and percent:
                continue
            with temporary() as folder:
                ours, one, writer = compiled(net, size, folder, layout=name, quantize=quantize)
                taken = min(ours.milliseconds(one) for _ in range(3))
            laid = next(iter(writer.matrices.values()))
            stored = 1 if quantize is None or width != 4 else 4  # columns in a number
            tiles = sum(len(own.values) * stored // (height * width) for own in writer.matrices.values())
            rows[name].append((tiles, 2 * (size // height), taken, laid.layout))
    unit = rows["dense"][0][2] / rows["dense"][0][0]
    for name, found in rows.items():
        counts = np.array([[tiles, groups] for tiles, groups, _, _ in found], float)
        times = np.array([taken for *_, taken, _ in found]) / unit
        fit = np.linalg.lstsq(counts, times, rcond=None)[0] if len(found) > 1 else [1.0, 0.0]
        print(f"{name:10} {fit[0]:.3f} per tile, {fit[1]:.3f} per group of rows; {np.round(times).astype(int).tolist()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(platform.processor() or platform.machine(), "torch", torch.__version__)
    if asked.model:
        for quantize in (None, "int8"):
            print(quantize or "single precision")
            model(asked.size, quantize)
    else:
        sys.exit(table(asked.size, asked.steps, asked.rounds))
