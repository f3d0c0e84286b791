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
from dvdgan_lib.convolution import conv2d, kernel_gradient

ROUNDS = 30


def native(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def native_kernel_gradient(x, g):
    kernel = jnp.zeros((3, 3, x.shape[-1], g.shape[-1]))
    return jax.vjp(lambda kernel: native(x, kernel), kernel)[1](g)[0]


# What it is; ours and XLA's; the shapes of the two arguments.
CASES = [
    ("D_T's last blocks, 2x2", conv2d, native, (48, 2, 2, 128), (3, 3, 128, 128)),
    ("G's pixels, three channels", conv2d, native, (96, 32, 32, 16), (3, 3, 16, 3)),
    ("D, 32x32, gradient for the kernel", kernel_gradient, native_kernel_gradient, (128, 32, 32, 16), (128, 32, 32, 16)),
    ("G, 32x32, gradient for the kernel", kernel_gradient, native_kernel_gradient, (96, 32, 32, 32), (96, 32, 32, 16)),
    ("G, 16x16, gradient for the kernel", kernel_gradient, native_kernel_gradient, (96, 16, 16, 32), (96, 16, 16, 32)),
    ("D, 8x8, gradient for the kernel", kernel_gradient, native_kernel_gradient, (128, 8, 8, 64), (128, 8, 8, 64)),
]


def seconds(function, arguments):
    began = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - began


if __name__ == "__main__":
    devices.setup()
    rng = np.random.default_rng(0)
    for name, ours, theirs, *shapes in CASES:
        arguments = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]
        if ours is kernel_gradient:
            forms = jax.jit(lambda x, g: kernel_gradient(x, g, 3)), jax.jit(theirs)
        else:
            forms = jax.jit(ours), jax.jit(theirs)
        np.testing.assert_allclose(forms[0](*arguments), forms[1](*arguments), rtol=1e-3, atol=1e-2)
        rounds = np.array([[seconds(form, arguments) for form in forms] for _ in range(ROUNDS)])
        mine, xlas = 1e3 * rounds.min(0)
        print(f"{name}: {mine:.2f} ms, XLA's own {xlas:.2f} ms, {xlas / mine:.1f} times as long")
