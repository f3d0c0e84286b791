"""G against NumPy, its shapes and parameter counts against the paper's widths, and the right sample's condition."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpy_reference as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib import configuration, experiments
from dvdgan_lib.generator import Generator

LABELS = np.array([2, 0, 1], np.int32)


@pytest.fixture(scope="module")
def model(tiny_16):
    return tiny_16.model


@pytest.fixture(scope="module")
def params(tiny_16_state):
    """Biases and the norms' maps are not zero or one, as they would be before training."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), tiny_16_state.g_params)


@pytest.fixture(scope="module")
def latents(model):
    return np.random.default_rng(1).normal(size=(3, model.latent_dim)).astype(np.float32)


@pytest.fixture(scope="module")
def sampled(model, params, latents):
    """(a jitted function of (z, y, e(y) or None) with standing statistics, those statistics)."""
    training = jax.jit(lambda *inputs: Generator(model).apply({"params": params}, *inputs, mutable=["batch_stats"]))
    statistics = jax.device_get(training(latents, LABELS)[1]["batch_stats"])
    variables = {"params": params, "batch_stats": statistics}
    return jax.jit(lambda z, y, e=None: Generator(model).apply(variables, z, y, True, e)), statistics


def test_equals_numpy(model, params, latents, sampled):
    generate, statistics = sampled
    video, seen = reference.generator(params, latents, LABELS, model.num_frames)
    # The statistics were taken from this very batch: standing or not, the video is the same.
    np.testing.assert_allclose(generate(latents, LABELS), video, atol=2e-3)
    assert jax.tree.structure(statistics) == jax.tree.structure(seen)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), statistics, seen)

    other = np.random.default_rng(2).normal(size=latents.shape).astype(np.float32)
    standing, _ = reference.generator(params, other, LABELS, model.num_frames, statistics)
    np.testing.assert_allclose(generate(other, LABELS), standing, atol=2e-3)


def test_video_has_its_shape_and_pixels_lie_within_one(model, latents, sampled):
    video = np.asarray(sampled[0](latents, LABELS))
    assert video.shape == (3, model.num_frames, 16, 16, 3)
    assert video.min() >= -1.0
    assert video.max() <= 1.0
    assert video.std() > 0.05
    assert np.abs(np.diff(video, axis=1)).max() > 1e-3, "all frames are the same"


def test_permuting_the_batch_permutes_the_videos(latents, sampled):
    """The condition reaches the right sample at every frame. No rotation: a shift of the batch would commute with it."""
    generate, order = sampled[0], [1, 0, 2]
    np.testing.assert_allclose(
        generate(latents[order], LABELS[order]), np.asarray(generate(latents, LABELS))[order], atol=1e-5
    )


def test_a_label_changes_its_own_sample_only_and_at_every_frame(latents, sampled):
    generate, labels = sampled[0], LABELS.copy()
    labels[1] = 1
    before, after = np.asarray(generate(latents, LABELS)), np.asarray(generate(latents, labels))
    np.testing.assert_array_equal(before[[0, 2]], after[[0, 2]])
    assert (np.abs(before[1] - after[1]).max((1, 2, 3)) > 1e-3).all()


def test_an_embedding_given_takes_the_place_of_the_labels_own(params, latents, sampled):
    generate, table = sampled[0], params["embedding"]["embedding"]
    wanted = generate(latents, LABELS)
    np.testing.assert_allclose(generate(latents, np.zeros(3, np.int32), table[LABELS]), wanted, atol=1e-6)


@given(resolution=st.sampled_from([16, 32]), frames=st.integers(1, 4), batch=st.integers(1, 3))
@settings(max_examples=4, deadline=None)
def test_shapes(resolution, frames, batch):
    model = configuration.ModelConfig(resolution, frames, num_classes=2, ch=1, k=1, latent_dim=4, embedding_dim=3)
    z, y = jnp.zeros((batch, 4)), jnp.zeros(batch, jnp.int32)
    video, _ = jax.eval_shape(Generator(model).init_with_output, jax.random.key(0), z, y)
    assert video.shape == (batch, frames, resolution, resolution, 3)
    assert video.dtype == jnp.float32


def shapes_of(model):
    z, y = jnp.zeros((1, model.latent_dim)), jnp.zeros(1, jnp.int32)
    return jax.eval_shape(Generator(model).init, jax.random.key(0), z, y)


@pytest.mark.parametrize(
    ("changes", "norms_with_statistics"),
    [
        ({}, 9),
        ({"final_norm": False}, 8),
        ({"block_norm": False}, 1),
        ({"norm": "group"}, 0),
        ({"norm": "batch_over_time"}, 9),
    ],
)
def test_ablations_of_norms(model, changes, norms_with_statistics):
    """Two groups of two blocks with two norms each, and the final one."""
    variables = shapes_of(dataclasses.replace(model, num_frames=2, **changes))
    assert len(jax.tree.leaves(variables.get("batch_stats", {}))) == 2 * norms_with_statistics
    assert ("final_norm" in variables["params"]) == (not changes or changes.get("final_norm", True))
    assert variables["params"]["block_0_0"]["norm_1"].keys() == {"gain", "bias"}, "the class still reaches the block"


def closed_form(ch, constants, classes, z=120, e=120):
    """Parameters of G, counted from B.2."""
    condition, total = z + e, classes * e
    total += condition * 16 * ch * constants[0] + 16 * ch * constants[0]  # affine to [4, 4, ch_0]
    width = ch * constants[0]
    for constant in constants[1:]:
        out = ch * constant
        total += 3 * (9 * (2 * width) * width + width)  # ConvGRU: three gates over [h; x]
        for c_in in (width, out):  # two residual blocks
            total += 2 * condition * c_in + 2 * condition * out  # conditional gains and biases
            total += 9 * c_in * out + out + 9 * out * out + out  # two convolutions
        if width != out:
            total += width * out + out  # the first block's shortcut has a convolution where the width changes,
        total += out * out + out  # the second's always, for it upsamples
        width = out
    return total + 2 * width + 9 * width * 3 + 3  # final norm, 3x3 convolution to pixels


@pytest.mark.parametrize(
    ("name", "ch", "constants"),
    [  # the layer-wise constants as B.2 prints them
        ("kinetics600_64x64_12f", 128, [8, 8, 8, 4, 2]),
        ("kinetics600_128x128_12f", 96, [8, 8, 8, 4, 2, 1]),
    ],
)
def test_number_of_parameters_at_the_papers_size(name, ch, constants):
    model = experiments.get(name, "paper").model
    short = dataclasses.replace(model, num_frames=2, k=2)  # weights don't depend on T, tracing does
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes_of(short)["params"]))
    assert count == closed_form(ch, constants, 600)
