"""Walks between samples: their ends are the samples themselves, and the way between is straight."""

import numpy as np
import pytest

from dvdgan_lib import interpolation, sampling
from dvdgan_lib.trained_generator import TrainedGenerator


@pytest.fixture(scope="module")
def generator(tiny, tiny_state):
    standing = sampling.standing_statistics(tiny, tiny_state.ema)
    return TrainedGenerator(tiny, tiny_state.ema, standing, {}, "")


def test_a_walk_in_latents_ends_at_the_samples_of_its_class(generator):
    m = generator.experiment.model
    walk, label = interpolation.walk_in_latents(generator, 5, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    assert label == rng.integers(m.num_classes)
    ends = rng.standard_normal((2, m.latent_dim), np.float32)
    points = np.stack([ends[0], 0.25 * ends[1] + 0.75 * ends[0], ends.mean(axis=0), ends[1]])
    expected = sampling.generate(generator, points, np.full(4, label), progress=False)
    # Rounding may turn a pixel by one.
    np.testing.assert_allclose(walk[[0, 1, 2, 4]].astype(int), expected.astype(int), atol=1)


def test_a_walk_in_classes_ends_at_both_classes(generator):
    m = generator.experiment.model
    walk, classes = interpolation.walk_in_classes(generator, 5, np.random.default_rng(4))
    rng = np.random.default_rng(4)
    assert classes == tuple(rng.choice(m.num_classes, 2, replace=False))
    latents = np.repeat(rng.standard_normal((1, m.latent_dim), np.float32), 2, axis=0)
    expected = sampling.generate(generator, latents, np.array(classes), progress=False)
    np.testing.assert_allclose(walk[[0, -1]].astype(int), expected.astype(int), atol=1)
    assert np.any(walk[2] != walk[0])
