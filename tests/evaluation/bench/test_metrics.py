"""Metrics agree with scikit-learn and scipy, and a weight of two is a row that stands there twice."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from pretrain.evaluation.probing.metrics import CLASSIFICATION, REGRESSION, measure, range_of


def weightings(rows: int) -> np.ndarray:
    draws = np.random.default_rng(5).multinomial(rows, np.full(rows, 1 / rows), size=6)
    return np.vstack([np.ones(rows, np.int64), draws])


@pytest.mark.parametrize("classes", [2, 4])
def test_metrics_of_classes_are_those_of_scikit_learn_on_repeated_rows(classes):
    draw = np.random.default_rng(classes)
    true = draw.integers(0, classes, 90)
    scores = np.round(draw.dirichlet(np.ones(classes), 90) + 0.3 * np.eye(classes)[true], 1)  # many ties
    weights = weightings(90)
    found = measure(true, scores, weights)
    assert tuple(found) == CLASSIFICATION
    for number, w in enumerate(weights):
        y, s = np.repeat(true, w), np.repeat(scores, w, axis=0)
        said = s.argmax(axis=1)
        ones = [1] if classes == 2 else [one for one in range(classes) if (y == one).any()]
        expected = (
            oracle.accuracy_score(y, said),
            oracle.f1_score(y, said, average="macro"),
            oracle.matthews_corrcoef(y, said),
            np.mean([oracle.roc_auc_score(y == one, s[:, one]) for one in ones]),
            np.mean([oracle.average_precision_score(y == one, s[:, one]) for one in ones]),
        )
        assert [found[name][number] for name in CLASSIFICATION] == pytest.approx(expected, abs=1e-12)


def test_metrics_of_values_are_those_of_scipy_and_scikit_learn_on_repeated_rows():
    draw = np.random.default_rng(1)
    true = np.round(draw.normal(7, 2, 80), 1)
    guess = np.round(true + draw.normal(0, 2, 80))
    weights = weightings(80)
    found = measure(true, guess, weights)
    assert tuple(found) == REGRESSION
    for number, w in enumerate(weights):
        y, g = np.repeat(true, w), np.repeat(guess, w)
        expected = (
            stats.spearmanr(y, g).statistic,
            stats.pearsonr(y, g).statistic,
            oracle.r2_score(y, g),
            oracle.root_mean_squared_error(y, g),
        )
        assert [found[name][number] for name in REGRESSION] == pytest.approx(expected, abs=1e-10)


def test_constant_answers_have_no_correlation_and_no_mcc():
    assert measure(np.arange(5.0), np.ones(5))["spearman"][0] == 0
    same = measure(np.array([0, 1, 1]), np.tile([0.2, 0.8], (3, 1)))
    assert same["mcc"][0] == 0
    assert same["auroc"][0] == 0.5
    assert np.isnan(measure(np.array([1, 1]), np.tile([0.2, 0.8], (2, 1)))["auroc"][0])


def test_no_metric_leaves_its_range_and_some_answer_comes_to_each_finite_end():
    right, true = np.eye(2)[[0, 1, 0, 1]], np.array([1.0, 2.0, 3.0, 4.0])
    found = [measure(np.array([0, 1, 0, 1]), scores) for scores in (right, right[:, ::-1])]
    found += [measure(true, guess) for guess in (true, -true, 100 * true)]
    ends = {"auroc": {0.0, 1.0}, "accuracy": {0.0, 1.0}, "macro_f1": {0.0, 1.0}, "mcc": {-1.0, 1.0}, "aupr": {1.0}}
    ends |= {"spearman": {-1.0, 1.0}, "pearson": {-1.0, 1.0}, "r2": {1.0}, "rmse": {0.0}}
    assert set(ends) == {*CLASSIFICATION, *REGRESSION}
    for name, reached in ends.items():
        values = {float(one[name][0].round(12)) for one in found if name in one}
        low, high = range_of(name)
        assert all(low <= value <= high for value in values)
        assert reached == values & {low, high}
