"""The ConvGRU against plain loops written from appendix B.2; those go frame by frame, over arrays [T, B, H, W, C]."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from numpy_reference import conv_gru

from dvdgan_lib.conv_gru import ConvGRU

B, H, W, C, C_IN = 2, 3, 4, 2, 3


def parameters(rng, c=C, c_in=C_IN):
    shapes = {"kernel": (3, 3, c + c_in, c), "bias": (c,)}
    return {
        f"{gate}_{kind}": rng.normal(scale=0.5, size=shape)
        for gate in ("reset", "update", "candidate")
        for kind, shape in shapes.items()
    }


def case(frames, seed=0):
    rng = np.random.default_rng(seed)
    return parameters(rng), rng.normal(size=(frames, B, H, W, C_IN)), rng.normal(size=(B, H, W, C))


def apply(p, x, h, num_frames):
    return ConvGRU(C).apply({"params": p}, x.swapaxes(0, 1), num_frames, h).swapaxes(0, 1)


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("backend", ["cpu", "tpu"])
def test_equals_the_equations(float64, monkeypatch, frames, backend):
    """On an accelerator the recurrence is a scan; it runs on the CPU, too."""
    p, x, h = case(frames)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    np.testing.assert_allclose(apply(p, x, h, frames), conv_gru(p, x, h), atol=1e-10)
    np.testing.assert_allclose(apply(p, x, None, frames), conv_gru(p, x, np.zeros_like(h)), atol=1e-10)


@given(
    frames=st.integers(1, 3),
    size=st.sampled_from([1, 2, 4]),
    c=st.integers(1, 5),
    c_in=st.integers(1, 5),
    batch=st.integers(1, 2),
)
@settings(max_examples=8, deadline=None)
def test_equals_the_equations_at_any_size(frames, size, c, c_in, batch):
    rng = np.random.default_rng(0)
    p = parameters(rng, c, c_in)
    x, h = rng.normal(size=(frames, batch, size, size, c_in)), rng.normal(size=(batch, size, size, c))
    in_float32 = jax.tree.map(jnp.float32, (p, x.swapaxes(0, 1), h))
    run = jax.jit(lambda p, x, h: ConvGRU(c).apply({"params": p}, x, frames, h))
    np.testing.assert_allclose(run(*in_float32).swapaxes(0, 1), conv_gru(p, x, h), atol=1e-4)


def test_parameters_are_the_papers():
    p = ConvGRU(C).init(jax.random.key(0), jnp.zeros((B, 1, H, W, C_IN)), 2)["params"]
    assert {name: value.shape for name, value in p.items()} == {
        name: value.shape for name, value in parameters(np.random.default_rng(0)).items()
    }


def test_one_frame_of_input_stands_for_all(float64):
    p, x, h = case(1)
    np.testing.assert_allclose(apply(p, x, h, 3), apply(p, np.repeat(x, 3, 0), h, 3), atol=1e-12)


def plain_loop(p, x, h):
    """The equations in jax.numpy, with XLA's own convolution and no custom gradient."""

    def conv(inputs, gate):
        dimensions = ("NHWC", "HWIO", "NHWC")
        out = lax.conv_general_dilated(inputs, p[f"{gate}_kernel"], (1, 1), "SAME", dimension_numbers=dimensions)
        return out + p[f"{gate}_bias"]

    states = []
    for x_t in x:
        both = jnp.concatenate([h, x_t], -1)
        r, u = jax.nn.sigmoid(conv(both, "reset")), jax.nn.sigmoid(conv(both, "update"))
        c = jax.nn.relu(conv(jnp.concatenate([x_t, r * h], -1), "candidate"))
        h = u * h + (1 - u) * c
        states.append(h)
    return jnp.stack(states)


@pytest.mark.parametrize("repeated", [False, True])
def test_written_out_gradient_equals_autodiff(float64, repeated):
    frames = 3
    p, x, h = case(1 if repeated else frames, seed=1)
    weight = np.random.default_rng(2).normal(size=(frames, B, H, W, C))

    def ours(p, x, h):
        return jnp.sum(weight * apply(p, x, h, frames))

    def theirs(p, x, h):
        return jnp.sum(weight * plain_loop(p, jnp.repeat(x, frames, 0) if repeated else x, h))

    arguments = jax.tree.map(jnp.asarray, (p, x, h))
    found = jax.jit(jax.grad(ours, (0, 1, 2)))(*arguments)
    wanted = jax.jit(jax.grad(theirs, (0, 1, 2)))(*arguments)
    assert jax.tree.leaves(found)[0].dtype == jnp.float64
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), found, wanted)
    for leaf in jax.tree.leaves(found):
        assert np.abs(leaf).max() > 1e-3


def test_later_input_does_not_reach_earlier_frames(float64):
    p, x, h = case(3)
    changed = x.copy()
    changed[2] += 1.0
    before, after = apply(p, x, h, 3), apply(p, changed, h, 3)
    np.testing.assert_array_equal(before[:2], after[:2])
    assert np.abs(before[2] - after[2]).max() > 1e-3
