"""A training step on the CPU beside the fastest thing the machine does, in one run; and how soon a run starts.

    python benchmarks/training.py

1. A laptop step of kinetics600_64x64_12f (two updates of D, one of G) against a float32 matrix product of 2048 x 2048.
   Rounds of each alternate, so that other load on the machine falls on both alike; the best round of each is reported.
   Bar: a third of the product.
2. The time from the start of `python -m dvdgan_lib.training` to its first step being logged: of a new run; of another new
   run, whose programs are in the compilation cache; and of the second one started again, which goes on from its
   checkpoint. Bar for the last: 15 s.

What counts as the model's work: the multiplications and additions of convolutions and dense layers, as the model's plain
forward pass (native convolutions, a scan) has them; taps that fall on zero padding are left out. A gradient for the weights
and one for the input cost as much as the forward pass each. Not counted, though they take time: norms, gates,
upsampling, spectral norm, Adam, and the first product of each ConvGRU with h_0 = 0, which is counted like the others.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Runs from a checkout that is not installed, too.

from dvdgan_lib import devices, experiments
from dvdgan_lib.updates import Updates

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENT = "kinetics600_64x64_12f"
ROUNDS, SIZE, PRODUCTS = 6, 2048, 12
BAR, START_BAR = 1 / 3, 15.0


def products_of_convolution(equation):
    """(multiply-adds of one convolution with padded taps left out, its input channels)."""
    x, kernel = (variable.aval.shape for variable in equation.invars)
    out, p = equation.outvars[0].aval.shape, equation.params
    spec = p["dimension_numbers"]
    total = out[spec.out_spec[0]] * kernel[spec.rhs_spec[0]] * kernel[spec.rhs_spec[1]]
    for axis in range(2, len(x)):
        size, taps = x[spec.lhs_spec[axis]], kernel[spec.rhs_spec[axis]]
        (before, _), stride = p["padding"][axis - 2], p["window_strides"][axis - 2]
        positions = np.arange(out[spec.out_spec[axis]])[:, None] * stride + np.arange(taps) - before
        total *= int(((positions >= 0) & (positions < size)).sum())
    return total, kernel[spec.rhs_spec[1]]


def multiply_adds(jaxpr, on_pixels=False):
    """Multiply-adds of all convolutions and products in a jaxpr; `on_pixels`: only those that read three channels."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            products, channels = products_of_convolution(equation)
            total += products if channels == 3 or not on_pixels else 0
        elif equation.primitive.name == "dot_general" and not on_pixels:
            (contracted, _), _ = equation.params["dimension_numbers"]
            x = equation.invars[0].aval.shape
            total += math.prod(equation.outvars[0].aval.shape) * math.prod(x[axis] for axis in contracted)
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for inner in jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                total += times * multiply_adds(inner, on_pixels)
    return total


def flop_of_step(updates, state, video, labels):
    """Floating-point operations of one step, by update."""
    t, key = updates.experiment.training, jax.random.key(0)
    latents = jnp.zeros((len(labels), updates.experiment.model.latent_dim))
    both, both_labels = jnp.concatenate([video, video]), jnp.concatenate([labels, labels])
    with mock.patch.object(jax, "default_backend", return_value="tpu"):  # the plain forms
        of_g = jax.make_jaxpr(lambda p: updates.generator.apply({"params": p}, latents, labels, mutable=["batch_stats"]))
        of_d = jax.make_jaxpr(lambda p, *inputs: updates.discriminator.apply({"params": p}, *inputs, key))
        g = of_g(state.g_params).jaxpr
        d, d_both = of_d(state.d_params, video, labels).jaxpr, of_d(state.d_params, both, both_labels).jaxpr
    # D: G forward; D on real and fake forward, gradient of its weights, and of its inputs but for the pixels.
    update_d = multiply_adds(g) + 3 * multiply_adds(d_both) - multiply_adds(d_both, on_pixels=True)
    # G: G forward and both gradients; D on fakes forward and the gradient of its inputs, pixels included.
    update_g = 3 * multiply_adds(g) + 2 * multiply_adds(d)
    return 2 * t.d_updates * update_d, 2 * update_g


