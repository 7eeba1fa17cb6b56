"""What the analysis of a search's table takes: processes against one, and all shuffles of a property at once against
scikit-learn's `permutation_importance`; the numbers are the same.

python benchmarks/search_table.py [--graphs 200] [--cores 2]
"""

import argparse
import time

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from espalier.analysis.prediction import REPEATS, permuted, pipeline, prediction
from espalier.graphs import STUDY, barabasi_albert, properties, watts_strogatz
from espalier.settings import Predictor


def table(count, most=50):
    """Graphs of two families, of 10 to `most` nodes, and an accuracy that depends on two of their properties."""
    noise, rows = np.random.default_rng(0), []
    for number in range(count // 2):
        for family, make in (("barabasi_albert", barabasi_albert), ("watts_strogatz", watts_strogatz)):
            nodes = int(noise.integers(10, most))
            graph = make(nodes, 0.1, number) if family == "barabasi_albert" else make(nodes, 0.2, 1, number)
            row = {"mode": "GRU", "graph": family, "graph_nr": number, **properties(graph)}
            row["test_acc"] = 0.6 + 0.008 * row["nodes"] - 0.8 * row["closeness_var"] + 0.01 * noise.normal()
            rows.append(row)
    return pd.DataFrame(rows)


def taken(call):
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=200)
    parser.add_argument("--cores", type=int, default=2)
    chosen = parser.parse_args()
    frame = table(chosen.graphs)
    x, y = frame[list(STUDY)].to_numpy(float), frame["test_acc"].to_numpy(float)
    half = len(x) // 2
    model = pipeline("random_forest", 0).fit(x[:half], y[:half])
    said = model.predict(x[half:])
    how = dict(n_repeats=REPEATS, random_state=0)
    theirs, reference = taken(lambda: permutation_importance(model, x[half:], y[half:], **how))
    ours, falls = taken(lambda: permuted(model, x[half:], y[half:], said, 0))
    same = falls.tolist() == reference.importances_mean.tolist()
    print(f"shuffles of a forest, scikit-learn / ours: {theirs / ours:.1f}, {'equal' if same else 'OTHER NUMBERS'}", flush=True)
    alone, one = taken(lambda: prediction(frame, Predictor()))
    shared, several = taken(lambda: prediction(frame, Predictor(), cores=chosen.cores))
    same &= all(first.equals(second) for first, second in zip(one, several))
    told = "equal" if same else "OTHER NUMBERS"
    seconds = f"{alone:.1f} s / {shared:.1f} s = {alone / shared:.1f}"
    print(f"{chosen.graphs} graphs, one process / {chosen.cores}: {seconds}, {told}")
    raise SystemExit(not same)


if __name__ == "__main__":
    main()
