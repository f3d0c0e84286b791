"""Spectral norm against the SVD, and orthogonal weights."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib import spectral_norm


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
    vectors = spectral_norm.init_spectral_vectors(params, jax.random.key(0))
    normalize = jax.jit(lambda vectors: spectral_norm.spectral_normalize(params, vectors, update=True))
    for _ in range(100):
        normalized, vectors = normalize(vectors)
    before, after = leaves(params), leaves(normalized)
    for path in WEIGHTS:
        matrix = before[path].reshape(-1, before[path].shape[-1])
        sigma = np.linalg.svd(matrix, compute_uv=False)[0]
        np.testing.assert_allclose(after[path], before[path] / sigma, rtol=1e-4, atol=1e-6)


def test_biases_gains_and_the_embedding_of_g_stay_as_they_are():
    params = parameter_tree()
    vectors = spectral_norm.init_spectral_vectors(params, jax.random.key(0))
    before, after = leaves(params), leaves(spectral_norm.spectral_normalize(params, vectors, update=True)[0])
    assert before.keys() == after.keys()
    assert {path for path in before if not np.array_equal(before[path], after[path])} == WEIGHTS


def test_without_update_no_vector_moves():
    params = parameter_tree()
    vectors = spectral_norm.init_spectral_vectors(params, jax.random.key(0))
    for vector in vectors.values():
        np.testing.assert_allclose(np.linalg.norm(vector), 1.0, rtol=1e-5)
    _, kept = spectral_norm.spectral_normalize(params, vectors, update=False)
    _, moved = spectral_norm.spectral_normalize(params, vectors, update=True)
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
        _, vectors = spectral_norm.spectral_normalize({"conv": {"kernel": jnp.asarray(weight)}}, vectors, update=True)

    def ours(weight):
        normalized, _ = spectral_norm.spectral_normalize({"conv": {"kernel": weight}}, vectors, update=True)
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
        normalized, vectors = spectral_norm.spectral_normalize({"conv": {"kernel": weight}}, {"conv/kernel": u}, update)
        np.testing.assert_allclose(vectors["conv/kernel"], wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(normalized["conv"]["kernel"], weight / (v @ matrix @ wanted), rtol=1e-4, atol=1e-5)


def test_gradient_does_not_pass_through_u_and_v(float64):
    """Miyato et al. 2018, equation 11: v' W u with u and v held, long before they have converged."""
    rng = np.random.default_rng(2)
    weight, direction, u = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), np.eye(4)[0]
    v = weight @ u / np.linalg.norm(weight @ u)
    moved = weight.T @ v / np.linalg.norm(weight.T @ v)

    def ours(weight):
        normalized, _ = spectral_norm.spectral_normalize({"kernel": weight}, {"kernel": jnp.asarray(u)}, update=True)
        return jnp.sum(direction * normalized["kernel"])

    sigma = v @ weight @ moved
    wanted = direction / sigma - np.sum(direction * weight) / sigma**2 * np.outer(v, moved)
    np.testing.assert_allclose(jax.grad(ours)(jnp.asarray(weight)), wanted, rtol=1e-9, atol=1e-12)


def test_weights_drawn_together_are_orthogonal_and_of_either_sign():
    """Wide, square and tall ones, several of a shape; biases stay."""
    shapes = {"wide": (3, 7), "kernel": (3, 3, 2, 4), "bias": (5,)} | {f"square{i}": (4, 4) for i in range(64)}
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    drawn = jax.device_get(jax.jit(spectral_norm.orthogonal_weights)(params, jax.random.key(1)))
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
