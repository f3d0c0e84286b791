"""conv2d and conv3d in all their forms against each other, XLA's own, and the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from dvdgan_lib.convolution import (
    conv2d,
    conv2d_of_upsampled,
    conv2d_pooled,
    conv3d,
    conv3d_pooled,
    kernel_gradient,
    same_padding,
)
from dvdgan_lib.layers import average_pool, average_pool_3d, upsample

sizes = st.integers(1, 6)
kernels = st.integers(1, 4)
strides = st.integers(1, 3)


def naive(x, kernel, strides):
    """The definition, one output position at a time, in float64."""
    padding = [same_padding(x.shape[i + 1], kernel.shape[i], strides[i]) for i in range(3)]
    x = np.pad(np.asarray(x, np.float64), [(0, 0), *padding, (0, 0)])
    kt, kh, kw = kernel.shape[:3]
    out = np.empty((x.shape[0], *[(x.shape[i + 1] - kernel.shape[i]) // strides[i] + 1 for i in range(3)], kernel.shape[4]))
    for t, h, w in np.ndindex(out.shape[1:4]):
        t0, h0, w0 = t * strides[0], h * strides[1], w * strides[2]
        out[:, t, h, w] = np.tensordot(
            x[:, t0 : t0 + kt, h0 : h0 + kh, w0 : w0 + kw], kernel, axes=([1, 2, 3, 4], [0, 1, 2, 3])
        )
    return out


@given(
    space=st.tuples(sizes, sizes, sizes),
    kernel=st.tuples(kernels, kernels, kernels),
    strides=st.tuples(strides, strides, strides),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 6)),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None)
def test_stacked_equals_native_and_definition(space, kernel, strides, channels, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, *space, channels[0])).astype(np.float32)
    k = rng.normal(size=(*kernel, *channels)).astype(np.float32)
    stacked = conv3d(x, k, strides, stacked=True)
    assert stacked.shape == (2, *[-(-s // stride) for s, stride in zip(space, strides, strict=True)], channels[1])
    np.testing.assert_allclose(stacked, conv3d(x, k, strides, stacked=False), atol=1e-4)
    np.testing.assert_allclose(stacked, naive(x, k, strides), atol=1e-4)


@pytest.mark.parametrize("kernel", [(1, 1, 1), (3, 3, 3), (2, 1, 4)])
def test_gradients_of_both_forms_agree(kernel):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 4, 5, 3, 2)), jnp.float32)
    k = jnp.asarray(rng.normal(size=(*kernel, 2, 3)), jnp.float32)

    def loss(x, k, stacked):
        return jnp.sum(jnp.sin(conv3d(x, k, (2, 1, 1), stacked=stacked)))

    for ours, native in zip(jax.grad(loss, (0, 1))(x, k, True), jax.grad(loss, (0, 1))(x, k, False), strict=True):
        np.testing.assert_allclose(ours, native, atol=1e-4)


def test_same_padding_puts_the_odd_one_last():
    assert same_padding(12, 7, 2) == (2, 3)
    assert same_padding(3, 2, 2) == (0, 1)
    assert same_padding(5, 1, 3) == (0, 0)


# Size of the kernel, height, width, channels in and out. First those with few output channels, which have a form of their
# own; then XLA's; then frames of up to four positions.
SHAPES_2D = [
    *[(1, 4, 4, 3, 2), (3, 5, 4, 3, 2), (3, 1, 5, 2, 2), (3, 2, 7, 1, 3), (5, 7, 5, 2, 1), (5, 2, 3, 2, 2)],
    *[(3, 5, 4, 3, 6), (5, 3, 2, 2, 5), (1, 4, 4, 3, 6)],
    *[(3, 2, 2, 3, 6), (3, 1, 1, 2, 2), (3, 1, 3, 2, 5), (3, 4, 1, 2, 5), (5, 2, 2, 2, 3), (7, 2, 1, 2, 6)],
]


def case_2d(size, h, w, c_in, c_out):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, h, w, c_in)), rng.normal(size=(size, size, c_in, c_out))
    return x, kernel, rng.normal(size=(2, h, w, c_out))


def native_2d(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize("shape", SHAPES_2D)
def test_conv2d_and_its_gradients_equal_native_autodiff(float64, shape):
    """Sizes 1, 3, 5, 7, on images that are odd, oblong, or smaller than the kernel."""
    x, kernel, weight = map(jnp.asarray, case_2d(*shape))

    def value_and_gradients(convolution):
        loss = lambda x, kernel: jnp.sum(weight * jnp.sin(convolution(x, kernel)))  # noqa: E731
        return convolution(x, kernel), *jax.grad(loss, (0, 1))(x, kernel)

    for ours, native in zip(value_and_gradients(conv2d), value_and_gradients(native_2d), strict=True):
        assert ours.shape == native.shape
        np.testing.assert_allclose(ours, native, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES_2D)
def test_kernel_gradient_equals_its_definition(float64, shape):
    """dW[i, j] is the sum over positions of x, shifted by (i, j) less the radius, times g."""
    size, h, w, c_in, c_out = shape
    x, _, g = case_2d(*shape)
    wanted, r = np.zeros((size, size, c_in, c_out)), size // 2
    for i, j, row, column in np.ndindex(size, size, h, w):
        y, z = row + i - r, column + j - r
        if 0 <= y < h and 0 <= z < w:
            wanted[i, j] += x[:, y, z].T @ g[:, row, column]
    np.testing.assert_allclose(kernel_gradient(jnp.asarray(x), jnp.asarray(g), size), wanted, atol=1e-10)


def upsampled(x, kernel):
    return native_2d(upsample(x), kernel)


def pooled(x, kernel):
    return average_pool(native_2d(x, kernel))


def pooled_3d(x, kernel):
    return average_pool_3d(conv3d(x, kernel, stacked=False))


@pytest.mark.parametrize(
    ("ours", "plain", "shape"),
    [
        (conv2d_of_upsampled, upsampled, (2, 3, 5)),
        (conv2d_of_upsampled, upsampled, (2, 1, 1)),
        (conv2d_pooled, pooled, (2, 6, 4)),
        (conv2d_pooled, pooled, (2, 2, 2)),
        (conv3d_pooled, pooled_3d, (2, 4, 2, 6)),
        (conv3d_pooled, pooled_3d, (1, 2, 4, 2)),
    ],
)
def test_convolutions_that_resample_equal_their_two_steps(float64, ours, plain, shape):
    """Values and both gradients, on images that are oblong or smaller than the kernel."""
    rng = np.random.default_rng(0)
    x, kernel = jnp.asarray(rng.normal(size=(*shape, 3))), jnp.asarray(rng.normal(size=(3,) * (len(shape) - 1) + (3, 5)))

    def value_and_gradients(convolution):
        loss = lambda x, kernel: jnp.sum(jnp.sin(convolution(x, kernel)))  # noqa: E731
        return convolution(x, kernel), *jax.grad(loss, (0, 1))(x, kernel)

    for got, wanted in zip(value_and_gradients(ours), value_and_gradients(plain), strict=True):
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, atol=1e-10)


@pytest.mark.parametrize("frames", [1, 2, 3, 6, 7, 12])
@pytest.mark.parametrize(("size", "strides"), [((3, 3, 3), (1, 1, 1)), ((7, 7, 7), (2, 2, 2)), ((3, 1, 1), (2, 1, 1))])
def test_convolution_without_the_taps_in_the_padding_is_the_same(frames, size, strides):
    rng = np.random.default_rng(frames)
    x = jnp.asarray(rng.normal(size=(2, frames, 8, 8, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(*size, 3, 5)), jnp.float32)
    expected = conv3d(x, kernel, strides, stacked=False)
    made = conv3d(x, kernel, strides, stacked=True, skip_padding=True)
    np.testing.assert_allclose(made, expected, atol=1e-3)
