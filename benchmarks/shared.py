"""What the benchmarks of training, sampling and growth share: a step to time, its work, the matrix product, the peer.

What counts as the model's work: the multiplications and additions of convolutions and dense layers, as the model's plain
forward pass (native convolutions, a scan) has them; taps that fall on zero padding are left out. A gradient for the weights
and one for the input cost as much as the forward pass each. Not counted, though they take time: norms, gates,
upsampling, spectral norm, Adam, and the first product of each ConvGRU with h_0 = 0, which is counted like the others.
"""

import dataclasses
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Runs from a checkout that is not installed, too.

from dvdgan_lib import devices, sampling
from dvdgan_lib.generator import Generator
from dvdgan_lib.trained_generator import TrainedGenerator
from dvdgan_lib.updates import Updates

ROOT = Path(__file__).resolve().parents[1]
SIZE = 2048


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


class Step:
    """An experiment's step, two updates of D and one of G, on random clips; each call takes one step."""

    def __init__(self, experiment):
        devices.setup()
        devices.keep_memory()
        self.experiment, self.updates = experiment, Updates(experiment)
        m, b = experiment.model, experiment.training.batch_size
        rng = np.random.default_rng(0)
        shape = (b, m.num_frames, m.resolution, m.resolution, 3)
        self.video = jax.device_put(rng.integers(0, 256, shape, np.uint8), self.updates.split)
        self.labels = jax.device_put(rng.integers(0, m.num_classes, b, np.int32), self.updates.split)
        self.state = self.updates.init(0)
        self.updates.compile()

    def __call__(self):
        for update in range(self.experiment.training.d_updates):
            self.state, _ = self.updates.update_d(self.state, self.video, self.labels, np.int32(update))
        self.state, _ = self.updates.update_g(self.state)
        jax.block_until_ready(self.state)


class Sampler:
    """Makes batches of clips by `sampling.generate`, with random weights and statistics."""

    def __init__(self, experiment):
        devices.setup()
        devices.keep_memory()
        rng, size = np.random.default_rng(0), experiment.evaluation.batch_size
        latents, labels = sampling.draw(experiment.model, size, 1.0, (0,))
        shapes = jax.eval_shape(Generator(experiment.model).init, jax.random.key(0), latents, labels)
        random = jax.tree.map(lambda x: 0.1 * rng.normal(size=x.shape).astype(np.float32), shapes)
        standing = jax.tree.map(lambda x: x - x + np.float32(1), random.get("batch_stats", {}))
        self.generator = TrainedGenerator(experiment, random["params"], standing, {}, "")
        self.drawn = latents, labels

    def seconds(self):
        """Of one batch."""
        began = time.perf_counter()
        sampling.generate(self.generator, *self.drawn, progress=False)
        return time.perf_counter() - began


def flop_of_step(updates):
    """Floating-point operations of one step: (those of all D's updates, G's)."""
    m, t = updates.experiment.model, updates.experiment.training
    state, key = updates.abstract_state, jax.random.key(0)
    shape = jax.ShapeDtypeStruct
    clips = lambda n: shape((n, m.num_frames, m.resolution, m.resolution, 3), jnp.float32)  # noqa: E731
    labels = lambda n: shape((n,), jnp.int32)  # noqa: E731
    b = t.batch_size
    with devices.compiling_for("tpu"):  # the plain forms
        of_g = jax.make_jaxpr(lambda p, z, y: updates.generator.apply({"params": p}, z, y, mutable=["batch_stats"]))
        of_d = jax.make_jaxpr(lambda p, *inputs: updates.discriminator.apply({"params": p}, *inputs, key))
        g = of_g(state.g_params, shape((b, m.latent_dim), jnp.float32), labels(b)).jaxpr
        d, both = (of_d(state.d_params, clips(n), labels(n)).jaxpr for n in (b, 2 * b))
    # D: G forward; D on real and fake forward, gradient of its weights, and of its inputs but for the pixels.
    update_d = multiply_adds(g) + 3 * multiply_adds(both) - multiply_adds(both, on_pixels=True)
    # G: G forward and both gradients; D on fakes forward and the gradient of its inputs, pixels included.
    update_g = 3 * multiply_adds(g) + 2 * multiply_adds(d)
    return 2 * t.d_updates * update_d, 2 * update_g


def seconds(function, *arguments):
    began = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - began


def matrix_product():
    """A function that multiplies two float32 matrices of SIZE x SIZE and returns the seconds, compiled."""
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(SIZE, SIZE)), jnp.float32)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    jax.block_until_ready(product(matrix))
    return lambda: seconds(product, matrix)


class Torch:
    """The same model in PyTorch (`dvdgan_torch.py`), in a process of its own that waits between rounds.

    It gets our memory settings too (`devices.setup`), without which it takes longer.
    """

    def __init__(self, experiment):
        m, t = experiment.model, experiment.training
        sizes = dataclasses.asdict(m) | dataclasses.asdict(t)
        sizes |= {"g_widths": m.g_widths, "d_widths": m.d_widths, "sampling_batch": experiment.evaluation.batch_size}
        memory = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_ARENA_MAX": "1"}
        command = [os.environ["TORCH_PYTHON"], str(Path(__file__).with_name("dvdgan_torch.py"))]
        self.process = subprocess.Popen(
            command, env=os.environ | memory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.parameters = json.loads(self._ask(json.dumps(sizes)))  # [G's, D's]

    def _ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def seconds(self, what, threads):
        """Of one "step" or "sample"."""
        self.process.stdin.write(f"threads {threads}\n")
        return float(self._ask(what))

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def torch_or_none(experiment):
    """The peer where TORCH_PYTHON names a Python that has torch."""
    if os.environ.get("TORCH_PYTHON"):
        return Torch(experiment)
    print("beside PyTorch: not measured, TORCH_PYTHON names no Python that has it")
    return None


def met(is_met):
    return "met" if is_met else "MISSED"
