"""A training step on the CPU beside its convolutions, a matrix product and PyTorch, in one run; and how soon a run starts.

    python benchmarks/training.py             the step
    python benchmarks/training.py --start     the start
    TORCH_PYTHON=/path/to/python python benchmarks/training.py     also beside PyTorch, from an environment that has it

The step is a laptop's of kinetics600_64x64_12f: two updates of D, one of G. Rounds of everything alternate, so that other
load on the machine falls on all alike; the best round of each counts. Bars: its time over the sum of its convolutions' own
times (1.4), and below that of a plain PyTorch model (`dvdgan_torch.py`). What counts as its work: see `shared.py`.

A convolution's own time is that of one of FORMS, and of its two gradients, each alone in a program at the shapes at which
the step calls it, its arguments warm in the cache, and less what the launch of a program takes. A gradient that the step
doesn't need (D's weights in G's update, pixels in D's) isn't counted.

The start is the time from `python -m dvdgan_lib.training` to the first step in its progress bar: of a new run with an empty
cache of compiled programs (bar 45 s), of another with a full one (8 s), and of that one again, going on from its checkpoint.
"""

import argparse
import collections
import contextlib
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from shared import ROOT, SIZE, Step, flop_of_step, matrix_product, met, seconds, torch_or_none

from dvdgan_lib import conv_gru, convolution, experiments, layers

EXPERIMENT = "kinetics600_64x64_12f"
ROUNDS, PRODUCTS = 6, 6
FORMS = {
    name: getattr(convolution, name)
    for name in ("conv2d", "conv3d", "conv2d_of_upsampled", "conv2d_pooled", "conv3d_pooled")
}
CONVOLUTIONS_BAR, COLD_BAR, WARM_BAR = 1.4, 45.0, 8.0


def calls(apply, *inputs):
    """The convolutions of a forward pass: {(form, shape of x, shape of the kernel): how often}.

    Forms: a name of FORMS, or of a ConvGRU's recurrence "gru", by the shape of one frame, counted once a frame.
    """
    counted = collections.Counter()

    def recorded(form, function):
        def record(x, kernel):
            counted[form, x.shape, kernel.shape] += 1
            return function(x, kernel)

        return record

    def unrolled(from_x, initial, of_h, candidate_of_rh):
        for kernel in (of_h, candidate_of_rh):
            counted["gru", initial.shape, kernel.shape] += from_x.shape[1]
        return jnp.zeros((*from_x.shape[:-1], initial.shape[-1]))

    with contextlib.ExitStack() as patches:
        for name, function in FORMS.items():
            patches.enter_context(mock.patch.object(layers, name, recorded(name, function)))
        patches.enter_context(mock.patch.object(conv_gru, "conv2d", recorded("conv2d", convolution.conv2d)))
        patches.enter_context(mock.patch.object(conv_gru, "_unrolled", unrolled))
        jax.eval_shape(apply, *inputs)
    return counted


def convolutions(updates):
    """What the step runs: {(what, form, shape of x, shape of the kernel): how often}; what: "y", "dx", "dw"."""
    m, t = updates.experiment.model, updates.experiment.training
    b, key, state = t.batch_size, jax.random.key(0), updates.abstract_state
    shape = jax.ShapeDtypeStruct
    clips = lambda n: shape((n, m.num_frames, m.resolution, m.resolution, 3), jnp.float32)  # noqa: E731
    labels = lambda n: shape((n,), jnp.int32)  # noqa: E731
    of_g = lambda p, z, y: updates.generator.apply({"params": p}, z, y, mutable=["batch_stats"])  # noqa: E731
    of_d = lambda p, *inputs: updates.discriminator.apply({"params": p}, *inputs, key)  # noqa: E731
    g = calls(of_g, state.g_params, shape((b, m.latent_dim), jnp.float32), labels(b))
    d, both = (calls(of_d, state.d_params, clips(n), labels(n)) for n in (b, 2 * b))
    total = collections.Counter()
    for times, counted, gradients in (
        (t.d_updates, g, ()),
        (t.d_updates, both, ("dx", "dw")),
        (1, g, ("dx", "dw")),
        (1, d, ("dx",)),
    ):
        for (form, x, kernel), n in counted.items():
            total["y", form, x, kernel] += times * n
            # Real clips and fakes have no gradient in D's updates; in G's the pixels are G's.
            if "dx" in gradients and not (x[-1] == 3 and counted is both):
                total["dx", form, x, kernel] += times * n
            if "dw" in gradients and form == "gru":  # one product over all frames
                total["dw", form, (m.num_frames * x[0], *x[1:]), kernel] += times * n // m.num_frames
            elif "dw" in gradients:
                total["dw", form, x, kernel] += times * n
    return total


def program(what, form, x_shape, kernel_shape):
    """One of `convolutions` as a jitted function, and random arguments for it."""
    rng = np.random.default_rng(0)
    random = lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    form = FORMS.get(form, convolution.conv2d) if what != "dw" or form != "gru" else None
    x, kernel = random(x_shape), random(kernel_shape)
    if form is None:
        size, y = kernel_shape[0], random((*x_shape[:-1], kernel_shape[-1]))
        return jax.jit(lambda x, y: convolution.kernel_gradient(x, y, size)), (x, y)
    if what == "y":
        return jax.jit(form), (x, kernel)
    y = random(jax.eval_shape(form, x, kernel).shape)
    if what == "dx":  # linear in x, so that it doesn't matter where it is taken
        return jax.jit(lambda kernel, y: jax.vjp(lambda x: form(x, kernel), jnp.zeros(x_shape))[1](y)), (kernel, y)
    return jax.jit(lambda x, y: jax.vjp(lambda kernel: form(x, kernel), jnp.zeros(kernel_shape))[1](y)), (x, y)


