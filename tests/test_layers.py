"""Norms and residual blocks against their NumPy definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy_reference as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib import configuration, layers

B, T, H, W, C = 2, 3, 4, 4, 8


def features(seed=0, shape=(B, T, H, W, C)):
    """Each frame and sample with a mean and a spread of its own."""
    rng = np.random.default_rng(seed)
    spread, mean = rng.uniform(0.5, 2.0, shape[:2]), rng.normal(size=(*shape[:2], shape[-1]))
    return (rng.normal(size=shape) * spread[..., None, None, None] + mean[:, :, None, None]).astype(np.float32)


def apply(module, params, *arguments, variables=None, **options):
    variables = {"params": params} | (variables or {})
    return jax.jit(module.apply, static_argnames="standing")(variables, *arguments, **options)


# --- Sampling in space ------------------------------------------------------------------------------------------------


def test_pixels_become_minus_one_to_one():
    np.testing.assert_allclose(layers.from_pixels(jnp.array([0, 51, 255], jnp.uint8)), [-1.0, -0.6, 1.0], atol=1e-6)


def test_upsampling_and_pooling_equal_numpy():
    x = features()[0].repeat(2, 1)
    np.testing.assert_array_equal(layers.upsample(x), reference.double(x))
    for size in (2, 4):
        np.testing.assert_allclose(layers.average_pool(x, size), reference.pool(x, size), atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 5, 6])
def test_pooling_over_time_equals_numpy(frames):
    x = features(shape=(2, frames, 2, 2, 3))
    np.testing.assert_allclose(layers.average_pool_time(x), reference.pool_time(x), atol=1e-6)


# --- Norms ------------------------------------------------------------------------------------------------------------


def normalized(kind, x, standing=False, variables=None):
    scale, offset = apply(layers.Norm(kind), {}, x, standing=standing, variables=variables)
    return np.asarray(x * scale + offset)


def slices(kind, channels):
    """What one mean and variance is taken over: slices of [B, T, H, W, C]."""
    everything = slice(None)
    for t in range(T):
        if kind == "batch_over_time":
            yield from ((..., c) for c in range(channels))
            return
        if kind == "batch":
            yield from ((everything, t, ..., c) for c in range(channels))
            continue
        for b in range(B):
            if kind == "layer":
                yield b, t
            elif kind == "instance":
                yield from ((b, t, ..., c) for c in range(channels))
            elif kind == "group":  # up to 32 groups of at least two channels each
                size = max(2, channels // 32)
                yield from ((b, t, everything, everything, slice(c, c + size)) for c in range(0, channels, size))


@pytest.mark.parametrize("kind", ["batch", "batch_over_time", "group", "layer", "instance"])
@pytest.mark.parametrize("channels", [8, 128])
def test_every_norm_equals_its_definition(kind, channels):
    x = features(shape=(B, T, H, W, channels))
    wanted, covered = np.full(x.shape, np.nan), 0
    for part in slices(kind, channels):
        wanted[part] = (x[part] - x[part].mean()) / np.sqrt(x[part].var() + 1e-5)
        covered += x[part].size
    assert covered == x.size
    np.testing.assert_allclose(normalized(kind, x), wanted, atol=1e-4)


def test_no_norm_changes_nothing():
    np.testing.assert_array_equal(normalized("none", features()), features())


def test_batch_norm_normalises_each_time_step():
    out = normalized("batch", features())
    np.testing.assert_allclose(out.mean((0, 2, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(out.var((0, 2, 3)), 1.0, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "passes"), [("batch", False), ("batch_over_time", True), ("group", False), ("layer", False)]
)
def test_information_passes_between_frames_only_where_norms_reduce_over_time(kind, passes):
    """B.2: this "prevents the network from utilizing the Batch Normalization layers to pass information"."""
    x, changed = features(), features()
    changed[:, 1] = 3.0 * changed[:, 1] + 1.0
    before, after = normalized(kind, x), normalized(kind, changed)
    assert (np.abs(before[:, [0, 2]] - after[:, [0, 2]]).max() > 1e-2) == passes


@given(frames=st.integers(2, 5), changed=st.integers(0, 4), channels=st.integers(1, 4), batch=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_a_changed_frame_moves_no_other_through_batch_norm(frames, changed, channels, batch):
    """B.2: "we do not reduce over the time dimension"; and that frame's samples all move."""
    changed %= frames
    x = features(shape=(batch, frames, 2, 2, channels))
    other = x.copy()
    other[0, changed] = 3.0 * other[0, changed] + np.arange(4.0).reshape(2, 2, 1)
    before, after = normalized("batch", x), normalized("batch", other)
    rest = np.arange(frames) != changed
    np.testing.assert_array_equal(before[:, rest], after[:, rest])
    assert (np.abs(before - after)[:, changed].max((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize("kind", ["batch", "batch_over_time"])
def test_standing_statistics_take_the_place_of_the_batchs(kind):
    x, other = features(), features(seed=1)
    module = layers.Norm(kind)
    _, seen = module.apply({}, x, False, mutable=["batch_stats"])
    assert seen["batch_stats"]["mean"].shape == ((T, C) if kind == "batch" else (1, C))
    own = normalized(kind, x)
    np.testing.assert_allclose(normalized(kind, x, True, seen), own, atol=1e-5)
    mixed = np.concatenate([x[:1], other[1:]])
    np.testing.assert_allclose(normalized(kind, mixed, True, seen)[0], own[0], atol=1e-5)


@pytest.mark.parametrize("kind", configuration.NORMS)
def test_conditional_norm_gives_each_sample_its_own_gain_and_bias(kind):
    rng, x = np.random.default_rng(0), features()
    condition = rng.normal(size=(B, 5)).astype(np.float32)
    params = {name: {"kernel": rng.normal(size=(5, C)).astype(np.float32)} for name in ("gain", "bias")}
    gain, bias = (condition @ params[name]["kernel"] for name in ("gain", "bias"))
    wanted = normalized(kind, x) * (1.0 + gain[:, None, None, None]) + bias[:, None, None, None]
    module = layers.ConditionalNorm(kind)
    found = apply(module, params, x, condition, standing=False)
    np.testing.assert_allclose(found, wanted, atol=1e-4)

    changed = condition.copy()
    changed[1] += 1.0
    after = apply(module, params, x, changed, standing=False)
    np.testing.assert_array_equal(found[0], after[0])
    assert np.abs(found[1] - after[1]).min(axis=(1, 2)).max() > 1e-2


# --- Residual blocks --------------------------------------------------------------------------------------------------


def initialised(module, *arguments):
    """Orthogonal kernels, and biases that are not zero."""
    params = jax.jit(module.init)(jax.random.key(0), *arguments)["params"]
    rng = np.random.default_rng(3)
    return jax.tree.map(lambda p: np.asarray(p) + 0.3 * rng.normal(size=p.shape).astype(np.float32), params)


@pytest.mark.parametrize(("width", "down", "first"), [(6, True, True), (8, False, False), (6, False, False)])
def test_d_block_equals_numpy(width, down, first):
    x = features()[0]
    block = layers.DBlock(width, down, first)
    params = initialised(block, x)
    assert ("conv_shortcut" in params) == (down or width != C)
    wanted = reference.d_block(params, x, down, first, reference.pool)
    np.testing.assert_allclose(apply(block, params, x), wanted, atol=1e-3)


@pytest.mark.parametrize(("frames", "down", "first"), [(5, True, True), (4, True, False), (3, False, False)])
def test_3d_d_block_equals_numpy(frames, down, first):
    x = features(shape=(2, frames, 4, 4, 2))
    block = layers.DBlock3D(3, down, first)
    params = initialised(block, x)
    assert params["conv_1"]["kernel"].shape[:3] == (3, 3, 3)

    def pool(x):
        return np.stack([reference.pool(clip) for clip in reference.pool_time(x)])

    wanted = reference.d_block(params, x, down, first, pool)
    np.testing.assert_allclose(apply(block, params, x), wanted, atol=1e-3)


def test_initial_kernels_are_orthogonal():
    params = jax.jit(layers.DBlock(6, True).init)(jax.random.key(0), features()[0])["params"]
    for conv in params.values():
        matrix = np.asarray(conv["kernel"]).reshape(-1, 6)
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(6), atol=1e-5)
        np.testing.assert_array_equal(conv["bias"], np.zeros(6))
