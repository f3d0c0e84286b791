"""Convolutions, in the form that the machine is good at.

XLA's native convolutions are the right ones on a TPU or GPU. On a CPU the native 3-D convolution runs at 3-30 GFLOP/s where
a 2-D one reaches 100, so there the same sum is written as one 2-D convolution over temporally stacked frames. Two more
shapes are slow there and have forms of their own: frames of 2x2, and few output channels (pixels). And a convolution behind
an upsampling or in front of a pooling is with it one smaller convolution: of half the multiplications, of a third in 3-D.
The ratios are those of `benchmarks/convolution.py` on two cores.
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
    """Gradient of sum(g * conv2d(x, kernel)) for the kernel.

    It is a convolution too: of x with g as a kernel as large as a frame, in which batch and channels have changed places.

    Args:
      x: [N, H, W, C_in].
      g: [N, H, W, C_out].
      size: of the kernel, odd.

    Returns:
      [size, size, C_in, C_out].
    """
    r = size // 2
    return lax.conv_general_dilated(x, g, (1, 1), ((r, r), (r, r)), dimension_numbers=("CHWN", "IHWO", "HWNC"))


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


def _by_parity(kernel: jax.Array, axis: int) -> jax.Array:
    """Three taps of a kernel as what they are at half the resolution: [..., 3, ...] -> [2, 2, ...].

    Behind nearest-neighbour upsampling, output 2i + a is the sum over I of part [a, I] times input i + a + I - 1. In front
    of pooling, the sum of outputs 2i and 2i + 1 is that over a and I of part [a, I] times input 2(i + I) + a - 1.
    """
    first, middle, last = (lax.index_in_dim(kernel, i, axis, keepdims=False) for i in range(3))
    return jnp.stack([jnp.stack([first, middle + last]), jnp.stack([first + middle, last])])


def _valid_conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def conv2d_of_upsampled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """conv2d(upsample(x), kernel) as one convolution before upsampling: four outputs a position, of 2x2 inputs each.

    Args:
      x: [N, H, W, C_in], float.
      kernel: [3, 3, C_in, C_out], float.

    Returns:
      [N, 2H, 2W, C_out], float.
    """
    n, h, w, c_in = x.shape
    parts = _by_parity(_by_parity(kernel, 1), 2)  # [a, I, b, J, C_in, C_out]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    made = _valid_conv2d(x, parts.transpose(1, 3, 4, 0, 2, 5).reshape(2, 2, c_in, -1))
    made = made.reshape(n, h + 1, w + 1, 2, 2, -1)  # a and b: the parities of the row and of the column
    rows = [jnp.stack([made[:, a : h + a, b : w + b, a, b] for b in range(2)], 3) for a in range(2)]
    return jnp.stack(rows, 2).reshape(n, 2 * h, 2 * w, -1)


def conv2d_pooled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """average_pool(conv2d(x, kernel)) as one convolution of 2x2 positions with four inputs each.

    Args:
      x: [N, H, W, C_in], float, H and W even.
      kernel: [3, 3, C_in, C_out], float.

    Returns:
      [N, H/2, W/2, C_out], float.
    """
    n, h, w, c_in = x.shape
    parts = _by_parity(_by_parity(kernel, 1), 2) / 4  # [a, I, b, J, C_in, C_out]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = x.reshape(n, h // 2 + 1, 2, w // 2 + 1, 2, c_in).transpose(0, 1, 3, 2, 4, 5).reshape(n, h // 2 + 1, w // 2 + 1, -1)
    return _valid_conv2d(x, parts.transpose(1, 3, 0, 2, 4, 5).reshape(2, 2, 4 * c_in, -1))


def conv3d_pooled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """average_pool_3d(conv3d(x, kernel)) as one convolution, four frames of x stacked for each of the output.

    Args:
      x: [B, T, H, W, C_in], float, T, H and W even.
      kernel: [3, 3, 3, C_in, C_out], float.

    Returns:
      [B, T/2, H/2, W/2, C_out], float.
    """
    b, t, h, w, c_in = x.shape
    parts = _by_parity(kernel, 0).swapaxes(0, 1).reshape(4, *kernel.shape[1:]) / 2
    x = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    stack = jnp.concatenate([x[:, i : i + t - 1 : 2] for i in range(4)], -1).reshape(b * t // 2, h, w, 4 * c_in)
    made = conv2d_pooled(stack, parts.transpose(1, 2, 0, 3, 4).reshape(3, 3, 4 * c_in, -1))
    return made.reshape(b, t // 2, *made.shape[1:])


def _by_taps(t: int, kt: int, st: int) -> list[tuple[int, int, int, int]]:
    """Output frames of a SAME convolution over time, grouped by the taps of the kernel that fall on frames at all.

    Returns:
      (first frame that is read, number of output frames, first tap, behind the last tap) of each group, in order.
    """
    before, _ = same_padding(t, kt, st)
    groups: list[tuple[int, int, int, int]] = []
    for out in range(-(-t // st)):
        at = out * st - before
        first, last = max(0, -at), min(kt, t - at)
        if groups and groups[-1][2:] == (first, last):
            start, count, *_ = groups[-1]
            groups[-1] = (start, count + 1, first, last)
        else:
            groups.append((at + first, 1, first, last))
    return groups


def conv3d(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int, int] = (1, 1, 1),
    stacked: bool | None = None,
    skip_padding: bool = False,
) -> jax.Array:
    """3-D convolution with SAME padding.

    Args:
      x: [B, T, H, W, C_in], float.
      kernel: [kt, kh, kw, C_in, C_out], float.
      strides: over time, height, width.
      stacked: True for one 2-D convolution over stacked frames, False for XLA's own; None picks by the platform.
      skip_padding: where stacked, frames at the ends have convolutions of their own, without the taps that fall into the
        padding: a ninth of the work for 6 frames, a third for 2, and three programs to compile instead of one.

    Returns:
      [B, ceil(T / st), ceil(H / sh), ceil(W / sw), C_out], float.
    """
    if stacked is None:
        stacked = target_platform() == "cpu"
    if not stacked:
        return lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))
    t, kt, (st, sh, sw) = x.shape[1], kernel.shape[0], strides
    if kernel.shape[:3] == (1, 1, 1):
        # A matrix product of the channels: 20-50 % faster on the CPU than the same as a convolution.
        return x[:, ::st, ::sh, ::sw] @ kernel[0, 0, 0]
    t_out = -(-t // st)
    if skip_padding and kt > 1 and len(groups := _by_taps(t, kt, st)) > 1:
        parts = [_over_stacked(x[:, start:], kernel[first:last], count, strides) for start, count, first, last in groups]
        return jnp.concatenate(parts, axis=1)
    if kt > 1:
        x = jnp.pad(x, ((0, 0), same_padding(t, kt, st), (0, 0), (0, 0), (0, 0)))
    return _over_stacked(x, kernel, t_out, strides)


def _over_stacked(x: jax.Array, kernel: jax.Array, t_out: int, strides: tuple[int, int, int]) -> jax.Array:
    """The first t_out frames of a convolution, VALID over time, as one 2-D convolution over stacked frames."""
    b, _, h, w, c_in = x.shape
    kt, kh, kw, _, c_out = kernel.shape
    st, sh, sw = strides
    # Frame t of the output reads the frames t*st ... t*st + kt - 1: put those side by side in the channels.
    shifted = [lax.slice_in_dim(x, i, i + (t_out - 1) * st + 1, st, axis=1) for i in range(kt)]
    stack = jnp.concatenate(shifted, axis=-1).reshape(b * t_out, h, w, kt * c_in)
    flat_kernel = kernel.transpose(1, 2, 0, 3, 4).reshape(kh, kw, kt * c_in, c_out)
    if (sh, sw) == (1, 1) and kh == kw and kh % 2:
        out = conv2d(stack, flat_kernel)
    else:
        out = lax.conv_general_dilated(stack, flat_kernel, (sh, sw), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return out.reshape(b, t_out, *out.shape[1:])
