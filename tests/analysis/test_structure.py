import gc

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from search_table import table
from sklearn.ensemble import AdaBoostRegressor, RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import BayesianRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler

from espalier import names
from espalier.analysis import prediction as predicting
from espalier.analysis import structure, thesis
from espalier.analysis.correlation import carried, correlations, holm, one
from espalier.analysis.prediction import FEATURES, FORESTS, best, needed, permuted, pipeline, prediction, seeds, split, spread
from espalier.errors import InputError
from espalier.graphs import STUDY
from espalier.settings import Predictor


@pytest.fixture(scope="module")
def frame():
    """Real graphs, with an accuracy that depends on two of their properties."""
    return table(48, 40)


def test_correlations_are_scipys(frame):
    found = correlations(frame).set_index(["property", "family"])
    for family in ("all", "barabasi_albert", "watts_strogatz"):
        own = frame if family == "all" else frame[frame["graph"] == family]
        row = found.loc["nodes", family]
        expected = stats.pearsonr(own["nodes"], own["test_acc"])
        interval = expected.confidence_interval(0.95)
        assert row["pearson"] == pytest.approx(expected.statistic, abs=1e-12)
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high), abs=1e-12)
        assert row["spearman"] == pytest.approx(stats.spearmanr(own["nodes"], own["test_acc"]).statistic, abs=1e-12)
        assert row["spearman_low"] < row["spearman"] < row["spearman_high"] and row["n"] == len(own)
        assert row["p"] <= row["p_adjusted"] <= 1
    assert found.loc["degree_mean", "all"]["pearson"] == pytest.approx(found.loc["density", "all"]["pearson"], abs=1e-9)


def test_a_correlation_that_hangs_on_one_graph_is_told_without_it():
    noise = np.random.default_rng(3)
    x, y = pd.Series(np.append(noise.normal(size=20), 9.0)), pd.Series(np.append(noise.normal(size=20), 9.0))
    found = one(x, y)
    assert found["pearson"] > 0.6 and abs(found["without_one"]) < 0.3 and carried(found)
    assert found["without_one"] == pytest.approx(stats.pearsonr(x[:20], y[:20]).statistic, abs=1e-12)
    left = [stats.pearsonr(x.drop(k), y.drop(k)).statistic for k in range(21)]
    assert found["without_one"] == pytest.approx(max(left, key=lambda r: abs(r - found["pearson"])), abs=1e-12)
    line = pd.Series(np.arange(20.0))
    assert not carried(one(line, line + noise.normal(size=20)))
    alone = pd.Series([0.0] * 20 + [1.0])
    assert np.isnan(one(alone, y)["without_one"]) and carried(one(alone, y))  # nothing is left that varies


def test_a_prediction_says_when_it_predicts_nothing_and_when_it_cannot_be_told():
    """R squared of -11 is no prediction; of 24 graphs with 23 properties none is told."""
    rows = [
        {"regressor": name, "features": "all", "protocol": protocol, "r2": r2, "low": r2 - 1, "high": r2 + 1}
        for name, r2 in (("ridge", -11.0), ("mean", -12.0))
        for protocol in ("cross_validation", "published")
    ]
    predicted = pd.DataFrame(rows)
    assert structure._predicted(200, predicted).startswith(
        "The graph predicts nothing: the best regressor, ridge, has R² -11.00"
    )
    assert structure._predicted(200, predicted.assign(r2=0.4)).startswith("Predicted best by ridge: R² 0.40")
    few = structure._predicted(24, predicted.assign(r2=1.0))
    assert (
        few.startswith("Whether it can be predicted is not told: 24 graphs are fewer than 3 for each of") and "1.0" not in few
    )


def test_holm_by_hand():
    adjusted = holm(np.array([0.01, 0.04, 0.03, np.nan, 0.5]))
    assert adjusted[:3] == pytest.approx([0.04, 0.09, 0.09]) and np.isnan(adjusted[3]) and adjusted[4] == 0.5


