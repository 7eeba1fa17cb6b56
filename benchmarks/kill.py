"""Kill a run at random moments, repeat the command, and compare with the run that was left alone, bit for bit.

python benchmarks/kill.py [--times 30] [--door prune] [--study NAME] [--parallel]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
DATA = ["data.train_size=400", "data.test_size=200", "data.validation_fraction=0.25", "data.batch_size=16", "cell=gru"]
SMALL = [*DATA, "model.hidden=[12,10]", "trainer.max_epochs=6"]
DOORS = {
    "train": SMALL,
    "prune": [*SMALL, "percent=[20,60,90]", "retrain=fixed", "retrain.max_epochs=4", "curve=false"],
    "structure_search": [
        *DATA, "trainer.max_epochs=3", "graph.barabasi_albert=6", "graph.watts_strogatz=6", "graph.erdos_renyi=0", "dense=1",
        "predictor.repeats=1", "predictor.regressors=[bayesian_ridge]", "processes=2",
    ],
}  # fmt: skip
#: Studies of prune.py, small.
STUDIES = {
    "ffn_methods": [
        "experiment=ffn_methods", "data.train_size=300", "data.side=12", "trainer.max_epochs=3", "retrain.max_epochs=3",
        "score=magnitude,obd,obs", "scope=layer", "percent=[50,80]", "device=cpu",
    ],
    "ffn_weights_vs_units": [
        "experiment=ffn_weights_vs_units", "data.train_size=300", "data.side=8", "model.hidden=[30,20]",
        "modules=[layers.0,layers.2]", "retrain.max_epochs=2", "percent=[25,50]", "costs=false", "device=cpu",
    ],
    "redundant_units": [
        "experiment=redundant_units", "data.length=900", "model.hidden=[16]", "trainer.max_epochs=4", "retrain.max_epochs=2",
        "costs=false", "curve=false", "device=cpu",
    ],
}  # fmt: skip
PARALLEL = ["-m", "engine=joblib", "hydra.launcher.n_jobs=2", "seed=0,1"]


def start(door, arguments, outputs):
    command = [sys.executable, str(ROOT / f"{door}.py"), *arguments, f"outputs={outputs}"]

    def heed_ctrl_c():  # which whoever started us in the background may have had ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    ends = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, start_new_session=True, preexec_fn=heed_ctrl_c, **ends)


def wait_for(process, happened):
    """What `happened()` returns once that is true, however busy the machine is.  Raises: AssertionError if the process ended
    before.
    """
    while True:
        ended = process.poll() is not None
        if found := happened():
            return found
        assert not ended, f"it ended before, with exit code {process.returncode}:\n{process.communicate()[1]}"
        time.sleep(0.05)


def finish(door, arguments, outputs):
    """Run to the end; returns the seconds it took."""
    began = time.monotonic()
    with start(door, arguments, outputs) as process:
        _, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}:\n{err}")
    return time.monotonic() - began


def kill_after(door, arguments, outputs, seconds):
    """SIGKILL the process and all its workers after so many seconds, unless it was done; returns whether it was killed."""
    with start(door, arguments, outputs) as process:
        try:
            process.communicate(timeout=seconds)
            return False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True


def results(outputs):
    """Everything that must be equal: tables without times, weights and masks."""
    found = {}
    for path in sorted(Path(outputs).rglob("*")):
        name = str(path.relative_to(outputs))
        if path.suffix == ".csv" and "sweeps" not in path.parts:
            lines = [line.split(",") for line in path.read_text().splitlines()]
            skip = [lines[0].index(time) for time in ("seconds", "time") if time in lines[0]]
            found[name] = [[value for k, value in enumerate(line) if k not in skip] for line in lines]
        elif path.suffix == ".pt":
            content = torch.load(path, weights_only=True)
            found[name] = {
                f"{part}/{key}": value.numpy().tobytes()
                for part in ("state_dict", "masks")
                for key, value in content.get(part, {}).items()
            }
    return found


def trial(door, arguments, folder, expected, moments):
    """Kill at each of the moments in turn, then let it finish.  Returns (killed, equal, finished files made again)."""
    killed, stamps, remade = 0, {}, 0
    for seconds in moments:
        killed += kill_after(door, arguments, folder, seconds)
        now = {path: path.stat().st_mtime_ns for path in Path(folder).rglob("result.json")}
        remade += sum(stamps[path] != now.get(path) for path in stamps)
        stamps = now
    finish(door, arguments, folder)
    remade += sum(stamps[path] != path.stat().st_mtime_ns for path in stamps)
    return killed, results(folder) == expected, remade


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--door", choices=DOORS, default="prune")
    parser.add_argument("--study", choices=STUDIES, help="of prune.py, instead of the usual one")
    parser.add_argument("--parallel", action="store_true", help="as a sweep in two processes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    usual = STUDIES[options.study] if options.study else DOORS[options.door]
    arguments = [*(PARALLEL if options.parallel else []), *usual]
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        long = finish(options.door, arguments, f"{folder}/whole")
        expected = results(f"{folder}/whole")
        print(f"uninterrupted: {long:.1f} s, {len(expected)} files to compare", flush=True)
        killed = bad = remade = k = 0
        while killed < options.times:
            moments = [rng.uniform(2.0, long) for _ in range(min(3, options.times - killed))]
            times, equal, again = trial(options.door, arguments, f"{folder}/{k}", expected, moments)
            killed, bad, remade, k = killed + times, bad + (not equal), remade + again, k + 1
            print(f"killed {killed} times; runs that differ: {bad}; finished work repeated: {remade}", flush=True)
    raise SystemExit(bool(bad or remade))


if __name__ == "__main__":
    main()
