"""Inception Score against its definition and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib.metrics import I3DFeatures, inception_score
from dvdgan_lib.metrics.inception_score import inception_score_of


def by_loops(probabilities):
    count, classes = probabilities.shape
    total = 0.0
    for x in range(count):
        for y in range(classes):
            marginal = sum(probabilities[other, y] for other in range(count)) / count
            if probabilities[x, y] > 0:
                total += probabilities[x, y] * math.log(probabilities[x, y] / marginal)
    return math.exp(total / count)


def features_of(logits):
    logits = np.asarray(logits, np.float32)
    return I3DFeatures(logits, np.zeros((len(logits), 1024), np.float32), (12, 64, 64))


@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 1000), st.booleans())
@settings(max_examples=40, deadline=None)
def test_against_the_definition(count, classes, seed, sparse):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.3), size=count)
    if sparse:  # Exact zeros, where p log p has to be taken as 0.
        probabilities[probabilities < probabilities.max(axis=1, keepdims=True)] = 0
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    score = inception_score_of(probabilities)
    assert score == pytest.approx(by_loops(probabilities), rel=1e-9)
    assert 1 - 1e-9 <= score <= classes + 1e-9


def test_closed_forms():
    assert inception_score_of(np.full((10, 7), 1 / 7)) == pytest.approx(1)
    assert inception_score_of(np.eye(7)[np.arange(21) % 7]) == pytest.approx(7)
    assert inception_score_of(np.tile(np.eye(7)[:1], (5, 1))) == pytest.approx(1)


def test_from_logits():
    one_hot = np.eye(400)[np.arange(800) % 4] * 1e4  # Large logits: the softmax must not overflow.
    result = inception_score(features_of(one_hot))
    assert result.value == pytest.approx(4)
    assert result.deviation == 0
    assert result.name == "IS (I3D-K400)"
    assert not result.small_sample
    assert inception_score(features_of(np.random.default_rng(0).normal(size=(5, 1)) + np.zeros((5, 400)))).value == (
        pytest.approx(1)
    )


def test_splits():
    logits = np.random.default_rng(0).normal(size=(60, 400)) * 4
    parts = [inception_score(features_of(logits[i : i + 20])).value for i in (0, 20, 40)]
    result = inception_score(features_of(logits), splits=3)
    assert result.value == pytest.approx(np.mean(parts))
    assert result.deviation == pytest.approx(np.std(parts))
    assert result.small_sample
    for part in ("IS (I3D-K400)", f"{result.value:.2f}", "3 splits", "60 videos", "12x64x64", "SMALL SAMPLE"):
        assert part in str(result)
    with pytest.raises(ValueError, match="60 videos cannot be divided into 7"):
        inception_score(features_of(logits), splits=7)


@pytest.mark.parametrize("probabilities", [np.zeros((0, 3)), np.ones(3), np.ones((2, 3)), [[0.5, np.nan]], [[1.5, -0.5]]])
def test_what_is_no_probability(probabilities):
    with pytest.raises(ValueError, match="Class probabilities must be"):
        inception_score_of(probabilities)
