"""Are the tables still those of an earlier commit, to the last digit? Runs both on small studies and compares.

python benchmarks/same_tables.py [--before d851b61] [--keep DIR]

Compared are the tables of all jobs and sweeps; left out are times, addresses, and columns that the earlier commit has not.
"""

import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ["data.train_size=400", "data.test_size=200", "data.validation_fraction=0.25", "data.batch_size=16", "logger=none"]
TINY = [*DATA, "model.hidden=[12,10]", "trainer.max_epochs=4", "retrain.max_epochs=3"]
LEVELS = [*TINY, "percent=[20,60,90,100]"]
STUDIES = {
    "targets": ["prune", "-m", *LEVELS, "cell=lstm,rnn_tanh", "target=i2h,both"],
    "gates": ["prune", "-m", *LEVELS, "cell=gru", "target=h2h,both", "scope=gate", "retrain=fixed", "seed=0,1"],
    "units": ["prune", "-m", *TINY, "percent=[25,50,75]", "cell=gru,rnn_relu", "structure=unit", "score=activation"],
    "taylor": ["prune", *TINY, "percent=[25,50]", "cell=lstm", "structure=unit", "score=taylor"],
    "blocks": ["prune", *TINY, "percent=[25,50]", "cell=rnn_relu", "structure=block", "score=random", "block=[2,3]"],
    "thesis": ["prune", "-m", "experiment=thesis_pruning", *LEVELS, "cell=rnn_relu,lstm", "target=i2h,both"],
    "controls": ["prune", *TINY, "percent=[50]", "cell=gru", "controls=true"],
    "base": ["train", "-m", *(key for key in TINY if not key.startswith("retrain")), "cell=gru,rnn_tanh"],
    "search": [
        "structure_search", *DATA, "cell=gru", "trainer.max_epochs=2", "graph.barabasi_albert=5", "graph.watts_strogatz=5",
        "graph.erdos_renyi=2", "graph.nodes=[6,12]", "dense=2", "predictor.repeats=1", "processes=2",
    ],
    "thesis_search": [
        "structure_search", "experiment=thesis_structure", *DATA, "cell=lstm", "trainer.max_epochs=2",
        "graph.barabasi_albert=6", "graph.watts_strogatz=6", "graph.nodes=[6,12]", "dense=1", "predictor.repeats=1",
        "processes=2", "predictor.regressors=[bayesian_ridge]",
    ],
}  # fmt: skip
TIMES = ("seconds", "time")
#: What the present code is asked for besides, for the earlier commit did so: one look is enough.
AS_BEFORE = {"prune": ["regain.patience=1"]}


def run(source, outputs, more=None):
    """Every study by the code in `source`.  more: door -> further arguments."""
    environment = {**os.environ, "PYTHONPATH": str(source / "src")}
    for name, (door, *arguments) in STUDIES.items():
        arguments += [*(more or {}).get(door, ()), f"outputs={outputs / name}"]
        command = [sys.executable, str(source / f"{door}.py"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=source)
        if done.returncode:
            raise SystemExit(f"{name} of {source} ended with {done.returncode}:\n{done.stderr}")


def tables(outputs):
    """Name without addresses -> rows of every table of a job or a sweep."""
    found = {}
    for path in sorted(outputs.glob("*/*/*/**/*.csv")):
        study, kind, *parts = path.relative_to(outputs).parts
        if kind in ("train", "prune", "structure_search", "sweeps") and path.name != "runs.csv":
            name = re.sub(r"-[0-9a-f]{8}(?=/|$)", "", "/".join([study, kind, *parts]))
            with open(path, newline="", encoding="utf-8") as file:
                found.setdefault(name, []).extend(csv.DictReader(file))
    return found


def differences(before, after):
    """A line per table that is missing, or row that differs."""
    for name, rows in before.items():
        own = after.get(name)
        if "/train/" in name and not name.startswith("base/"):
            continue  # what a pruning job trains on the way is its own affair
        if own is None or len(own) != len(rows):
            yield f"{name}: {len(rows)} rows before, {'no table' if own is None else f'{len(own)} rows'} now"
            continue
        # Bases of several runs of one name stand in any order.
        columns = [column for column in rows[0] if column not in TIMES] if rows else []
        if any(column not in own[0] for column in columns):
            yield f"{name}: no column {', '.join(column for column in columns if column not in own[0])} any more"
            continue
        expected, found = (sorted([row[column] for column in columns] for row in part) for part in (rows, own))
        yield from (f"{name}: {ours} before, {theirs} now" for ours, theirs in zip(expected, found) if ours != theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", default="d851b61", help="the earlier commit")
    parser.add_argument("--keep", help="a folder for the tables of the earlier commit, taken from there the next time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(options.keep or folder) / options.before
        if not (kept / "done").exists():
            source = Path(folder) / "source"
            source.mkdir()
            archive = subprocess.run(["git", "archive", options.before], cwd=ROOT, capture_output=True, check=True).stdout
            subprocess.run(["tar", "-x", "-C", str(source)], input=archive, check=True)
            run(source, kept)
            (kept / "done").touch()
        run(ROOT, Path(folder) / "now", AS_BEFORE)
        before, after = tables(kept), tables(Path(folder) / "now")
        found = list(differences(before, after))
    print("\n".join(found[:20]))
    for study in STUDIES:
        print(f"{study}: {sum(line.startswith(f'{study}/') for line in found)} differences")
    print(f"{len(before)} tables of {options.before}, {sum(map(len, before.values()))} rows: {len(found)} differences")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
