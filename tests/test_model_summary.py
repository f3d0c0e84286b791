"""Costs of the model: against closed forms, XLA's own count, the traced programs, and the paper's numbers."""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from dvdgan_lib import configuration, experiments, model_summary
from dvdgan_lib.discriminators import DualDiscriminator
from dvdgan_lib.generator import Generator
from dvdgan_lib.layers import Conv3D
from dvdgan_lib.model_summary import _RULES, summarize

SMALL = configuration.ModelConfig(
    resolution=16, num_frames=3, num_classes=5, ch=4, latent_dim=6, embedding_dim=3, k=2, phi="identity"
)


def part(summary, name):
    [found] = [part for part in summary.parts if part.name == name]
    return found


def test_pixels_are_those_of_section_3_1():
    summary = summarize(experiments.get("kinetics600_128x128_48f", "paper"))
    assert summary.clip_pixels == 786_432
    assert sum(summary.pixels.values()) == 327_680
    assert round(100 * (1 - 327_680 / summary.clip_pixels)) == 58


@pytest.mark.parametrize(
    ("change", "pixels"),
    [
        ({"phi": "pool2"}, {"spatial": 2 * 256, "temporal": 3 * 64}),
        ({"phi": "identity", "k": 1}, {"spatial": 256, "temporal": 3 * 256}),
        ({"phi": "crop", "spatial_discriminator": False}, {"temporal": 3 * 64}),
        ({"phi": "pool4", "conditioning_frames": 2}, {"spatial": 2 * 256, "temporal": 5 * 16}),
    ],
)
def test_pixels_follow_k_phi_and_the_given_frames(change, pixels):
    assert summarize(dataclasses.replace(SMALL, **change)).pixels == pixels


@pytest.mark.parametrize("name", ["kinetics600_64x64_12f", "kinetics600_fp_64x64_5to11", "biggan_deep"])
def test_parameters_are_those_of_the_model(name):
    model = experiments.get(name, "smoke").model
    video = jnp.zeros((1, model.clip_frames, model.resolution, model.resolution, 3))
    given = video[:, : model.conditioning_frames] if model.conditioning_frames else None
    labels, key = jnp.zeros(1, jnp.int32), jax.random.key(0)
    latents = jnp.zeros((1, model.latent_dim))
    size = lambda init: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(jax.eval_shape(init)["params"]))  # noqa: E731
    g = size(lambda: Generator(model).init(key, latents, labels, conditioning=given))
    d = size(lambda: DualDiscriminator(model).init(key, video, labels, key))
    parts = summarize(model).parts
    assert sum(part.parameters for part in parts if part.name.startswith("G: ")) == g
    assert sum(part.parameters for part in parts if not part.name.startswith("G: ")) == d


def test_convolution_costs_what_xla_says():
    """XLA counts no products with padding: it is given the padded input, and a VALID convolution."""
    x, kernel = jnp.zeros((2, 5, 10, 8, 6)), jnp.zeros((3, 3, 3, 6, 7))
    lowered = jax.jit(
        lambda x, kernel: jax.lax.conv_general_dilated(
            x, kernel, (1, 1, 1), "VALID", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
        )
    ).lower(x, kernel)
    counted = _RULES[Conv3D](Conv3D(7), jnp.zeros((2, 3, 8, 6, 6)))
    assert 2 * counted == lowered.cost_analysis()["flops"]


def test_closed_forms_of_small_parts():
    summary = summarize(SMALL)
    frames, ch = 3, 4
    # Affine map to 4x4x8ch; ConvGRUs of widths 8ch (one input for all frames) and 4ch; the last convolution to RGB.
    assert part(summary, "G: embedding and affine map").multiply_adds == (6 + 3) * 16 * 8 * ch
    first = 16 * 27 * (8 * ch) ** 2 * (1 + frames)
    second = 64 * 27 * (4 * ch) ** 2 * (frames + frames)
    assert part(summary, "G: ConvGRUs").multiply_adds == first + second
    assert part(summary, "G: final norm and convolution").multiply_adds == frames * 256 * 9 * 2 * ch * 3
    assert part(summary, "G: final norm and convolution").flops == 2 * frames * 256 * 9 * 2 * ch * 3


def multiply_adds(jaxpr):
    """Of all convolutions and matrix products of a traced program, those in loops once for each turn."""
    total = 0
    for equation in jaxpr.eqns:
        shapes = [variable.aval.shape for variable in equation.invars]
        out = equation.outvars[0].aval.shape if equation.outvars else ()
        if equation.primitive.name == "conv_general_dilated":
            total += math.prod(out) * math.prod(shapes[1][:-1])  # kernels end with the output's channels
        elif equation.primitive.name == "dot_general":
            contracted = equation.params["dimension_numbers"][0][0]
            total += math.prod(out) * math.prod(shapes[0][axis] for axis in contracted)
        for key in ("jaxpr", "call_jaxpr"):
            if key in equation.params:
                inner = getattr(equation.params[key], "jaxpr", equation.params[key])
                total += multiply_adds(inner) * equation.params.get("length", 1)
    return total


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"blocks": "biggan_deep", "phi": "crop"},
        {"conditioning_frames": 2, "block_norm": False},
        {"resolution": 32, "attention": "separable", "phi": "identity"},
        {"resolution": 32, "attention": "full", "final_norm": False},
    ],
)
def test_multiply_adds_are_those_of_the_traced_program(change, monkeypatch):
    """Traced as for an accelerator, where convolutions have XLA's own form."""
    model = dataclasses.replace(SMALL, **{"attention_size": 16, **change})
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    video = jnp.zeros((1, model.clip_frames, model.resolution, model.resolution, 3))
    given = video[:, : model.conditioning_frames] if model.conditioning_frames else None
    labels, key, latents = jnp.zeros(1, jnp.int32), jax.random.key(0), jnp.zeros((1, model.latent_dim))
    g, d = Generator(model), DualDiscriminator(model)
    params = jax.eval_shape(lambda: (g.init(key, latents, labels, conditioning=given), d.init(key, video, labels, key)))
    run = lambda p: (g.apply(p[0], latents, labels, conditioning=given), d.apply(p[1], video, labels, key))  # noqa: E731
    traced = multiply_adds(jax.make_jaxpr(run)(params).jaxpr)
    assert sum(part.multiply_adds for part in summarize(model).parts) == traced


def test_a_kernel_that_nothing_counts_is_an_error(monkeypatch):
    monkeypatch.delitem(_RULES, nn.Dense)
    with pytest.raises(NotImplementedError, match="affine has a kernel, and nothing here counts what it costs"):
        summarize(SMALL)


def test_the_largest_model_takes_seconds(monkeypatch):
    """Not by the clock: none of its ConvGRUs is traced for more than a frame."""
    from dvdgan_lib import conv_gru

    steps = []
    original = conv_gru._step
    monkeypatch.setattr(conv_gru, "_step", lambda *args: steps.append(1) or original(*args))
    model_summary.summarize(experiments.get("kinetics600_128x128_48f", "paper"))
    assert len(steps) == 5  # one a ConvGRU
