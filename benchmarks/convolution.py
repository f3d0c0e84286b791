"""The forms of a convolution that the CPU takes beside XLA's own, in one run, at shapes of a laptop's training step.

    python benchmarks/convolution.py

Rounds of the two alternate, so that other load on the machine falls on both alike; the best round of each counts.
"""

import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Runs from a checkout that is not installed, too.

from dvdgan_lib import devices
from dvdgan_lib.convolution import conv2d, conv2d_of_upsampled, conv2d_pooled, conv3d, conv3d_pooled
from dvdgan_lib.layers import average_pool, average_pool_3d, upsample

ROUNDS = 30


def native(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def upsampled(x, kernel):
    return native(upsample(x), kernel)


def pooled(x, kernel):
    return average_pool(native(x, kernel))


def pooled_3d(x, kernel):
    return average_pool_3d(conv3d(x, kernel))


# What it is; ours and the plain form; the shapes of x and of the kernel.
CASES = [
    ("D_T's last blocks, 2x2", conv2d, native, (48, 2, 2, 128), (3, 3, 128, 128)),
    ("G's pixels, three channels", conv2d, native, (96, 32, 32, 16), (3, 3, 16, 3)),
    ("G, upsampled to 32x32", conv2d_of_upsampled, upsampled, (96, 16, 16, 16), (3, 3, 16, 16)),
    ("D, pooled to 16x16", conv2d_pooled, pooled, (128, 32, 32, 16), (3, 3, 16, 16)),
    ("D_T, pooled to 8x8 (beside stacked frames)", conv3d_pooled, pooled_3d, (16, 12, 16, 16, 16), (3, 3, 3, 16, 16)),
]


def with_gradients(convolution):
    """A function of x and the kernel that gives the value and both gradients, as training needs them."""

    def of(x, kernel):
        y, backward = jax.vjp(convolution, x, kernel)
        return y, *backward(y)

    return of


def seconds(function, arguments):
    began = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - began


if __name__ == "__main__":
    devices.setup()
    devices.keep_memory()
    rng = np.random.default_rng(0)
    for name, ours, theirs, *shapes in CASES:
        arguments = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]
        forms = [jax.jit(with_gradients(form)) for form in (ours, theirs)]
        for mine, wanted in zip(*(form(*arguments) for form in forms), strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-3, atol=1e-2 * np.abs(wanted).max())
        rounds = np.array([[seconds(form, arguments) for form in forms] for _ in range(ROUNDS)])
        mine, xlas = 1e3 * rounds.min(0)
        print(f"{name}: {mine:.2f} ms, the plain form {xlas:.2f} ms, {xlas / mine:.1f} times as long")
