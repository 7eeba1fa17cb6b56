"""Can the quality of a network be predicted from the graph alone?"""

import contextlib
import functools
import warnings

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import stats
from sklearn import config_context
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
#: Shuffles of every property in every fold.
REPEATS = 5
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


def prediction(frame, config, column="test_acc", cores=1, meanwhile=None):
    """R squared of every regressor on every set of features, by both protocols.

    frame: the columns `STUDY` and `column`, what is predicted.  config: regressors, folds, repeats, seed.  cores: processes
    that fit, which change no number.  meanwhile: a function to call while they do.
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
    rows, importances, held, tasks = [], [], pd.DataFrame({"row": range(len(y)), column: y}), []
    inputs = {features: frame[list(columns)].to_numpy(dtype=float) for features, columns in FEATURES.items()}
    groups = [(name, features) for name in config.regressors for features in FEATURES]
    for name, features in groups:
        for k, (train, test) in enumerate(folds):
            shuffle = config.seed if features == "all" and k < config.folds else None
            tasks.append(delayed(fold)(name, inputs[features], y, train, test, config.seed + k, shuffle))
        tasks += [delayed(split)(name, inputs[features], y, seed) for seed in seeds(name)]
    heavy = any(len(seeds(name)) > 1 for name in config.regressors)  # what is quick is done before a process has started
    with fitted(tasks, cores if heavy else 1) as done:
        if meanwhile:
            meanwhile()
        for name, features in groups:
            found = [next(done) for _ in folds]
            scores = [r2_score(y[test], said) for (said, _), (_, test) in zip(found, folds)]
            rows.append({"regressor": name, "features": features, "protocol": "cross_validation", **mean(scores, config)})
            drawn = spread([next(done) for _ in seeds(name)])
            rows.append({"regressor": name, "features": features, "protocol": "published", **drawn})
            if features == "all":
                first = list(zip(found, folds))[: config.folds]
                importances += importance(name, inputs[features], y, [fall for (_, fall), _ in first], config)
                for (said, _), (_, test) in first:
                    held.loc[test, name] = said
    return pd.DataFrame(rows), held, pd.DataFrame(importances)


@contextlib.contextmanager
def fitted(tasks, cores):
    """An iterator over the results of tasks, in their order, which processes work on already."""
    done = Parallel(n_jobs=cores, return_as="generator")(tasks)
    try:
        yield done
        next(done, None)  # past the last result, so that it ends
    except BaseException as error:
        done.throw(error)  # so the processes are ended without a warning of what was not used


def quiet(function):
    """A function that fits, without what scikit-learn checks of data that have been checked, and without warnings of constant
    accuracies.
    """

    @functools.wraps(function)
    def called(*arguments):
        with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
            warnings.resetwarnings()  # a forest hands every filter to every tree
            warnings.simplefilter("ignore")
            return function(*arguments)

    return called


@quiet
def fold(name, x, y, train, test, seed, shuffle):
    """(what a regressor says of the rows of a fold, fall of R squared by column where it is asked for).  shuffle: a seed, or
    None.
    """
    model = pipeline(name, seed).fit(x[train], y[train])
    said = model.predict(x[test])
    return said, None if shuffle is None else permuted(model, x[test], y[test], said, shuffle)


@quiet
def split(name, x, y, seed):
    """R squared as the study computed it."""
    scaled = MinMaxScaler().fit_transform(x)
    x_train, x_test, y_train, y_test = train_test_split(scaled, y, test_size=0.10, random_state=7)
    regressor = names.load(names.REGRESSORS.get(name, name))(seed)
    return r2_score(y_test, regressor.fit(x_train, y_train).predict(x_test))


def seeds(name):
    """The seeds of a regressor under the published protocol: one where nothing in it is drawn."""
    regressor = names.load(names.REGRESSORS.get(name, name))(0)
    return range(FORESTS if regressor.get_params().get("random_state") is not None else 1)


def spread(found):
    """Mean of R squared over seeds, and the smallest and largest where there are several."""
    ends = {"low": min(found), "high": max(found)} if len(found) > 1 else {"low": np.nan, "high": np.nan}
    return {"r2": float(np.mean(found)), **ends}


def mean(found, config):
    """Mean of R squared over overlapping folds, with its 95 % interval."""
    found = np.array(found)
    error = np.sqrt(found.var(ddof=1) * (1 / len(found) + 1 / (config.folds - 1)))
    half = stats.t.ppf(0.975, len(found) - 1) * error
    return {"r2": found.mean(), "low": found.mean() - half, "high": found.mean() + half}


@quiet
def importance(name, x, y, falls, config):
    """Rows of importance.  falls: of R squared by column, in the folds of one repeat."""
    regressor = pipeline(name, config.seed).fit(x, y)[-1]
    own = getattr(regressor, "feature_importances_", getattr(regressor, "coef_", None))
    own = np.full(x.shape[1], np.nan) if own is None or np.ndim(own) != 1 else own
    rows = []
    for k, column in enumerate(FEATURES["all"]):
        measured = mean([fall[k] for fall in falls], config)
        told = {"permutation": measured["r2"], "low": measured["low"], "high": measured["high"]}
        rows.append({"regressor": name, "property": column, "own": own[k], **told})
    return rows


def permuted(model, x, y, said, seed):
    """Mean fall of R squared when a column is shuffled, per column: as scikit-learn's `permutation_importance` shuffles them,
    but the copies of all shuffles predicted by an ensemble at once, for a call costs more than its rows.
    """
    draws = np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1)
    copies = np.tile(x, (x.shape[1] * REPEATS, 1, 1))
    for column in range(x.shape[1]):
        random, values, order = np.random.RandomState(draws), x[:, column], np.arange(len(x))
        for repeat in range(REPEATS):
            random.shuffle(order)
            values = values[order]
            copies[column * REPEATS + repeat, :, column] = values
    if hasattr(model[-1], "estimators_"):  # trees look at every row alone; products of matrices do not, in their last digit
        told = model.predict(copies.reshape(-1, x.shape[1])).reshape(len(copies), -1)
    else:
        told = [model.predict(copy) for copy in copies]
    scores = np.array([r2_score(y, one) for one in told]).reshape(x.shape[1], REPEATS)
    return (r2_score(y, said) - scores).mean(1)


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
