"""The hinge objective of section 2.2 against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib.objectives import discriminator_loss, generator_loss


def scores(seed, *discriminators):
    rng = np.random.default_rng(seed)
    return {d: rng.normal(scale=2.0, size=7).astype(np.float32) for d in discriminators}


@pytest.mark.parametrize("discriminators", [("spatial", "temporal"), ("spatial",), ("temporal",)])
def test_losses_equal_numpy(discriminators):
    real, fake = scores(0, *discriminators), scores(1, *discriminators)
    d_loss = sum(
        np.mean([max(0.0, 1.0 - score) for score in real[d]]) + np.mean([max(0.0, 1.0 + score) for score in fake[d]])
        for d in discriminators
    )
    np.testing.assert_allclose(discriminator_loss(real, fake), d_loss, rtol=1e-6)
    np.testing.assert_allclose(generator_loss(fake), -sum(np.mean(fake[d]) for d in discriminators), rtol=1e-6)


def test_d_wants_real_up_and_fake_down_within_the_margin():
    real, fake = {"spatial": jnp.array([0.0, 3.0])}, {"spatial": jnp.array([0.0, -3.0])}
    of_real, of_fake = jax.grad(discriminator_loss, (0, 1))(real, fake)
    np.testing.assert_allclose(of_real["spatial"], [-0.5, 0.0])  # 3 is beyond the margin of 1: nothing to gain
    np.testing.assert_allclose(of_fake["spatial"], [0.5, 0.0])


def test_g_wants_every_score_up_whatever_it_is():
    fake = scores(2, "spatial", "temporal")
    for gradient in jax.grad(generator_loss)(fake).values():
        np.testing.assert_allclose(gradient, np.full(7, -1 / 7), rtol=1e-6)


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_gradients_equal_finite_differences(seed):
    """Of NumPy's hinge in double precision, at scores that are not in the kinks at -1 and 1."""
    rng = np.random.default_rng(seed)
    real, fake = rng.normal(scale=2.0, size=(2, 5))
    real[np.abs(real - 1.0) < 1e-3] = fake[np.abs(fake + 1.0) < 1e-3] = 0.0

    def of_d(real, fake):
        return np.maximum(0.0, 1.0 - real).mean() + np.maximum(0.0, 1.0 + fake).mean()

    def slope(function, at, step=1e-6):
        ways = step * np.eye(len(at))
        return np.array([(function(at + way) - function(at - way)) / (2 * step) for way in ways])

    scores = lambda values: {"temporal": jnp.float32(values)}  # noqa: E731
    of_real, of_fake = jax.grad(discriminator_loss, (0, 1))(scores(real), scores(fake))
    np.testing.assert_allclose(of_real["temporal"], slope(lambda r: of_d(r, fake), real), atol=1e-5)
    np.testing.assert_allclose(of_fake["temporal"], slope(lambda f: of_d(real, f), fake), atol=1e-5)
    of_g = jax.grad(generator_loss)(scores(fake))
    np.testing.assert_allclose(of_g["temporal"], slope(lambda f: -f.mean(), fake), atol=1e-5)
