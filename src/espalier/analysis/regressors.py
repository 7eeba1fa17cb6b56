"""What may predict an accuracy: functions from a seed to a regressor of scikit-learn, mostly with its defaults."""

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import AdaBoostRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor


class Tree(DecisionTreeRegressor):
    """scikit-learn's regression tree, for ensembles over small tables of finite numbers: there, reading the constructor's
    signature for every copy, checking the rows and making generators of random numbers for every tree take about as long
    as the fit. Its numbers are the same. Not for threads, which would share the generator.
    """

    NAMES = tuple(DecisionTreeRegressor().get_params())
    GENERATOR = np.random.RandomState()  # seeded again in a seventieth of the time that making one takes

    @property
    def random_state(self):
        """What scikit-learn makes of the seed: a generator at its beginning, for whoever asks next."""
        if self._seed is None:
            return None
        self.GENERATOR.seed(self._seed)
        return self.GENERATOR

    @random_state.setter
    def random_state(self, seed):
        self._seed = seed

    def get_params(self, deep=True):
        return {name: getattr(self, name) for name in self.NAMES} | {"random_state": self._seed}

    def __sklearn_clone__(self):
        return type(self)(**self.get_params())

    def fit(self, X, y, sample_weight=None, check_input=True):
        return super().fit(np.asarray(X, np.float32), y, sample_weight, check_input=False)

    def predict(self, X, check_input=True):
        return super().predict(np.asarray(X, np.float32), check_input=False)


def bayesian_ridge(seed):
    return BayesianRidge()


def random_forest(seed):
    forest = RandomForestRegressor(random_state=seed)
    forest.estimator = Tree()  # which its constructor does not take
    return forest


def ada_boost(seed):
    return AdaBoostRegressor(Tree(max_depth=3), random_state=seed)  # as deep as its own


def ridge(seed):
    return Ridge()


def gradient_boosting(seed):
    return GradientBoostingRegressor(random_state=seed)


def support_vector(seed):
    return SVR(epsilon=0.02)  # accuracies: the default of 0.1 is a good part of their range


def nearest_neighbours(seed):
    return KNeighborsRegressor()


def mean(seed):
    return DummyRegressor()
