"""What a model costs: parameters, multiply-adds and pixels of each part, from the shapes of its own modules' calls.

The model is traced, not run, so that the paper's largest takes seconds on a laptop. Convolutions and matrix products are
counted as this code does them (a shortcut's 1x1 convolution at the lower resolution, say), zero padding included; what works
element by element (norms, ReLU, gates) is not.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from dvdgan_lib.attention import Attention
from dvdgan_lib.configuration import Experiment, ModelConfig
from dvdgan_lib.conv_gru import ConvGRU
from dvdgan_lib.diagrams import one_frame
from dvdgan_lib.discriminators import DualDiscriminator, Score, SpatialDiscriminator, TemporalDiscriminator
from dvdgan_lib.generator import Generator
from dvdgan_lib.layers import Conv2D, Conv3D

# The parts of the table, by the start of a module's path in G and D.
_G_PARTS = {
    "embedding": "G: embedding and affine map",
    "affine": "G: embedding and affine map",
    "encoder": "G: encoder of given frames",
    "gru": "G: ConvGRUs",
    "block": "G: residual blocks",
    "attention": "G: attention",
    "final": "G: final norm and convolution",
    "to": "G: final norm and convolution",
}
_D_PARTS = {"spatial": "D_S", "temporal": "D_T"}


@dataclass(frozen=True)
class Part:
    """A part of the model; costs are those of a forward pass for one clip."""

    name: str
    parameters: int
    multiply_adds: int

    @property
    def flops(self) -> int:
        """Two for each multiply-add."""
        return 2 * self.multiply_adds


@dataclass(frozen=True)
class Summary:
    """The parts in the order of the computation, and the pixels of a clip that each discriminator sees (section 3.1)."""

    parts: tuple[Part, ...]
    pixels: dict[str, int]  # by discriminator: "spatial", "temporal"
    clip_pixels: int  # H x W x T of the whole clip


# --- Multiply-adds of one call: of the module's own work, without that of its submodules ---


def _of_conv(module: Conv2D | Conv3D, x: jax.Array, axes: int) -> int:
    # Of the plain form, an upsampling before it and a pooling behind it; the CPU's own takes fewer.
    pixels = 4 if getattr(module, "up", False) else 1
    return pixels * math.prod(x.shape) * module.size**axes * module.features


def _of_gru(module: ConvGRU, x: jax.Array, num_frames: int, initial: jax.Array | None = None) -> int:
    b, steps, height, width, c_in = x.shape
    c = module.features
    # Three kernels of 3x3, on x once for each frame that it has, on h once for each frame that is made.
    return b * height * width * 9 * 3 * c * (steps * c_in + num_frames * c)


def _of_attention(module: Attention, x: jax.Array) -> int:
    b, t, h, w, c = x.shape
    seen = [t * h * w] if module.kind == "full" else list((t, h, w) if t > 1 else (h, w))
    # Queries, keys and values; then correlations with the positions seen, and the sum over them.
    return sum(b * t * h * w * (3 * c * c + 2 * size * c) for size in seen)


_RULES: dict[type, Callable[..., int]] = {
    Conv2D: lambda module, x: _of_conv(module, x, 2),
    Conv3D: lambda module, x: _of_conv(module, x, 3),
    nn.Dense: lambda module, inputs: math.prod(inputs.shape) * module.features,
    nn.Embed: lambda module, inputs: 0,  # a row is looked up
    ConvGRU: _of_gru,
    Attention: _of_attention,
    Score: lambda module, x, labels: math.prod(x.shape[:2]) * x.shape[-1],  # e(y).h for each frame
}


def _trace(
    module: nn.Module, inputs: dict[str, Any], **fixed: Any
) -> tuple[dict, dict[tuple[str, ...], int], dict[str, tuple]]:
    """Parameter shapes, multiply-adds by path of the module, and the input shapes of D_S and D_T."""
    counted: dict[tuple[str, ...], int] = {}
    seen: dict[str, tuple] = {}

    def count(next_method: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
        module = context.module
        if context.method_name == "__call__":
            call = inspect.signature(type(module).__call__).bind(module, *args, **kwargs).arguments
            own = {name: value for name, value in call.items() if name != "self"}
            if type(module) in _RULES:
                counted[module.path] = counted.get(module.path, 0) + _RULES[type(module)](module, **own)
            elif isinstance(module, SpatialDiscriminator | TemporalDiscriminator):
                seen[module.path[-1]] = next(iter(own.values())).shape
        return next_method(*args, **kwargs)

    # The interceptor entered first is asked first: it sees the whole of T, whatever `one_frame` then leaves out.
    with nn.intercept_methods(count), nn.intercept_methods(one_frame):
        shapes = jax.eval_shape(lambda inputs: module.init(jax.random.key(0), **inputs, **fixed), inputs)["params"]
    for path in flatten_dict(shapes):
        if path[-1].endswith("kernel") and path[:-1] not in counted:
            raise NotImplementedError(f"{'/'.join(path[:-1])} has a kernel, and nothing here counts what it costs.")
    return shapes, counted, seen


def summarize(experiment: Experiment | ModelConfig) -> Summary:
    """Counts a model, for one clip.

    Args:
      experiment: a run, or its model's configuration alone.

    Raises:
      NotImplementedError: a module with a kernel that has no rule here.
    """
    model = dataclasses.replace(experiment.model if isinstance(experiment, Experiment) else experiment, remat=False)
    array = lambda *shape, dtype=jnp.float32: jax.ShapeDtypeStruct((1, *shape), dtype)  # noqa: E731
    labels, frame = array(dtype=jnp.int32), (model.resolution, model.resolution, 3)
    g_inputs = {"latents": array(model.latent_dim), "labels": labels}
    if model.conditioning_frames:
        g_inputs["conditioning"] = array(model.conditioning_frames, *frame)
    d_inputs = {"video": array(model.clip_frames, *frame), "labels": labels}
    totals: dict[str, list[int]] = {}
    pixels = {}
    for module, names, inputs, fixed in (
        (Generator(model), _G_PARTS, g_inputs, {}),
        (DualDiscriminator(model), _D_PARTS, d_inputs, {"key": jax.random.key(0)}),
    ):
        shapes, counted, seen = _trace(module, inputs, **fixed)
        part = lambda path, names=names: names[path[0].split("_")[0]]  # noqa: E731
        for path, leaf in flatten_dict(shapes).items():
            totals.setdefault(part(path), [0, 0])[0] += math.prod(leaf.shape)
        for path, multiply_adds in counted.items():
            totals[part(path)][1] += multiply_adds
        pixels |= {name: math.prod(shape[1:-1]) for name, shape in seen.items()}
    order = [*dict.fromkeys([*_G_PARTS.values(), *_D_PARTS.values()])]
    parts = tuple(Part(name, *totals[name]) for name in order if name in totals)
    return Summary(parts, pixels, model.clip_frames * model.resolution**2)
