"""Attention against loops over single positions, and what it costs in memory (appendix A)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib.attention import Attention, self_attention, separable_attention


def weights(rng, c):
    return tuple(rng.normal(scale=0.7, size=(c, c)) for _ in range(3))


def attend(positions, query, key, value):
    """softmax(XQ (XK)') XV, one output position at a time: list of [C] -> list of [C]."""
    out = []
    for x in positions:
        similar = np.array([(x @ query) @ (other @ key) for other in positions])
        share = np.exp(similar - similar.max())
        share /= share.sum()
        out.append(sum(s * (other @ value) for s, other in zip(share, positions, strict=True)))
    return out


def naive_separable(x, of_time, of_height, of_width):
    """Appendix A in words: over frames at the same place, then over heights, then over widths; six loops."""
    b, h, w, t, _ = x.shape
    x = x.copy()
    for n, i, j in itertools.product(range(b), range(h), range(w)):
        x[n, i, j] = attend(list(x[n, i, j]), *of_time)
    for n, j, f in itertools.product(range(b), range(w), range(t)):
        x[n, :, j, f] = attend(list(x[n, :, j, f]), *of_height)
    for n, i, f in itertools.product(range(b), range(h), range(t)):
        x[n, i, :, f] = attend(list(x[n, i, :, f]), *of_width)
    return x


@given(shape=st.tuples(*[st.integers(1, 3)] * 5), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_separable_attention_equals_six_loops(shape, seed):
    """Any axes, all of different lengths among them: a reshape without its transpose would mix positions."""
    rng = np.random.default_rng(seed)
    x, three = rng.normal(size=shape), [weights(rng, shape[-1]) for _ in range(3)]
    found = separable_attention(jnp.asarray(x, jnp.float32), three)
    np.testing.assert_allclose(found, naive_separable(x, *three), rtol=1e-3, atol=1e-4)


def test_axes_of_different_lengths():
    rng = np.random.default_rng(0)
    x, three = rng.normal(size=(2, 3, 4, 5, 2)), [weights(rng, 2) for _ in range(3)]
    found = separable_attention(jnp.asarray(x, jnp.float32), three)
    np.testing.assert_allclose(found, naive_separable(x, *three), rtol=1e-3, atol=1e-4)


def test_full_attention_equals_loops():
    rng = np.random.default_rng(1)
    x, one = rng.normal(size=(2, 6, 3)), weights(rng, 3)
    found = self_attention(jnp.asarray(x, jnp.float32), *one)
    np.testing.assert_allclose(found, [attend(list(clip), *one) for clip in x], rtol=1e-3, atol=1e-4)


def test_a_change_anywhere_reaches_everywhere():
    """ "... features at each location accumulated from all other features at any spatio-temporal location"."""
    rng = np.random.default_rng(2)
    x, three = rng.normal(size=(1, 3, 2, 4, 3)), [weights(rng, 3) for _ in range(3)]
    changed = x.copy()
    changed[0, 2, 1, 3] += 5.0
    difference = np.abs(separable_attention(jnp.asarray(x), three) - separable_attention(jnp.asarray(changed), three))
    assert difference.max(-1).min() > 1e-4


def temporaries(function, *arguments):
    """Bytes of a compiled program's intermediate values."""
    return jax.jit(function).lower(*arguments).compile().memory_analysis().temp_size_in_bytes


def test_memory_grows_with_the_square_of_positions_only_in_full_attention():
    """O((HWT)^2) against max(O(H^2 WT), O(HW^2 T), O(HWT^2)): each side doubled, 64 and 16 times as much."""
    rng, c = np.random.default_rng(3), 2
    three = [weights(rng, c) for _ in range(3)]

    def measure(size):
        x = jax.ShapeDtypeStruct((1, size, size, size, c), jnp.float32)
        flat = jax.ShapeDtypeStruct((1, size**3, c), jnp.float32)
        return temporaries(lambda x: self_attention(x, *three[0]), flat), temporaries(
            lambda x: separable_attention(x, three), x
        )

    (full, separable), (full_twice, separable_twice) = measure(6), measure(12)
    assert full_twice / full == pytest.approx(64, rel=0.1)
    assert 8 <= separable_twice / separable < 17
    assert full_twice > 30 * separable_twice


@pytest.mark.parametrize("kind", ["separable", "full"])
def test_module_adds_attention_by_a_gain_that_starts_at_zero(kind):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2, 3, 4, 2, 3)).astype(np.float32)  # [B, T, H, W, C]
    module = Attention(kind)
    params = module.init(jax.random.key(0), x)["params"]
    np.testing.assert_array_equal(module.apply({"params": params}, x), x)

    params = {name: np.asarray(value) for name, value in params.items()} | {"gain": np.float32(0.5)}
    part = lambda axis: [params[f"{axis}_{name}_kernel"] for name in ("query", "key", "value")]  # noqa: E731
    if kind == "full":
        attended = np.array([attend(list(clip.reshape(-1, 3)), *part("full")) for clip in x]).reshape(x.shape)
    else:
        moved = x.transpose(0, 2, 3, 1, 4).astype(np.float64)
        attended = naive_separable(moved, part("time"), part("height"), part("width")).transpose(0, 3, 1, 2, 4)
    np.testing.assert_allclose(module.apply({"params": params}, x), x + 0.5 * attended, rtol=1e-3, atol=1e-4)


def test_single_frames_are_not_attended_over_time():
    frames = np.zeros((2, 1, 4, 4, 3), np.float32)
    names = Attention("separable").init(jax.random.key(0), frames)["params"]
    assert {name.split("_")[0] for name in names} == {"height", "width", "gain"}
