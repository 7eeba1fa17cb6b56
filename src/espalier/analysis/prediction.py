"""Can the quality of a network be predicted from the graph alone?"""

import warnings

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.inspection import permutation_importance
from sklearn.metrics import r2_score
from sklearn.model_selection import RepeatedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from espalier import names
from espalier.graphs import STUDY
from espalier.tasks import ACCURACY

#: The study's four sets of features (its tables B.1 and B.2).
_COUNTS = ("nodes", "edges", "source_nodes", "sink_nodes")
FEATURES = {
    "all": STUDY,
    "nodes_and_edges": _COUNTS,
    "without_nodes_and_edges": tuple(name for name in STUDY if name not in _COUNTS),
    "variances": tuple(name for name in STUDY if name.endswith("_var")),
}
#: Graphs for each property, at least, of which an R squared is told.
EACH = 3
#: Seeds of a forest under the published protocol, which left it unseeded.
FORESTS = 20


def pipeline(name, seed):
    """The regressor behind a scaling to 0..1 that sees what it is fitted on, and nothing else."""
    return make_pipeline(MinMaxScaler(), names.load(names.REGRESSORS.get(name, name))(seed))


def plenty(graphs, properties):
    """Whether there are enough graphs to predict from so many properties: `EACH` for each. With fewer, a regression fits what
    is there whatever it is, and a split of few rows says nothing of it.
    """
    return graphs >= EACH * properties


def needed(folds):
    """Rows that the cross-validation and the published split need: two in every test part."""
    return max(2 * folds, 11)


def prediction(frame, config, column="test_acc"):
    """R squared of every regressor on every set of features, by both protocols.

    frame: the columns `STUDY` and `column`, what is predicted.  config: regressors, folds, repeats, seed.
    Returns (DataFrame of regressor, features, protocol, r2, low, high; DataFrame of out-of-fold predictions on all features:
    row, `column` and one per regressor; DataFrame of importance: regressor, property, own, permutation, low, high).

    cross_validation: mean over repeated folds, 95 % interval corrected for their overlap (Nadeau and Bengio 2003).
    published: one split (10 % of the rows, seed 7), scaled on all rows, as the study did; for forests the mean over `FORESTS`
    seeds, low and high the smallest and largest, otherwise empty.
    importance: the regressor's own (coefficients, or impurity), fitted on all rows; permutation: fall of R squared on held-out
    rows when a property is shuffled, mean over the folds of one repeat, with its 95 % interval.
    """
    y = frame[column].to_numpy(dtype=float)
    folds = list(RepeatedKFold(n_splits=config.folds, n_repeats=config.repeats, random_state=config.seed).split(y))
    rows, importances, held = [], [], pd.DataFrame({"row": range(len(y)), column: y})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant accuracies in a fold
        for name in config.regressors:
            for features, columns in FEATURES.items():
                x = frame[list(columns)].to_numpy(dtype=float)
                fitted = [pipeline(name, config.seed + k).fit(x[train], y[train]) for k, (train, _) in enumerate(folds)]
                found = [r2_score(y[test], model.predict(x[test])) for model, (_, test) in zip(fitted, folds)]
                rows.append({"regressor": name, "features": features, "protocol": "cross_validation", **mean(found, config)})
                rows.append({"regressor": name, "features": features, "protocol": "published", **published(name, x, y)})
                if features == "all":
                    importances += importance(name, x, y, fitted, folds, config)
                    for model, (_, test) in list(zip(fitted, folds))[: config.folds]:
                        held.loc[test, name] = model.predict(x[test])
    return pd.DataFrame(rows), held, pd.DataFrame(importances)


def mean(found, config):
    """Mean of R squared over overlapping folds, with its 95 % interval."""
    found = np.array(found)
    error = np.sqrt(found.var(ddof=1) * (1 / len(found) + 1 / (config.folds - 1)))
    half = stats.t.ppf(0.975, len(found) - 1) * error
    return {"r2": found.mean(), "low": found.mean() - half, "high": found.mean() + half}


def published(name, x, y):
    """R squared as the study computed it."""
    scaled = MinMaxScaler().fit_transform(x)
    x_train, x_test, y_train, y_test = train_test_split(scaled, y, test_size=0.10, random_state=7)
    regressor = names.load(names.REGRESSORS.get(name, name))
    drawn = regressor(0).get_params().get("random_state") is not None  # else its result does not depend on the seed
    seeds = range(FORESTS if drawn else 1)
    found = [r2_score(y_test, regressor(seed).fit(x_train, y_train).predict(x_test)) for seed in seeds]
    spread = {"low": min(found), "high": max(found)} if drawn else {"low": np.nan, "high": np.nan}
    return {"r2": float(np.mean(found)), **spread}


def importance(name, x, y, fitted, folds, config):
    regressor = pipeline(name, config.seed).fit(x, y)[-1]
    own = getattr(regressor, "feature_importances_", getattr(regressor, "coef_", None))
    own = np.full(x.shape[1], np.nan) if own is None or np.ndim(own) != 1 else own
    falls = [
        permutation_importance(model, x[test], y[test], n_repeats=5, random_state=config.seed).importances_mean
        for model, (_, test) in list(zip(fitted, folds))[: config.folds]
    ]
    rows = []
    for k, column in enumerate(FEATURES["all"]):
        measured = mean([fall[k] for fall in falls], config)
        told = {"permutation": measured["r2"], "low": measured["low"], "high": measured["high"]}
        rows.append({"regressor": name, "property": column, "own": own[k], **told})
    return rows


def best(table):
    """The regressor with the highest cross-validated R squared on all features."""
    chosen = table[(table["features"] == "all") & (table["protocol"] == "cross_validation")]
    return chosen.loc[chosen["r2"].idxmax(), "regressor"]


def held(trained, each, regressor, count, metric=ACCURACY):
    """Whether the ranking held on the graphs that were trained: Spearman's rank correlation (0 where nothing varies), and the
    hit rate, the share of the top half by prediction that is in the top half by measurement.
    """
    measured = trained[metric.test]
    same = measured.nunique() == 1 or trained["predicted"].nunique() == 1
    rank = 0.0 if same else stats.spearmanr(trained["predicted"], measured).statistic
    top = set(trained.head(each).index)
    hits = len(top & set(measured.sort_values(ascending=not metric.higher, kind="stable").head(each).index))
    gap = metric.better(measured.head(each).mean()) - metric.better(measured.tail(each).mean())
    verdict = "held" if rank > 0 and hits > each / 2 else "did not hold"
    told = (
        f"Of {count} unseen graphs, ranked by {regressor}, the top and the bottom {each} were trained: the prediction "
        f"{verdict}; rank correlation {rank:+.2f}, hit rate {hits} of {each}, the top is better by {gap:+.4f} on average."
    )
    return {
        "graphs": count, "trained": 2 * each, "regressor": regressor, "rank_correlation": float(rank),
        "hit_rate": hits / each, "top_minus_bottom": float(gap), "told": told,
    }  # fmt: skip
