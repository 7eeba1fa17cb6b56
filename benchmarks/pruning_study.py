"""Ratio of the pruning study of one cell by the loop to ours: the same levels, epochs, strings, batch size and thread.

    python benchmarks/pruning_study.py [cell ...]

Both start from the same base, cut it at two levels, judge it on validation and test right after the cut and after each of two
epochs, and train in between. Ours writes its tables, figures, TensorBoard events and checkpoints besides, but leaves out the
curve, which the study had not. Exits with 1 if a ratio is below its bound.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from loop import LoopClassifier
from torch.nn import functional as F
from train_epoch import BOUNDS

from espalier.data.batching import Batches, shuffled
from espalier.learning.bench import load_data
from espalier.runs.identity import plain
from espalier.settings import Mode, PruneConfig, Reber, Retrain
from espalier.studies import prune

LEVELS, EPOCHS = [50, 90], 2
DATA = Reber(train_size=5000, test_size=2000, validation_fraction=0.2)


def loop_study(cell, base, splits):
    for percent in LEVELS:
        model = LoopClassifier(cell)
        model.load_state_dict(base)
        cut(model, percent)
        judge(model, splits)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for epoch in range(EPOCHS):
            order = shuffled(splits.train.lengths, splits.train.targets, 32, torch.Generator().manual_seed(epoch))
            for tokens, _, labels in Batches(splits.train, order):
                loss = F.cross_entropy(model(tokens), labels)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
                optimizer.step()
            judge(model, splits)


def cut(model, percent):
    layers = model.recurrent.recurrent_layers
    pairs = [(w, m) for layer in layers for w, m in ((layer.weight_ih, layer.mask_i2h), (layer.weight_hh, layer.mask_h2h))]
    limit = torch.quantile(torch.cat([weight.detach().abs().flatten() for weight, _ in pairs]), percent / 100)
    for weight, mask in pairs:
        mask.copy_(weight.detach().abs() >= limit)


def judge(model, splits):
    with torch.no_grad():
        for strings in (splits.validation, splits.test):
            order = shuffled(strings.lengths, strings.targets, 32, torch.Generator().manual_seed(0))
            for tokens, _, _ in Batches(strings, order):
                model(tokens)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", default=list(BOUNDS))
    torch.set_num_threads(1)
    splits = load_data(plain(DATA))
    below = False
    print("cell      loop, s  ours, s  ratio  at least")
    for cell in parser.parse_args().cells:
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            base = LoopClassifier(cell).state_dict()
            torch.save(base, Path(folder) / "base.pt")
            config = PruneConfig(
                cell=cell, data=DATA, base=f"{folder}/base.pt", percent=LEVELS, curve=False, outputs=folder,
                retrain=Retrain(mode=Mode.fixed, max_epochs=EPOCHS),
            )  # fmt: skip
            started = time.perf_counter()
            prune.job(config)
            ours = time.perf_counter() - started
        started = time.perf_counter()
        loop_study(cell, base, splits)
        loop = time.perf_counter() - started
        below |= loop / ours < BOUNDS[cell]
        print(f"{cell:9} {loop:7.1f} {ours:8.1f} {loop / ours:6.2f} {BOUNDS[cell]:9.1f}", flush=True)
    raise SystemExit(below)


if __name__ == "__main__":
    main()
