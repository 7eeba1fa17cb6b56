"""Order of the pruning methods on a feed-forward network 784-100-10, cut once and retrained while it improves, over seeds.

    python benchmarks/methods.py [overrides]        # e.g. data=mnist data.root=DIR

Prints, for every level, the test accuracy right after the cut and of the best epoch, and the mean rank of every method, with
95 % intervals. Exits with 1 unless at 90 % the study's order holds in the means right after the cut, which is what a score
decides: global magnitude and optimal brain damage ahead of class distributed and class uniform (magnitude by layer), and these
ahead of random.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from espalier.analysis import methods, tables
from espalier.analysis.figures import interval
from espalier.tasks import ACCURACY

ROOT = Path(__file__).parents[1]
SWEEP = [
    "experiment=ffn_methods", "score=random,magnitude,class_distributed,obd,obs", "scope=global,layer", "schedule=one_shot",
    "percent=[80,90]", "seed=0,1,2,3,4", "engine=joblib", "logger=none",
]  # fmt: skip
AHEAD, MIDDLE, LAST = (
    [("magnitude", "global"), ("obd", "global")], [("class_distributed", "global"), ("magnitude", "layer")],
    [("random", "global")],
)  # fmt: skip


def main():
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "prune.py"), "-m", *SWEEP, f"outputs={folder}", *sys.argv[1:]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (summary,) = map(tables.read, Path(folder, "sweeps").rglob("summary.csv"))
    (keys,) = methods.groups(summary)
    means = {}
    for percent in methods.levels(summary, keys):
        for what, told in (("cut", "right after the cut"), ("best", "best epoch of retraining")):
            places, values = methods.ranks(summary, keys, percent, ACCURACY, what)
            print(f"{percent:g} % removed, {told}, {len(values)} seeds")
            for k in places.mean(0).argsort(kind="stable"):
                if what == "cut":
                    means[percent, keys[k][2:4]] = values[:, k].mean()
                told = f"{values[:, k].mean():.4f} ± {interval(values[:, k]):.4f}  rank {places[:, k].mean():.1f} ± "
                print(f"  {', '.join(keys[k][2:4]):28} {told}{interval(places[:, k]):.1f}")
    last = max(percent for percent, _ in means)
    ordered = [[means[last, method] for method in group] for group in (AHEAD, MIDDLE, LAST)]
    sys.exit(not (min(ordered[0]) > max(ordered[1]) and min(ordered[1]) > max(ordered[2])))


if __name__ == "__main__":
    main()
