"""The I3D network of Carreira and Zisserman (2017), for inference: what FID, FVD and IS see of a video.

"I3D-K400" is the network of the original FVD (TF-Hub's `deepmind/i3d-kinetics-400/1`). The paper's own FID and IS use
"I3D-K600", whose weights have to be fetched by hand (`weights.HOW_TO_GET`); numbers from the one never stand in for the
other's: results carry their network's name.

A 224x224 frame costs 3.0 GFLOP.
"""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dvdgan_lib.convolution import conv3d, same_padding
from dvdgan_lib.metrics import weights as weights_lib

# Classes of each network, which is named after the Kinetics set that it was trained on.
NETWORKS = {"I3D-K400": 400, "I3D-K600": 600}
NETWORK = "I3D-K400"  # unless another is asked for
INPUT_SIZE = 224
NUM_POOL_FEATURES = 1024
# Three halvings of time must leave the two positions that the last pool spans: ceil(9 / 8) = 2.
MIN_FRAMES = 9

# Channels of each inception block: branch 0; branch 1 reduced, then 3x3x3; branch 2 the same; branch 3, which pools.
_BLOCKS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
_BATCH_NORM_EPSILON = 1e-3


def _convolutions() -> dict[str, tuple[int, ...]]:
    """Kernel shape [kt, kh, kw, C_in, C_out] of every convolution that batch norm follows, by its name."""
    shapes = {
        "Conv3d_1a_7x7": (7, 7, 7, 3, 64),
        "Conv3d_2b_1x1": (1, 1, 1, 64, 64),
        "Conv3d_2c_3x3": (3, 3, 3, 64, 192),
    }
    channels = 192
    for block, (c0, c1a, c1b, c2a, c2b, c3) in _BLOCKS.items():
        shapes[f"{block}/Branch_0/Conv3d_0a_1x1"] = (1, 1, 1, channels, c0)
        shapes[f"{block}/Branch_1/Conv3d_0a_1x1"] = (1, 1, 1, channels, c1a)
        shapes[f"{block}/Branch_1/Conv3d_0b_3x3"] = (3, 3, 3, c1a, c1b)
        shapes[f"{block}/Branch_2/Conv3d_0a_1x1"] = (1, 1, 1, channels, c2a)
        shapes[f"{block}/Branch_2/Conv3d_0b_3x3"] = (3, 3, 3, c2a, c2b)
        shapes[f"{block}/Branch_3/Conv3d_0b_1x1"] = (1, 1, 1, channels, c3)
        channels = c0 + c1b + c2b + c3
    return shapes


def check_network(network: str) -> None:
    """ValueError for a name that is not of NETWORKS."""
    if network not in NETWORKS:
        raise ValueError(f"There is no network {network!r}; there are {', '.join(NETWORKS)}.")


def expected_shapes(network: str = NETWORK) -> dict[str, tuple[int, ...]]:
    """The shape of every array of a network's weights, by its name in `i3d_layouts`."""
    check_network(network)
    shapes = {"Logits/kernel": (1, 1, 1, NUM_POOL_FEATURES, NETWORKS[network]), "Logits/bias": (NETWORKS[network],)}
    for name, kernel in _convolutions().items():
        shapes[f"{name}/kernel"] = kernel
        shapes |= {f"{name}/{field}": kernel[-1:] for field in ("scale", "offset", "mean", "variance")}
    return shapes


