"""Neighbours against loops; ratios and abruptness where the answer is known."""

import numpy as np
import pytest

from dvdgan_lib.metrics import memorization


def test_neighbours_against_loops(monkeypatch):
    monkeypatch.setattr(memorization, "_CHUNK", 2)
    rng = np.random.default_rng(0)
    samples, reference = rng.normal(size=(5, 3)), rng.normal(size=(7, 3))
    found = memorization.nearest_neighbours(samples, reference, 3)
    for i, x in enumerate(samples):
        wanted = sorted((float(np.linalg.norm(x - y)), j) for j, y in enumerate(reference))[:3]
        assert found.indices[i].tolist() == [j for _, j in wanted]
        np.testing.assert_allclose(found.distances[i], [d for d, _ in wanted])
    with pytest.raises(ValueError, match="1 to 7 can be the nearest, not 8"):
        memorization.nearest_neighbours(samples, reference, 8)


def test_copies_and_strangers():
    """A copy has 0; what was drawn like both sets has 1 on average, though one set is much larger."""
    rng = np.random.default_rng(1)
    training, held_out, fresh = rng.normal(size=(2000, 8)), rng.normal(size=(100, 8)), rng.normal(size=(400, 8))
    ratios = memorization.distance_ratios(fresh, training, held_out)
    assert np.exp(np.log(ratios).mean()) == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(memorization.distance_ratios(training[:100], training[:100], held_out), 0)
    np.testing.assert_array_equal(memorization.distance_ratios(training[:3], training[:3], training[:3]), 1)


def test_abruptness_of_even_steps_and_of_a_jump():
    even = np.linspace(0, 1, 9)[:, None] * np.ones(4)
    jump = np.repeat([[0.0, 0], [1, 1]], [4, 5], axis=0)
    assert memorization.abruptness(even) == pytest.approx(1)
    assert memorization.abruptness(jump) == pytest.approx(8)
    assert np.isnan(memorization.abruptness(np.zeros((5, 2))))
    with pytest.raises(ValueError, match="take 3 or more"):
        memorization.abruptness(even[:2])


def test_diversity_and_pixels():
    videos = np.zeros((3, 2, 4, 4, 3), np.uint8)
    videos[2] = 255
    apart = np.sqrt(2 * 4 * 4 * 3)
    assert memorization.diversity(memorization.pixels(videos)) == pytest.approx((0 + apart + apart) / 3)
    with pytest.raises(ValueError, match="two samples or more, got 1"):
        memorization.diversity(np.zeros((1, 2)))