def speed():
    """Part 1; returns the fraction of the matrix product's rate."""
    devices.setup()
    experiment = experiments.get(EXPERIMENT, "laptop")
    m, t = experiment.model, experiment.training
    updates = Updates(experiment)
    rng = np.random.default_rng(0)
    video = jnp.asarray(rng.integers(0, 256, (t.batch_size, m.num_frames, m.resolution, m.resolution, 3), np.uint8))
    labels = jnp.asarray(rng.integers(0, m.num_classes, t.batch_size, np.int32))
    matrix = jnp.asarray(rng.normal(size=(SIZE, SIZE)), jnp.float32)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    state = updates.init(0)
    of_d, of_g = flop_of_step(updates, state, video.astype(jnp.float32), labels)

    def step(state):
        for update in range(t.d_updates):
            state, _ = updates.update_d(state, video, labels, update)
        return jax.block_until_ready(updates.update_g(state)[0])

    state = step(state)  # compiles
    jax.block_until_ready(product(matrix))
    products, steps = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(PRODUCTS):
            jax.block_until_ready(product(matrix))
        products.append((time.perf_counter() - began) / PRODUCTS)
        began = time.perf_counter()
        state = step(state)
        steps.append(time.perf_counter() - began)
    peak, rate = 2 * SIZE**3 / min(products) / 1e9, (of_d + of_g) / min(steps) / 1e9
    print(f"{EXPERIMENT}, laptop: {m.num_frames} frames of {m.resolution}x{m.resolution}, batch {t.batch_size}, ch {m.ch}")
    print(f"matrix product {SIZE}^3: {peak:.0f} GFLOP/s (median {2 * SIZE**3 / np.median(products) / 1e9:.0f})")
    print(f"work of a step: {of_d / 1e9:.1f} GFLOP in D's {t.d_updates} updates, {of_g / 1e9:.1f} in G's")
    print(f"step: {min(steps):.2f} s (median {np.median(steps):.2f}), {rate:.0f} GFLOP/s")
    print(f"fraction of the product: {rate / peak:.2f} (bar {BAR:.2f}: {'met' if rate >= BAR * peak else 'MISSED'})")
    return rate / peak


def seconds_to_first_step(workdir, steps):
    """Part 2, one start; polls for the first line that it adds to metrics.jsonl."""
    command = [sys.executable, "-m", "dvdgan_lib.training", EXPERIMENT, "--workdir", workdir, "--steps", str(steps)]
    log = Path(workdir) / "laptop" / EXPERIMENT / "metrics.jsonl"
    lines = lambda: log.read_text().count("\n") if log.exists() else 0  # noqa: E731
    before, began, found = lines(), time.perf_counter(), None
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=workdir, env=os.environ | {"PYTHONPATH": str(ROOT)}, **quiet) as process:
        while process.poll() is None:
            if found is None and lines() > before:
                found = time.perf_counter() - began
                assert json.loads(log.read_text().splitlines()[-1])["step"] == steps
            time.sleep(0.05)
        if process.returncode:
            raise SystemExit(f"training ended with {process.returncode}")
    return found


def start():
    """Part 2; returns the seconds to the first step of a run that goes on."""
    with tempfile.TemporaryDirectory() as workdir:
        print(f"a new run: {seconds_to_first_step(workdir, 1):.1f} s to the first step")
    with tempfile.TemporaryDirectory() as workdir:
        print(f"another, compiled before: {seconds_to_first_step(workdir, 1):.1f} s")
        seconds = seconds_to_first_step(workdir, 2)
    print(f"started again: {seconds:.1f} s (bar {START_BAR:.0f} s: {'met' if seconds <= START_BAR else 'MISSED'})")
    return seconds


if __name__ == "__main__":
    fraction = speed()
    sys.exit(0 if start() <= START_BAR and fraction >= BAR else 1)
