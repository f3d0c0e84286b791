"""Moments against NumPy: whole, in parts, in any order, and far from the origin."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib.metrics.moments import Moments


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 6), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_parts_in_any_order_are_the_whole(sizes, dimensions, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(sum(sizes), dimensions)) * 3 + 1e4
    parts = [Moments.of(part) for part in np.split(x, np.cumsum(sizes)[:-1])]
    merged = functools.reduce(Moments.merge, [parts[i] for i in rng.permutation(len(parts))])
    assert merged.count == len(x)
    np.testing.assert_allclose(merged.mean, x.mean(0), rtol=1e-12)
    for ddof in (0, 1):
        if len(x) > ddof:
            wanted = np.atleast_2d(np.cov(x.T, ddof=ddof))
            np.testing.assert_allclose(merged.covariance(ddof), wanted, rtol=1e-7, atol=1e-9)


def test_float32_features_far_from_zero_keep_their_covariance():
    """The way by sums of squares would be off by everything here."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(400, 3)) * 1e-2 + 1e4).astype(np.float32)
    halves = Moments.of(x[:100]).merge(Moments.of(x[100:]))
    np.testing.assert_allclose(halves.covariance(), np.cov(x.astype(np.float64).T), rtol=1e-9, atol=1e-15)


def test_bad_input_is_said():
    with pytest.raises(ValueError, match=r"\[N, D\] with N of at least 1, got shape \(0, 3\)"):
        Moments.of(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="not finite"):
        Moments.of(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="of 2 and of 3 dimensions"):
        Moments.of(np.zeros((4, 2))).merge(Moments.of(np.zeros((4, 3))))
    with pytest.raises(ValueError, match="at least 2 feature vectors, got 1"):
        Moments.of(np.zeros((1, 2))).covariance()