def test_what_does_not_vary_has_no_correlation():
    same, other = pd.Series([1.0] * 6), pd.Series([1.0, 2, 3, 4, 5, 7])
    assert np.isnan(one(same, other)["pearson"]) and np.isnan(one(other, same)["pearson"])
    assert np.isnan(one(other[:3], other[:3])["pearson"])
    perfect = one(other, other)
    assert perfect["pearson"] == pytest.approx(1) and perfect["high"] <= 1


@pytest.mark.parametrize("name", ["random_forest", "bayesian_ridge"])
def test_permutations_are_scikit_learns(frame, name):
    x, y = frame[list(STUDY)].to_numpy(dtype=float), frame["test_acc"].to_numpy()
    model = pipeline(name, 3).fit(x[:30], y[:30])
    theirs = permutation_importance(model, x[30:], y[30:], n_repeats=5, random_state=7).importances_mean
    assert permuted(model, x[30:], y[30:], model.predict(x[30:]), 7).tolist() == theirs.tolist()


@pytest.mark.parametrize("name, theirs", [("random_forest", RandomForestRegressor), ("ada_boost", AdaBoostRegressor)])
def test_ensembles_are_scikit_learns(frame, name, theirs):
    x, y = frame[list(STUDY)].to_numpy(dtype=float), frame["test_acc"].to_numpy()
    ours, reference = (made.fit(x[:30], y[:30]) for made in (names.load(names.REGRESSORS[name])(3), theirs(random_state=3)))
    assert ours.predict(x[30:]).tolist() == reference.predict(x[30:]).tolist()
    assert ours.feature_importances_.tolist() == reference.feature_importances_.tolist()
    assert len(ours.estimators_) == len(reference.estimators_) > 20


def test_processes_change_no_number(frame, monkeypatch):
    monkeypatch.setattr(predicting, "FORESTS", 2)
    config = Predictor(regressors=["ada_boost"], folds=2, repeats=1)
    for alone, both in zip(prediction(frame, config), prediction(frame, config, cores=2)):
        pd.testing.assert_frame_equal(alone, both, check_exact=True)


def test_what_is_interrupted_while_processes_fit_ends_at_once_and_without_warnings(frame, recwarn):
    def interrupted():
        raise KeyboardInterrupt

    config = Predictor(regressors=["random_forest"], folds=2, repeats=1)
    with pytest.raises(KeyboardInterrupt):
        prediction(frame, config, cores=2, meanwhile=interrupted)
    gc.collect()  # what would still hold the results
    assert not [one for one in recwarn if "tasks" in str(one.message)]


def test_published_protocol_is_the_studys(frame):
    table, _, _ = prediction(frame, Predictor(regressors=["bayesian_ridge"], repeats=1))
    found = table[table["protocol"] == "published"].set_index(["regressor", "features"])
    x = MinMaxScaler().fit_transform(frame[list(STUDY)])
    x_train, x_test, y_train, y_test = train_test_split(x, frame[["test_acc"]], test_size=0.10, random_state=7)
    ridge = BayesianRidge().fit(x_train, y_train.to_numpy().ravel())
    assert found.loc[("bayesian_ridge", "all"), "r2"] == pytest.approx(r2_score(y_test, ridge.predict(x_test)), abs=1e-12)
    forest = RandomForestRegressor(random_state=0).fit(x_train, y_train.to_numpy().ravel())
    x, y = frame[list(STUDY)].to_numpy(dtype=float), frame["test_acc"].to_numpy()
    row = spread([split("random_forest", x, y, seed) for seed in seeds("random_forest")])
    assert row["low"] <= r2_score(y_test, forest.predict(x_test)) <= row["high"] and FORESTS == 20


