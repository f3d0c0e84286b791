"""Convolutions, in the form that the machine is good at.

XLA's native convolutions are the right ones on a TPU or GPU. On a CPU the native 3-D convolution runs at 3-30 GFLOP/s where
a 2-D one reaches 100, so there the same sum is written as one 2-D convolution over temporally stacked frames; and the
gradient of a 2-D convolution for its kernel takes 1.1 to 1.4 times as long as the matrix product that gives the same.
Two more shapes are slow there and have forms of their own: frames of 2x2, and few output channels (pixels). The ratios are
those of `benchmarks/convolution.py` on two cores.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from dvdgan_lib.devices import target_platform


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after an axis so that the output has ceil(size / stride) positions (TensorFlow's SAME)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _native_conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def kernel_gradient(x: jax.Array, g: jax.Array, size: int) -> jax.Array:
    """Gradient of sum(g * conv2d(x, kernel)) for the kernel, as one matrix product.

    dW[i, j] is the sum over positions of x shifted by (i, j) times g. With the column shifts put on x and the row shifts
    on g, the product of the two stacks holds all size * size combinations: the same operations, one large product.

    Args:
      x: [N, H, W, C_in].
      g: [N, H, W, C_out].
      size: of the kernel, odd.

    Returns:
      [size, size, C_in, C_out].
    """
    _, h, w, c_in = x.shape
    c_out, r = g.shape[-1], size // 2
    if size > 1:
        x = jnp.pad(x, ((0, 0), (0, 0), (r, r), (0, 0)))
        x = jnp.concatenate([x[:, :, j : j + w] for j in range(size)], -1)
        g = jnp.pad(g, ((0, 0), (r, r), (0, 0), (0, 0)))
        g = jnp.concatenate([g[:, 2 * r - i : 2 * r - i + h] for i in range(size)], -1)
    product = x.reshape(-1, size * c_in).T @ g.reshape(-1, size * c_out)
    return product.reshape(size, c_in, size, c_out).transpose(2, 0, 1, 3)


@jax.custom_vjp
def _cpu_conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    if kernel.shape[:2] == (1, 1):
        return x @ kernel[0, 0]
    if x.shape[1] * x.shape[2] <= 4:
        return _conv2d_as_one_product(x, kernel)
    if kernel.shape[3] <= 4:
        return _conv2d_as_shifted_products(x, kernel)
    return _native_conv2d(x, kernel)


def _conv2d_as_one_product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """conv2d of frames with up to four positions: each sees all the others, so that the taps fill a matrix.

    Shapes as `conv2d`: x [N, H, W, C_in], H * W <= 4, kernel [size, size, C_in, C_out] -> [N, H, W, C_out]. XLA's own takes
    ten times as long there (`benchmarks/convolution.py`).
    """
    n, h, w, c_in = x.shape
    c_out, r = kernel.shape[3], kernel.shape[0] // 2
    places = [(i, j) for i in range(h) for j in range(w)]
    outside = jnp.zeros((c_in, c_out), kernel.dtype)
    tap = lambda i, j: kernel[i + r, j + r] if max(abs(i), abs(j)) <= r else outside  # noqa: E731
    matrix = jnp.concatenate(
        [jnp.concatenate([tap(i - i_out, j - j_out) for i, j in places]) for i_out, j_out in places], axis=1
    )
    return (x.reshape(n, h * w * c_in) @ matrix).reshape(n, h, w, c_out)


def _conv2d_as_shifted_products(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """conv2d for few output channels: all taps' products at once, then their sum where they belong.

    Shapes as `conv2d`: x [N, H, W, C_in], kernel [size, size, C_in, C_out] -> [N, H, W, C_out]. For pixels, C_out = 3, XLA's
    own takes 1.5 to 2 times as long (`benchmarks/convolution.py`).
    """
    size, _, c_in, c_out = kernel.shape
    _, h, w, _ = x.shape
    r = size // 2
    products = x @ kernel.transpose(2, 0, 1, 3).reshape(c_in, size * size * c_out)
    products = jnp.pad(products, ((0, 0), (r, r), (r, r), (0, 0)))
    taps = [products[:, i : i + h, j : j + w] for i in range(size) for j in range(size)]
    return sum(tap[..., k * c_out : (k + 1) * c_out] for k, tap in enumerate(taps))


def _cpu_conv2d_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _cpu_conv2d(x, kernel), (x, kernel)


def _cpu_conv2d_backward(saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    # The gradient for x is a convolution with the kernel turned round and its channels swapped.
    return _cpu_conv2d(g, kernel[::-1, ::-1].swapaxes(2, 3)), kernel_gradient(x, g, kernel.shape[0])


_cpu_conv2d.defvjp(_cpu_conv2d_forward, _cpu_conv2d_backward)


def conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """2-D convolution with stride 1 and SAME padding.

    Args:
      x: [N, H, W, C_in], float.
      kernel: [size, size, C_in, C_out], float, size odd.

    Returns:
      [N, H, W, C_out], float.
    """
    return _cpu_conv2d(x, kernel) if target_platform() == "cpu" else _native_conv2d(x, kernel)


def conv3d(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int, int] = (1, 1, 1), stacked: bool | None = None
) -> jax.Array:
    """3-D convolution with SAME padding.

    Args:
      x: [B, T, H, W, C_in], float.
      kernel: [kt, kh, kw, C_in, C_out], float.
      strides: over time, height, width.
      stacked: True for one 2-D convolution over stacked frames, False for XLA's own; None picks by the platform.

    Returns:
      [B, ceil(T / st), ceil(H / sh), ceil(W / sw), C_out], float.
    """
    if stacked is None:
        stacked = target_platform() == "cpu"
    if not stacked:
        return lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))
    b, t, h, w, c_in = x.shape
    kt, kh, kw, _, c_out = kernel.shape
    st, sh, sw = strides
    if kernel.shape[:3] == (1, 1, 1):
        # A matrix product of the channels: 20-50 % faster on the CPU than the same as a convolution.
        return x[:, ::st, ::sh, ::sw] @ kernel[0, 0, 0]
    t_out = -(-t // st)
    if kt > 1:
        x = jnp.pad(x, ((0, 0), same_padding(t, kt, st), (0, 0), (0, 0), (0, 0)))
    # Frame t of the output reads the frames t*st ... t*st + kt - 1: put those side by side in the channels.
    shifted = [lax.slice_in_dim(x, i, i + (t_out - 1) * st + 1, st, axis=1) for i in range(kt)]
    stack = jnp.concatenate(shifted, axis=-1).reshape(b * t_out, h, w, kt * c_in)
    flat_kernel = kernel.transpose(1, 2, 0, 3, 4).reshape(kh, kw, kt * c_in, c_out)
    if (sh, sw) == (1, 1) and kh == kw and kh % 2:
        out = conv2d(stack, flat_kernel)
    else:
        out = lax.conv_general_dilated(stack, flat_kernel, (sh, sw), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return out.reshape(b, t_out, *out.shape[1:])
