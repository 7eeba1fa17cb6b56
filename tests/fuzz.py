"""Odd command lines and damaged files: what a door does with them is told in one line, redone, or refused, never believed.

    python tests/fuzz.py [--cases 300] [--seed 0]

Makes one small pruning job, damages a file of it, and runs the same command and `report=` again; some hundred times. Exits
with 1 and names every case that ended in a traceback or with other numbers. The suite takes a sample of it.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from helpers import TINY

JOB = [
    *TINY,
    "cell=gru",
    "percent=[50]",
    "retrain.max_epochs=1",
    "curve=false",
    "export=torch,c",
    "structure=unit",
    "logger=none",
]
SEARCH = ["graph.barabasi_albert=4", "graph.watts_strogatz=4", "graph.erdos_renyi=4", "graph.nodes=[6,10]"]
#: (door, overrides, what the one line says; None where it works)
LINES = (
    ("train", ["device=5"], "device must be auto, cpu, cuda or cuda:N"),
    ("train", ["device=0"], "device must be auto, cpu, cuda or cuda:N"),
    ("train", ["device=cuda:00"], "device must be auto, cpu, cuda or cuda:N"),
    ("train", ["device=cuda:99999999999999999999"], "device must be auto, cpu, cuda or cuda:N"),
    ("train", ["=1"], "'=1' has no key"),
    ("train", ["cell=null"], "cell=null is unknown; there are gru, lstm"),
    ("train", ["-m", "cell=gru,null"], "cell=null is unknown; there are gru, lstm"),
    ("train", ["cell=7"], "cell=7 is unknown; there are gru, lstm"),
    ("train", ["optimizer=null"], "optimizer=null is unknown; there is adam"),
    ("prune", ["score=null"], "score=null is unknown; there are"),
    ("structure_search", ["graph=null"], "graph=null is unknown; there is random"),
    ("train", ["hydra.job.name=foo"], "hydra.job.name says which door runs"),
    ("train", ["-cn", "common"], "-cn common is not train.py's: leave it away"),
    ("train", ["-cn", "prune"], "-cn prune is not train.py's: run prune.py"),
    ("prune", ["--config-name=train"], "--config-name train is not prune.py's: run train.py"),
    ("train", ["--shell-completion"], "--shell-completion needs install=SHELL"),
    ("train", ["-sc", "query=bash"], "query=SHELL is what the shell calls"),
    ("train", ["model.hidden=[10000000]"], "GiB would be needed at the least"),
    ("train", ["model.embedding=1000000000000"], "GiB would be needed at the least"),
    ("train", ["data.train_size=10000000000000"], "GiB would be needed at the least"),
    ("train", ["threads=100000"], "is the most that is taken"),
    ("structure_search", [*SEARCH, "processes=100000"], "is the most that is taken"),
    ("train", ["data=strings_csv", "data.train=/dev/zero", "data.test=/dev/zero"], "data.train=/dev/zero is no regular file"),
    ("prune", ["base=/dev/zero"], "base=/dev/zero is no regular file"),
    ("structure_search", [*SEARCH, "graph.attach=1e308"], "graph.attach is a share of the nodes"),
    ("structure_search", [*SEARCH, "graph.neighbours=1e308"], "graph.neighbours is a share of the nodes"),
    ("structure_search", [*SEARCH, "predictor.seed=-1"], "predictor.seed must be from 0 to 4294967295"),
    ("structure_search", [*SEARCH, "predictor.seed=5000000000"], "predictor.seed must be from 0 to 4294967295"),
    ("structure_search", [*SEARCH, "predictor.regressors=[mean,mean]"], "predictor.regressors names one twice"),
    ("prune", [*JOB, "engine=null", "logger=null", "experiment=null", "schedule=null"], None),
)
DAMAGES = ("truncated", "empty", "garbage", "flipped", "deleted", "folder")
#: Files that nothing reads back.
UNREAD = (".log", ".lock", ".png", ".html")


def damage(path, how, seed):
    """Damage a file, in one of `DAMAGES`."""
    chance, content = random.Random(f"{path.name} {how} {seed}"), path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "truncated":
        path.write_bytes(content[: chance.randrange(len(content))])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(chance.randbytes(len(content)))
    elif how == "flipped":
        place = chance.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :])


def cases(folder):
    """(file below the folder, damage) of all that can be damaged in it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in UNREAD and path.name != ".lock")
    return [(path.relative_to(folder), how) for path in paths for how in DAMAGES]


def numbers(folder):
    """What a pruning job found: the rows of its summary."""
    (summary,) = (folder / "outputs" / "prune").rglob("summary.csv")
    return summary.read_text(encoding="utf-8")


def verdict(code, err, folder, before):
    """What is wrong about how a command ended, in words, or None.  err: what it said."""
    if "Traceback" in err:
        return err.strip().splitlines()[-1]
    if code == 0:
        return None if numbers(folder) == before else "other numbers than before"
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    return None if code == 2 and len(lines) == 1 else f"exit code {code}: {err[-200:]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked, root = parser.parse_args(), Path(__file__).parents[1]

    def call(name, arguments, folder):
        command = [sys.executable, root / f"{name}.py", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stderr

    faults = []
    with tempfile.TemporaryDirectory() as place:
        whole, folder = Path(place) / "whole", Path(place) / "damaged"
        whole.mkdir()
        for name, arguments, words in LINES:
            code, err = call(name, arguments, whole)
            if (code != 2 or words not in err or "Traceback" in err) if words else code != 0:
                faults.append((name, arguments, err[-300:]))
        (run,) = (whole / "outputs" / "prune").rglob("seed_0")
        before, chosen = numbers(whole), cases(whole / "outputs")
        random.Random(asked.seed).shuffle(chosen)
        for number, (path, how) in enumerate(chosen[: asked.cases], start=1):
            shutil.copytree(whole, folder)
            damage(folder / "outputs" / path, how, asked.seed)
            for arguments in (JOB, [f"report={run.relative_to(whole)}"])[:: 1 if number % 2 else -1]:
                wrong = verdict(*call("prune", arguments, folder), folder, before)
                if wrong:
                    faults.append((path, how, arguments[-1], wrong))
            shutil.rmtree(folder)
            print(f"\r{number} of {min(asked.cases, len(chosen))}, {len(faults)} faults", end="", flush=True)
    print()
    for fault in faults:
        print(*fault, sep=" | ")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