def test_cross_validation_scales_on_training_rows_only(frame):
    """Rows that are never trained on must not matter: an outlier in a test fold cannot move what the others get."""
    config = Predictor(regressors=["bayesian_ridge"], repeats=1)
    _, held, _ = prediction(frame, config)
    changed = frame.copy()
    victim = 5
    changed.loc[victim, list(STUDY)] = changed.loc[victim, list(STUDY)].astype(float) * 100
    _, moved, _ = prediction(changed, config)
    from sklearn.model_selection import RepeatedKFold

    (fold,) = [
        test for _, test in RepeatedKFold(n_splits=5, n_repeats=1, random_state=config.seed).split(frame) if victim in test
    ]
    others = [row for row in fold if row != victim]
    assert (held.loc[others, "bayesian_ridge"] == moved.loc[others, "bayesian_ridge"]).all()


def test_prediction_finds_what_is_there(frame):
    table, held, importance = prediction(frame, Predictor(regressors=["bayesian_ridge", "mean"], repeats=2))
    assert list(table) == ["regressor", "features", "protocol", "r2", "low", "high"]
    assert set(table["features"]) == set(FEATURES) and set(table["protocol"]) == {"cross_validation", "published"}
    found = table[table["protocol"] == "cross_validation"].set_index(["regressor", "features"])
    assert found.loc[("bayesian_ridge", "all"), "r2"] > 0.9 > 0.1 > found.loc[("mean", "all"), "r2"]
    assert (found["low"] <= found["r2"]).all() and (found["r2"] <= found["high"]).all()
    assert best(table) == "bayesian_ridge" and held["bayesian_ridge"].notna().all()
    assert set(importance["property"]) == set(STUDY) and importance[importance["regressor"] == "mean"]["own"].isna().all()
    assert (importance[importance["regressor"] == "mean"]["permutation"] == 0).all()


def test_every_named_regressor_exists(frame):
    for place in names.REGRESSORS.values():
        model = names.load(place)(0).fit(frame[["nodes"]].to_numpy(), frame["test_acc"])
        assert np.isfinite(model.predict(frame[["nodes"]].to_numpy())).all()


def test_thesis_tables():
    study = thesis.structure()
    assert len(study) == 60
    assert study["pearson", "gru", "source_nodes"] == 0.74 and study["r2", "gru", "bayesian_ridge"] == 0.67224


def write(frame, path):
    frame.to_csv(path, index=False)
    return path


def test_read_takes_the_studys_layout(frame, tmp_path):
    found = structure.read(write(frame, tmp_path / "gru.csv"), 5)
    assert (found[list(STUDY)].to_numpy() == frame[list(STUDY)].to_numpy(dtype=float)).all()
    assert list(found["graph"]) == list(frame["graph"])


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda f: f.drop(columns=["nodes", "test_acc"]), "no column nodes, test_acc"),
        (lambda f: f.assign(edges="many"), "line 2: edges must be a number, got 'many'"),
        (lambda f: f.assign(density=f["density"].where(f.index != 3)), "line 5: density must be a number, got ''"),
        (lambda f: f.head(needed(5) - 1), "10 rows of GRU; 5 folds"),
        (lambda f: f.head(0), "no row below"),
    ],
)
def test_bad_tables(frame, tmp_path, change, told):
    with pytest.raises(InputError, match=told) as error:
        structure.read(write(change(frame), tmp_path / "table.csv"), 5)
    assert "table.csv" in str(error.value) and "\n" not in str(error.value)


def test_unreadable_tables(tmp_path):
    for name, content, told in (
        ("none.csv", None, "cannot be read"),
        ("empty.csv", b"", "no column"),
        ("x.csv", b"\xff\xfe", "CSV"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=told):
            structure.read(tmp_path / name, 5)
    (tmp_path / "ragged.csv").write_text(",".join([*STUDY, "test_acc"]) + "\n1,2,3\n")
    with pytest.raises(InputError, match="line 2: 3 fields, the header has 24"):
        structure.read(tmp_path / "ragged.csv", 5)