def speed(verbose=False):
    """Prints the step beside its limits; whether the bars are met."""
    experiment = experiments.get(EXPERIMENT, "laptop")
    m, t = experiment.model, experiment.training
    step, product, peer = Step(experiment), matrix_product(), torch_or_none(experiment)
    counted = convolutions(step.updates)
    programs = [program(*call) for call in counted]
    launch = jax.jit(lambda x: x + 1), (jnp.zeros(()),)
    work = [step, product, *[lambda f=f, a=a: seconds(f, *a) for f, a in [*programs, launch]]]
    if peer:
        ours = [sum(math.prod(x.shape) for x in jax.tree.leaves(p)) for p in (step.state.g_params, step.state.d_params)]
        print(f"parameters of G and D: {ours}; PyTorch's: {peer.parameters}")
    for warm_up in work:
        warm_up()
    steps, products, own, peers = [], [], [], []
    for _ in range(ROUNDS):
        steps.append(seconds(step))
        products.append(min(product() for _ in range(PRODUCTS)))
        own.append([min(run() for _ in range(4)) for run in work[2:]])
        if peer:
            peers.append([peer.seconds("step", threads) for threads in (1, os.cpu_count())])
    own = np.min(own, 0)
    own, launch = np.maximum(own[:-1] - own[-1], 0.0), own[-1]
    parts = own * np.array(list(counted.values()))
    if verbose:
        for i in np.argsort(-parts):
            (what, form, x, kernel), times = list(counted.items())[i]
            print(f"  {1e3 * parts[i]:6.1f} ms: {times:3} x {1e3 * own[i]:6.2f}  {what:2} {form} {x} {kernel}")
    of_d, of_g = flop_of_step(step.updates)
    peak, rate = 2 * SIZE**3 / min(products) / 1e9, (of_d + of_g) / min(steps) / 1e9
    ratio = min(steps) / parts.sum()
    print(f"{EXPERIMENT}, laptop: {m.num_frames} frames of {m.resolution}x{m.resolution}, batch {t.batch_size}, ch {m.ch}")
    print(f"step: {min(steps):.3f} s (median {np.median(steps):.3f})")
    print(
        f"its {sum(counted.values())} convolutions ({len(counted)} different), each alone: {parts.sum():.3f} s in all",
        end="; ",
    )
    print(f"the step over that: {ratio:.2f} (bar {CONVOLUTIONS_BAR}: {met(ratio <= CONVOLUTIONS_BAR)})")
    print(
        f"work of a step: {of_d / 1e9:.1f} GFLOP in D's {t.d_updates} updates, {of_g / 1e9:.1f} in G's: {rate:.0f} GFLOP/s",
        end="; ",
    )
    print(f"matrix product {SIZE}^3: {peak:.0f}; fraction: {rate / peak:.2f}")
    if not peer:
        return ratio <= CONVOLUTIONS_BAR
    peer.end()
    one, all_ = np.min(peers, 0)
    faster = min(one, all_) / min(steps)
    print(f"PyTorch: {one:.3f} s with one thread, {all_:.3f} s with {os.cpu_count()}; ", end="")
    print(f"ours is {faster:.2f} times as fast as the better (bar 1: {met(faster > 1)})")
    return ratio <= CONVOLUTIONS_BAR and faster > 1


def seconds_to_first_step(workdir, cache):
    """One start, up to the first step that the progress bar shows; then SIGTERM, at which the run saves itself and ends."""
    command = [sys.executable, "-m", "dvdgan_lib.training", EXPERIMENT, "--workdir", workdir]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVDGAN_CACHE": cache}
    began, shown, found = time.perf_counter(), b"", None
    with subprocess.Popen(
        command, cwd=workdir, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        steps = []  # what the bar shows: where it began, and then the first number that is another
        while found is None and (read := os.read(process.stderr.fileno(), 4096)):
            shown += read
            steps = [int(number) for number in re.findall(rb"\| (\d+)/\d+ \[", shown)]
            if steps and steps[-1] > steps[0]:
                found = time.perf_counter() - began
        process.send_signal(signal.SIGTERM)
        shown += process.stderr.read()
    if found is None:
        raise SystemExit(f"training ended with {process.returncode}: {shown[-500:].decode()}")
    return found


def start():
    """Prints the seconds to the first step; whether the bars are met."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        taken = []
        for name in ("one", "two", "two"):
            (folder / name).mkdir(exist_ok=True)
            taken.append(seconds_to_first_step(str(folder / name), str(folder / "cache")))
    cold, warm, again = taken
    print(f"cold start to the first step: {cold:.1f} s (bar {COLD_BAR:.0f} s: {met(cold <= COLD_BAR)})")
    print(f"warm, a new run: {warm:.1f} s (bar {WARM_BAR:.0f} s: {met(warm <= WARM_BAR)}); one that goes on: {again:.1f} s")
    return cold <= COLD_BAR and warm <= WARM_BAR


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--start", action="store_true", help="how soon a run starts, instead of the step")
    parser.add_argument("--verbose", action="store_true", help="list the convolutions too, the longest first")
    args = parser.parse_args()
    sys.exit(0 if (start() if args.start else speed(args.verbose)) else 1)
