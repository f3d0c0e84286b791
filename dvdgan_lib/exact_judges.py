"""Judges of claims that need no training: counted, traced, or by the TPU's compiler.

Each takes Evidence and gives a Finding, or None where the evidence lacks what it needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dvdgan_lib import experiments, pods
from dvdgan_lib.attention import self_attention, separable_attention
from dvdgan_lib.configuration import ModelConfig
from dvdgan_lib.discriminators import DualDiscriminator
from dvdgan_lib.layers import Norm
from dvdgan_lib.model_summary import summarize
from dvdgan_lib.spectral_norm import orthogonal_weights
from dvdgan_lib.verdicts import CONTRADICTED, DIRECTION, NOT_SEEN, REPRODUCED, Evidence, Finding, by_factor, weakest


def fewer_pixels(evidence: Evidence) -> Finding:
    """From the shapes that D_S and D_T are called with at the paper's size."""
    summary = summarize(experiments.get("kinetics600_128x128_48f", "paper"))
    seen, whole = sum(summary.pixels.values()), summary.clip_pixels
    share = 1 - seen / whole
    return Finding(
        f"{seen:,} of {whole:,} pixels: {share:.1%} fewer, counted from the shapes that D_S and D_T are called with",
        "paper's size, exact",
        REPRODUCED if round(100 * share) == 58 else CONTRADICTED,
    )


