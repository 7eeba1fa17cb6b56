"""Time of a sweep of 8 equal jobs over two bases with two processes, over its time with one: at most 0.65 on two cores.

python benchmarks/parallel.py
"""

import tempfile

from kill import finish

JOBS = [
    "-m", "experiment=quick", "cell=lstm", "seed=0,1", "target=i2h,h2h", "score=magnitude,random", "retrain=fixed",
    "retrain.max_epochs=6", "percent=[50,80,90]", "curve=false", "logger=none", "data.train_size=5000", "data.test_size=2000",
]  # fmt: skip


def main():
    seconds = {}
    for processes in (1, 2):
        with tempfile.TemporaryDirectory() as outputs:
            seconds[processes] = finish("prune", [*JOBS, "engine=joblib", f"hydra.launcher.n_jobs={processes}"], outputs)
    print(f"one process {seconds[1]:.1f} s, two {seconds[2]:.1f} s, ratio {seconds[2] / seconds[1]:.2f} (at most 0.65)")


if __name__ == "__main__":
    main()
