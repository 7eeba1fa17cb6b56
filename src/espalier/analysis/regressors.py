"""What may predict an accuracy: functions from a seed to a regressor of scikit-learn, mostly with its defaults."""

from sklearn.dummy import DummyRegressor
from sklearn.ensemble import AdaBoostRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR


def bayesian_ridge(seed):
    return BayesianRidge()


def random_forest(seed):
    return RandomForestRegressor(random_state=seed)


def ada_boost(seed):
    return AdaBoostRegressor(random_state=seed)


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