def blindness(model: ModelConfig | None = None) -> dict[str, dict[str, float]]:
    """How much D_T's and D_S's scores change with a video: largest |change|, relative to |score|.

    Random weights: what the objective can't see is no matter of training. D_S sees every frame here (k = T).

    Returns:
      {change: {"temporal": D_T's, "spatial": D_S's}}: "within cells", frames change places that differ within 2x2 cells
      only, around each cell's mean; "between cells", frames change places that differ in these means, too; "pixels", pixels
      change places within the cells of every other frame.
    """
    model = model or dataclasses.replace(
        experiments.get("kinetics600_64x64_12f", "smoke").model, resolution=16, num_frames=4, k=4, num_classes=2
    )
    t, size = model.num_frames, model.resolution
    video = np.random.default_rng(0).uniform(-0.5, 0.5, (2, t, size, size, 3)).astype(np.float32)
    cells = video.reshape(2, t, size // 2, 2, size // 2, 2, 3)
    means = cells.mean((3, 5), keepdims=True)
    one_mean = (cells - means + means[:, :1]).reshape(video.shape)
    swapped = cells[:, :, :, ::-1, :, ::-1].copy()
    swapped[:, 1::2] = cells[:, 1::2]
    labels = np.zeros(2, int)
    module, key = DualDiscriminator(model), jax.random.key(0)

    def scores(both: np.ndarray) -> dict[str, jax.Array]:
        params = orthogonal_weights(module.init(key, both, labels, key)["params"], key)
        return module.apply({"params": params}, both, labels, key)

    run = jax.jit(scores, compiler_options={"xla_backend_optimization_level": 0})

    def change(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
        before, after = jax.device_get((run(before), run(after)))
        return {d: float(np.max(np.abs(after[d] - before[d]) / np.abs(before[d]))) for d in before}

    return {
        "within cells": change(one_mean, one_mean[:, ::-1].copy()),
        "between cells": change(video, video[:, ::-1].copy()),
        "pixels": change(video, swapped.reshape(video.shape)),
    }


def blind_within_cells(evidence: Evidence) -> Finding:
    """Neither score tells in which order frames come that differ within cells; any other change one of them sees."""
    change = blindness()
    unseen = max(change["within cells"].values())
    order, pixels = change["between cells"]["temporal"], change["pixels"]["spatial"]
    return Finding(
        f"frames in another order, which differ within 2x2 cells only: D_S's and D_T's scores move by {unseen:.0e} of "
        f"themselves at most; frames that differ in the cells' means, too: D_T's by {order:.0e}; pixels that change places "
        f"within cells of single frames: D_S's by {pixels:.0e}",
        "random weights, exact but for rounding",
        REPRODUCED if unseen < 1e-4 < min(order, pixels) else CONTRADICTED,
    )


def norms_pass_nothing_on(evidence: Evidence) -> Finding:
    """Where one frame changes, batch norm by time step leaves all others as they were; over all frames it doesn't."""
    before = np.random.default_rng(0).standard_normal((2, 4, 4, 4, 8)).astype(np.float32)
    after = before.copy()
    after[:, 1] = 3 * after[:, 1] + 1
    others = [0, 2, 3]

    def normalized(kind: str, features: np.ndarray) -> np.ndarray:
        scale, offset = Norm(kind).apply({}, features, standing=False)
        return np.asarray(features * scale + offset)

    def moved(kind: str) -> float:
        return float(np.abs(normalized(kind, before) - normalized(kind, after))[:, others].max())

    by_step, over_time = moved("batch"), moved("batch_over_time")
    return Finding(
        f"one of four frames changed: the others' features behind the norm move by {by_step:.0e} at most; with a norm over "
        f"all frames by {over_time:.1f}",
        "any size, exact",
        REPRODUCED if by_step == 0 < over_time else CONTRADICTED,
    )


def hours_on_pods(evidence: Evidence) -> Finding | None:
    """Whether the paper's runs take 12 to 96 hours on the largest slice, by the compiler."""
    rows = [r for (_, preset, slice_), r in evidence.pod_rows.items() if (preset, slice_) == ("paper", "v3-512")]
    rows = [r for r in rows if r["fits"]]
    if len(rows) < 9:
        return None
    hours = {row["experiment"]: row["hours"] for row in rows}
    within = sum(12 <= h <= 96 for h in hours.values())
    near = sum(6 <= h <= 192 for h in hours.values())
    verdict = REPRODUCED if within > len(rows) / 2 else DIRECTION if near > len(rows) / 2 else CONTRADICTED
    listed = ", ".join(f"{name} {h:.0f}" for name, h in sorted(hours.items(), key=lambda item: item[1]))
    return Finding(f"{within} of {len(rows)} runs: {listed} h", "paper's size, v3-512, by the TPU's compiler", verdict)


def sampling_time(evidence: Evidence) -> Finding | None:
    """Two 64x64 48-frame videos on one v3 core, by the compiler."""
    row = evidence.pod_rows.get((pods.SAMPLING, "paper", "v3-1"))
    if row is None:
        return None
    ms = 1e3 * row["step_seconds"]
    floor = 1e3 * row["model_flops"]["sample"] / pods.DEVICES["v3"].peak_flops
    # An estimate for other code is no contradiction of a measurement.
    return Finding(
        f"{ms:.0f} ms; its FLOPs, products with the zeros around each frame among them, take {floor:.0f} ms at peak",
        "paper's size, one v3 core, by the TPU's compiler",
        REPRODUCED if ms <= 150 else NOT_SEEN,
    )


def largest_array(function: Callable, *shapes: tuple[int, ...]) -> int:
    """Elements of the largest array on the way, from the trace: nothing is computed."""
    jaxpr = jax.make_jaxpr(function)(*[jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes])

    def sizes(inner: Any) -> list[int]:
        found = []
        for equation in inner.eqns:
            found += [int(np.prod(variable.aval.shape)) for variable in equation.outvars]
            for value in equation.params.values():
                value = getattr(value, "jaxpr", value)
                found += sizes(value) if hasattr(value, "eqns") else []
        return found

    return max(sizes(jaxpr.jaxpr))


def separable_memory(evidence: Evidence) -> Finding:
    """The largest array of both attentions, against the appendix's formulas; and how far a change at one place reaches."""
    c, found, holds = 4, [], True
    for h, w, t in ((8, 8, 12), (16, 16, 12), (16, 16, 48), (32, 32, 48)):
        weights = [(c, c)] * 3
        full = largest_array(lambda x, q, k, v: self_attention(x, q, k, v), (1, h * w * t, c), *weights)
        of_axis = lambda x, q, k, v: separable_attention(x, [(q, k, v)] * 3)  # noqa: E731
        separable = largest_array(of_axis, (1, h, w, t, c), *weights)
        holds &= full == (h * w * t) ** 2 and separable == h * w * t * max(h, w, t)
        found.append(f"{t}x{h}x{w}: {full:.1e} and {separable:.1e}")
    rng = np.random.default_rng(0)
    # Small weights: a softmax of large correlations chooses one place, and rounds the others' share to nothing.
    before, random = rng.standard_normal((1, 3, 4, 5, c)), rng.standard_normal((3, 3, c, c)) / c
    after = before.copy()
    after[0, 0, 0, 0] += 5
    reached = np.abs(separable_attention(before, random) - separable_attention(after, random)).max(-1) > 1e-4
    return Finding(
        f"largest array, full and separable: {'; '.join(found)}. A change at one place of {reached.size} changes the result "
        f"at {reached.sum()}",
        "exact, from the trace",
        REPRODUCED if holds and reached.all() else CONTRADICTED,
    )


def deep_is_cheaper(evidence: Evidence) -> Finding:
    """FLOPs of a training step with both kinds of blocks at the paper's size; and seconds, where such runs have a curve.

    FLOPs are not time, and a step's time depends on what else the machine did: neither alone carries the claim.
    """
    step = {}
    for name in ("kinetics600_64x64_12f", "biggan_deep"):
        flops = pods.model_flops(experiments.get(name, "paper"))
        step[name] = 2 * flops["d"] + flops["g"]
    ratio = step["kinetics600_64x64_12f"] / step["biggan_deep"]
    measured = f"a step with BigGAN's blocks takes {ratio:.2f} times the FLOPs of one with BigGAN-deep's"
    size, verdict = "paper's size, counted", by_factor(ratio)
    runs = [evidence.curves.get(name, ()) for name in ("phi_pool2", "biggan_deep")]
    if all(runs):
        seconds = [float(np.mean([curve.seconds_per_step for curve in run])) for run in runs]
        measured += f"; as trained, {seconds[0]:.2f} and {seconds[1]:.2f} s a step, {seconds[0] / seconds[1]:.2f} times"
        seeds = f"{len(runs[0])}/{len(runs[1])} seeds"
        size += f"; times at {runs[1][0].card['preset']}, {seeds}, on a machine that did other work, too"
        verdict = weakest(verdict, by_factor(seconds[0] / seconds[1]))
    return Finding(measured, size, verdict)
