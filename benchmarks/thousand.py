"""Seconds to skip, and to report on, a sweep of many finished runs; twice as many should take twice as long.

python benchmarks/thousand.py [runs]
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TINY = [
    "data.train_size=160", "data.test_size=80", "data.validation_fraction=0.25", "data.batch_size=16", "model.hidden=[6]",
    "trainer.max_epochs=1", "retrain.max_epochs=0", "logger=none", "cell=gru", "percent=[50]",
]  # fmt: skip


def sweep(outputs, seeds):
    command = [sys.executable, str(ROOT / "prune.py"), "-m", f"outputs={outputs}", *TINY, f"seed=range({seeds})"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.perf_counter() - started, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="?", type=int, default=1000)
    wanted = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as outputs:
        sweep(outputs, 1)
        (first,) = Path(outputs).glob("prune/*/seed_0")
        for seed in range(1, wanted):  # a finished run is its folder
            shutil.copytree(first, first.parent / f"seed_{seed}")
        print("runs   skip and report, s   per run, ms")
        for runs in (wanted // 2, wanted):
            seconds, out = sweep(outputs, runs)
            assert f"{runs} of {runs} jobs were done before" in out, out
            print(f"{runs:5} {seconds:18.1f} {1e3 * seconds / runs:13.1f}", flush=True)
        (folder,) = [
            path for path in Path(outputs).glob("sweeps/*") if len((path / "runs.csv").read_text().splitlines()) == wanted + 1
        ]
        started = time.perf_counter()
        subprocess.run([sys.executable, str(ROOT / "prune.py"), f"report={folder}"], check=True, capture_output=True)
        print(f"report={folder.name}: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
