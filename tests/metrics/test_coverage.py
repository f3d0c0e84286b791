"""Density and coverage against loops and expectations, and what a collapsed model gets."""

import numpy as np
import pytest

from dvdgan_lib.metrics import I3DFeatures, coverage, density_and_coverage, diversity_within_classes
from dvdgan_lib.metrics.coverage import density_and_coverage_of


def features(pool):
    full = np.zeros((len(pool), 1024), np.float32)
    full[:, : pool.shape[1]] = pool
    return I3DFeatures(np.zeros((len(pool), 400), np.float32), full, (12, 8, 8))


@pytest.mark.parametrize("rows", [coverage.ROWS, 4])  # all real videos at once, and some at a time
def test_against_loops(rows, monkeypatch):
    monkeypatch.setattr(coverage, "ROWS", rows)
    rng = np.random.default_rng(0)
    real, fake, k = rng.normal(size=(9, 2)), rng.normal(size=(7, 2)) * 0.7, 3
    density, covered = 0, 0
    for i, x in enumerate(real):
        radius = sorted(np.linalg.norm(x - y) for j, y in enumerate(real) if j != i)[k - 1]
        inside = [np.linalg.norm(x - y) < radius for y in fake]
        density += sum(inside)
        covered += any(inside)
    assert density_and_coverage_of(real, fake, k) == pytest.approx((density / (k * 7), covered / 9))


def test_expectations_where_both_are_of_one_distribution():
    """E[density] = 1 and, with as many on both sides, E[coverage] -> 1 - 2^-k."""
    rng = np.random.default_rng(1)
    found = [density_and_coverage_of(rng.normal(size=(300, 4)), rng.normal(size=(300, 4))) for _ in range(20)]
    density, coverage = np.mean(found, axis=0)
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.015)


def test_a_collapsed_model_is_dense_and_covers_nothing():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(200, 4))
    collapsed = density_and_coverage(
        features(real), features(np.tile(real[:1], (200, 1)) + 1e-3 * rng.normal(size=(200, 4)))
    )
    assert collapsed.coverage < 0.1
    assert "k = 5" in str(collapsed)
    with pytest.raises(ValueError, match="more real videos than 5"):
        density_and_coverage(features(real[:5]), features(real))


def test_diversity_is_of_each_class_alone():
    pool = np.array([[0.0, 0], [3, 4], [10, 10], [10, 10], [5, 5]])
    assert diversity_within_classes(features(pool), np.array([0, 0, 1, 1, 2])) == pytest.approx({0: 5.0, 1: 0.0})
    with pytest.raises(ValueError, match=r"one a video, \[5\], got shape \(4,\)"):
        diversity_within_classes(features(pool), np.zeros(4))
