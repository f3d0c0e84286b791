"""Spectral norm against the SVD, norms and residual blocks against their NumPy definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy_reference as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib import experiments, layers

B, T, H, W, C = 2, 3, 4, 4, 8


def features(seed=0, shape=(B, T, H, W, C)):
    """Each frame and sample with a mean and a spread of its own."""
    rng = np.random.default_rng(seed)
    spread, mean = rng.uniform(0.5, 2.0, shape[:2]), rng.normal(size=(*shape[:2], shape[-1]))
    return (rng.normal(size=shape) * spread[..., None, None, None] + mean[:, :, None, None]).astype(np.float32)


def apply(module, params, *arguments, variables=None, **options):
    variables = {"params": params} | (variables or {})
    return jax.jit(module.apply, static_argnames="standing")(variables, *arguments, **options)


# --- Spectral norm ----------------------------------------------------------------------------------------------------


def parameter_tree():
    rng = np.random.default_rng(0)
    shapes = {
        "embedding": {"embedding": (5, 4)},
        "affine": {"kernel": (6, 12), "bias": (12,)},
        "gru_0": {"reset_kernel": (3, 3, 5, 2), "reset_bias": (2,)},
        "spatial": {"block_0": {"conv_1": {"kernel": (3, 3, 3, 4), "bias": (4,)}}},
        "temporal": {
            "block_0": {"conv_1": {"kernel": (3, 3, 3, 3, 4), "bias": (4,)}},
            "head": {"projection": {"embedding": (5, 4)}, "score": {"kernel": (4, 1), "bias": (1,)}},
        },
        "final_norm": {"gain": (3,), "bias": (3,)},
    }
    return jax.tree.map(
        lambda shape: rng.normal(size=shape).astype(np.float32), shapes, is_leaf=lambda leaf: isinstance(leaf, tuple)
    )


def leaves(tree):
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


WEIGHTS = {  # B.3: "Spectral Normalization is used for all weight layers"
    "['affine']['kernel']",
    "['gru_0']['reset_kernel']",
    "['spatial']['block_0']['conv_1']['kernel']",
    "['temporal']['block_0']['conv_1']['kernel']",
    "['temporal']['head']['projection']['embedding']",
    "['temporal']['head']['score']['kernel']",
}


def test_repeated_updates_bring_every_weight_to_spectral_norm_one():
    params = parameter_tree()
    vectors = layers.init_spectral_vectors(params, jax.random.key(0))
    normalize = jax.jit(lambda vectors: layers.spectral_normalize(params, vectors, update=True))
    for _ in range(100):
        normalized, vectors = normalize(vectors)
    before, after = leaves(params), leaves(normalized)
    for path in WEIGHTS:
        matrix = before[path].reshape(-1, before[path].shape[-1])
        sigma = np.linalg.svd(matrix, compute_uv=False)[0]
        np.testing.assert_allclose(after[path], before[path] / sigma, rtol=1e-4, atol=1e-6)


def test_biases_gains_and_the_embedding_of_g_stay_as_they_are():
    params = parameter_tree()
    vectors = layers.init_spectral_vectors(params, jax.random.key(0))
    before, after = leaves(params), leaves(layers.spectral_normalize(params, vectors, update=True)[0])
    assert before.keys() == after.keys()
    assert {path for path in before if not np.array_equal(before[path], after[path])} == WEIGHTS


def test_without_update_no_vector_moves():
    params = parameter_tree()
    vectors = layers.init_spectral_vectors(params, jax.random.key(0))
    for vector in vectors.values():
        np.testing.assert_allclose(np.linalg.norm(vector), 1.0, rtol=1e-5)
    _, kept = layers.spectral_normalize(params, vectors, update=False)
    _, moved = layers.spectral_normalize(params, vectors, update=True)
    assert vectors.keys() == kept.keys() == moved.keys()
    for path, vector in vectors.items():
        np.testing.assert_array_equal(vector, kept[path])
        if len(vector) > 1:
            assert np.abs(vector - moved[path]).max() > 1e-4, path
        np.testing.assert_allclose(np.linalg.norm(moved[path]), 1.0, rtol=1e-5)


def test_gradient_passes_through_sigma(float64):
    """At convergence it is the gradient of W / svd(W)[0], by finite differences."""
    rng = np.random.default_rng(1)
    weight, direction = rng.normal(size=(3, 3, 2, 4)), rng.normal(size=(3, 3, 2, 4))
    vectors = {"conv/kernel": jnp.asarray(rng.normal(size=4))}
    for _ in range(300):
        _, vectors = layers.spectral_normalize({"conv": {"kernel": jnp.asarray(weight)}}, vectors, update=True)

    def ours(weight):
        normalized, _ = layers.spectral_normalize({"conv": {"kernel": weight}}, vectors, update=True)
        return jnp.sum(direction * normalized["conv"]["kernel"])

    def exact(weight):
        return np.sum(direction * weight) / np.linalg.svd(weight.reshape(-1, 4), compute_uv=False)[0]

    found, step = jax.grad(ours)(jnp.asarray(weight)), 1e-6
    for index in [(0, 0, 0, 0), (1, 2, 1, 3), (2, 1, 0, 2), (0, 2, 1, 1)]:
        change = np.zeros_like(weight)
        change[index] = step
        wanted = (exact(weight + change) - exact(weight - change)) / (2 * step)
        np.testing.assert_allclose(found[index], wanted, rtol=1e-5)


@given(
    taps=st.sampled_from([(), (1, 1), (3, 3), (3, 3, 3)]),
    c_in=st.integers(1, 5),
    c_out=st.integers(2, 6),
    seed=st.integers(0, 99),
)
@settings(max_examples=10, deadline=None)
def test_one_call_is_one_power_iteration(taps, c_in, c_out, seed):
    """Miyato et al. 2018, algorithm 1, at any shape; without `update`, sigma is that of u as it is."""
    rng = np.random.default_rng(seed)
    weight, u = rng.normal(size=(*taps, c_in, c_out)).astype(np.float32), rng.normal(size=c_out)
    u = (u / np.linalg.norm(u)).astype(np.float32)
    matrix = weight.reshape(-1, c_out).astype(np.float64)
    v = matrix @ u / np.linalg.norm(matrix @ u)
    moved = matrix.T @ v / np.linalg.norm(matrix.T @ v)
    for update, wanted in ((True, moved), (False, u)):
        normalized, vectors = layers.spectral_normalize({"conv": {"kernel": weight}}, {"conv/kernel": u}, update)
        np.testing.assert_allclose(vectors["conv/kernel"], wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(normalized["conv"]["kernel"], weight / (v @ matrix @ wanted), rtol=1e-4, atol=1e-5)


def test_gradient_does_not_pass_through_u_and_v(float64):
    """Miyato et al. 2018, equation 11: v' W u with u and v held, long before they have converged."""
    rng = np.random.default_rng(2)
    weight, direction, u = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), np.eye(4)[0]
    v = weight @ u / np.linalg.norm(weight @ u)
    moved = weight.T @ v / np.linalg.norm(weight.T @ v)

    def ours(weight):
        normalized, _ = layers.spectral_normalize({"kernel": weight}, {"kernel": jnp.asarray(u)}, update=True)
        return jnp.sum(direction * normalized["kernel"])

    sigma = v @ weight @ moved
    wanted = direction / sigma - np.sum(direction * weight) / sigma**2 * np.outer(v, moved)
    np.testing.assert_allclose(jax.grad(ours)(jnp.asarray(weight)), wanted, rtol=1e-9, atol=1e-12)


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


@pytest.mark.parametrize("kind", experiments.NORMS)
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


def test_weights_drawn_together_are_orthogonal_and_of_either_sign():
    """Wide, square and tall ones, several of a shape; biases stay."""
    shapes = {"wide": (3, 7), "kernel": (3, 3, 2, 4), "bias": (5,)} | {f"square{i}": (4, 4) for i in range(64)}
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    drawn = jax.device_get(jax.jit(layers.orthogonal_weights)(params, jax.random.key(1)))
    np.testing.assert_array_equal(drawn["bias"], np.ones(5))
    for name, weight in drawn.items():
        assert weight.shape == shapes[name]
        if weight.ndim > 1:
            matrix = weight.reshape(-1, weight.shape[-1])
            product = matrix @ matrix.T if len(matrix) < matrix.shape[1] else matrix.T @ matrix
            np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-5, err_msg=name)
    # Uniform over rotations and reflections: each entry as often above 0 as below (Householder's has the first below).
    squares = np.stack([drawn[f"square{i}"] for i in range(64)])
    assert (np.abs((squares > 0).mean(0) - 0.5) < 0.25).all()
    np.testing.assert_allclose(squares.var(0), 0.25, atol=0.12)
    assert len(np.unique(squares[:, 0, 0])) == 64