def load_params(network: str = NETWORK, path: str | Path | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The weights as {convolution: (kernel, bias)}, float32, batch norm folded in.

    The three 1x1x1 convolutions that read a block's input become one, named `<block>/reduce`.

    Args:
      network: of NETWORKS.
      path: of the weights, in any form that `weights.load` reads; None takes those that are installed or kept.

    Raises:
      ValueError: there is no such network.
      WeightsError: the weights are missing, altered or another network's.
    """
    return _loaded(network, path)[0]


def weights_variant(network: str = NETWORK, path: str | Path | None = None) -> str:
    """ "" where these are the weights that the network's name stands for, else twelve digits of their hash.

    Arguments and errors are those of `load_params`.
    """
    return _loaded(network, path)[1]


@functools.lru_cache(maxsize=len(NETWORKS))
def _loaded(network: str, path: str | Path | None) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], str]:
    arrays = weights_lib.load(network, expected_shapes(network), path)
    folded = {}
    for name in _convolutions():
        fields = ("kernel", "scale", "offset", "mean", "variance")
        kernel, scale, offset, mean, variance = (arrays[f"{name}/{field}"].astype(np.float64) for field in fields)
        scale = scale / np.sqrt(variance + _BATCH_NORM_EPSILON)
        folded[name] = ((kernel * scale).astype(np.float32), (offset - mean * scale).astype(np.float32))
    for block in _BLOCKS:
        parts = [folded.pop(f"{block}/Branch_{branch}/Conv3d_0a_1x1") for branch in range(3)]
        folded[f"{block}/reduce"] = tuple(np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True))
    folded["Logits"] = (arrays["Logits/kernel"][0, 0, 0], arrays["Logits/bias"])
    return folded, weights_lib.variant(network, arrays)


def resize_bilinear_tf1(images: jax.Array, height: int, width: int) -> jax.Array:
    """TensorFlow 1's `resize_bilinear(align_corners=False)`, which the published FVD is defined with.

    Output i reads position i * in / out, between its floor and the next pixel (clamped): no half-pixel centres, no
    antialiasing.

    Args:
      images: [..., H, W, C], any real dtype.
      height: rows of the output.
      width: columns of the output.

    Returns:
      [..., height, width, C], float32, in the range of the input.
    """
    images = images.astype(jnp.float32)
    for axis, size_out in ((images.ndim - 2, width), (images.ndim - 3, height)):
        size_in = images.shape[axis]
        if size_in == size_out:
            continue
        position = np.arange(size_out, dtype=np.float32) * np.float32(size_in / size_out)
        lower = np.minimum(np.floor(position).astype(np.int32), size_in - 1)
        upper = np.minimum(lower + 1, size_in - 1)
        fraction = (position - lower).reshape((-1,) + (1,) * (images.ndim - 1 - axis))
        before, after = jnp.take(images, lower, axis=axis), jnp.take(images, upper, axis=axis)
        images = before + (after - before) * fraction
    return images


# Ways to bring frames to 224x224, by name: in words. "tf1" is the published FVD's; the others are found in ports of it.
RESIZES = {
    "tf1": "TF1 bilinear resize",
    "half_pixel": "bilinear resize with half-pixel centres",
    "centre_crop": "centre crop, then bilinear resize with half-pixel centres",
}


@functools.partial(jax.jit, static_argnames="resize")
def preprocess(videos: jax.Array, resize: str = "tf1") -> jax.Array:
    """uint8 [B, T, H, W, 3] -> float32 [B, T, 224, 224, 3] in [-1, 1], by one of RESIZES.

    "tf1" and "half_pixel" squash frames that are not square.
    """
    if resize == "tf1":
        return 2 * resize_bilinear_tf1(videos, INPUT_SIZE, INPUT_SIZE) / 255 - 1
    b, t, h, w, c = videos.shape
    if resize == "centre_crop":
        short = min(h, w)
        videos = videos[:, :, (h - short) // 2 : (h + short) // 2, (w - short) // 2 : (w + short) // 2]
    shape = (b, t, INPUT_SIZE, INPUT_SIZE, c)
    return 2 * jax.image.resize(videos.astype(jnp.float32), shape, "linear", antialias=False) / 255 - 1


def max_pool(x: jax.Array, window: tuple[int, int, int], strides: tuple[int, int, int]) -> jax.Array:
    """Max pool of [B, T, H, W, C] over time, height and width with SAME padding."""
    if strides != (1, 1, 1) or jax.default_backend() != "cpu":
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), "SAME")
    # One axis after the other: 5-10 times faster on the CPU than one window, where no stride drops most positions.
    for axis, size in enumerate(window, start=1):
        padding = [(0, 0)] * 5
        padding[axis] = same_padding(x.shape[axis], size, 1)
        padded = jnp.pad(x, padding, constant_values=-jnp.inf)
        shifted = [lax.slice_in_dim(padded, i, i + x.shape[axis], axis=axis) for i in range(size)]
        x = functools.reduce(jnp.maximum, shifted)
    return x


@jax.jit
def i3d(params: dict[str, tuple[jax.Array, jax.Array]], x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Run the network.

    Args:
      params: from `load_params`.
      x: [B, T, 224, 224, 3], float32 in [-1, 1], T >= 9.

    Returns:
      logits [B, classes] and avgpool features [B, 1024], float32. The avgpool features are the last block's output after
      the (2, 7, 7) average pool, averaged over the time positions that remain.
    """

    def unit(name: str, x: jax.Array, strides: tuple[int, int, int] = (1, 1, 1)) -> jax.Array:
        kernel, bias = params[name]
        return jax.nn.relu(conv3d(x, kernel, strides, skip_padding=True) + bias)

    def block(name: str, x: jax.Array) -> jax.Array:
        c0, c1, *_ = _BLOCKS[name]
        branch_0, branch_1, branch_2 = jnp.split(unit(f"{name}/reduce", x), (c0, c0 + c1), axis=-1)
        branch_1 = unit(f"{name}/Branch_1/Conv3d_0b_3x3", branch_1)
        branch_2 = unit(f"{name}/Branch_2/Conv3d_0b_3x3", branch_2)
        branch_3 = unit(f"{name}/Branch_3/Conv3d_0b_1x1", max_pool(x, (3, 3, 3), (1, 1, 1)))
        return jnp.concatenate([branch_0, branch_1, branch_2, branch_3], axis=-1)

    # TPUs would multiply in bfloat16 and GPUs in TF32: a metric must not depend on the machine.
    with jax.default_matmul_precision("highest"):
        x = unit("Conv3d_1a_7x7", x, (2, 2, 2))
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        x = unit("Conv3d_2b_1x1", x)
        x = unit("Conv3d_2c_3x3", x)
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        for name in _BLOCKS:
            if name == "Mixed_4b":
                x = max_pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = max_pool(x, (2, 2, 2), (2, 2, 2))
            x = block(name, x)
        pool = x.mean(axis=(2, 3))  # 7x7, all of the frame.
        pool = (0.5 * (pool[:, :-1] + pool[:, 1:])).mean(axis=1)
        # The original takes the mean over time after this linear layer, which is the same.
        kernel, bias = params["Logits"]
        return pool @ kernel + bias, pool
