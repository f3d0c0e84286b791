"""C3D fine-tuned on UCF-101, the network of the Inception Scores of TGAN and its followers on that data set.

Tran et al. (2015), "Learning Spatiotemporal Features with 3D Convolutional Networks", with 101 classes, as TGAN converted it
from Caffe to Chainer (github.com/pfnet-research/tgan, `evaluation/c3d_ft.py`). It sees 16 BGR frames of 112x112, less the
mean video of its training set. The weights and the mean come from the releases of TGAN and TGANv2 and have to be fetched,
by `download` or by hand.

A clip costs 77 GFLOP.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax import lax

from dvdgan_lib import devices
from dvdgan_lib.convolution import conv3d
from dvdgan_lib.metrics.weights import WeightsError

NETWORK = "C3D-UCF101"
NUM_CLASSES = 101
NUM_FRAMES = 16
INPUT_SIZE = 112
MEAN_SHAPE = (3, NUM_FRAMES, 128, 171)  # of the mean file: BGR, time, height, width

WEIGHTS_FILE = "conv3d_deepnetA_ucf.npz"
MEAN_FILE = "mean2.npz"
_RELEASE = "https://github.com/rezoo/tgan2/releases/download/v1.0"  # named in the README of pfnet-research/tgan2
_PAGE = "https://github.com/pfnet-research/tgan2"

# Every 3x3x3 convolution: its channels, and the window of the pool after it, if there is one.
_CONVOLUTIONS = {
    "conv1a": (64, (1, 2, 2)),
    "conv2a": (128, (2, 2, 2)),
    "conv3a": (256, None),
    "conv3b": (256, (2, 2, 2)),
    "conv4a": (512, None),
    "conv4b": (512, (2, 2, 2)),
    "conv5a": (512, None),
    "conv5b": (512, (2, 2, 2)),
}
_HIDDEN = 4096
_POOLED = (1, 4, 4)  # positions in time, height and width that the last pool leaves


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of all arrays in the weights' .npz by name there; kernels are [C_out, C_in, kt, kh, kw] or [out, in]."""
    shapes, channels = {}, 3
    for name, (width, _) in _CONVOLUTIONS.items():
        shapes |= {f"{name}/W": (width, channels, 3, 3, 3), f"{name}/b": (width,)}
        channels = width
    channels *= int(np.prod(_POOLED))
    for name, width in (("fc6", _HIDDEN), ("fc7", _HIDDEN), ("fc8", NUM_CLASSES)):
        shapes |= {f"{name}/W": (width, channels), f"{name}/b": (width,)}
        channels = width
    return shapes


def how_to_get() -> str:
    """Where the two files are, and where they are looked for."""
    return (
        f"call `dvdgan_lib.metrics.c3d.download()`, or fetch {WEIGHTS_FILE} and {MEAN_FILE} by hand from "
        f"github.com/rezoo/tgan2/releases (v1.0; {MEAN_FILE} is also at github.com/pfnet-research/tgan/releases, v1.0.0), "
        f"put them into {default_folder()}, or pass their paths"
    )


def default_folder() -> Path:
    """Where the weights and the mean are looked for: c3d in the cache folder (`devices.cache_dir`)."""
    return devices.cache_dir() / "c3d"


def download() -> tuple[Path, Path]:
    """Fetch the weights (about 0.3 GB) and the mean into `default_folder`, and check them; the paths of both.

    Raises:
      FetchError: they cannot be fetched; it says how to do it by hand.
      WeightsError: what came is not what was expected. No one has published hashes: names, shapes and values are checked.
    """
    from dvdgan_lib.data.fetch import Source, download  # Here, since only this function needs what reads data sets.

    weights, mean = (
        download(Source(f"{_RELEASE}/{name}", page=_PAGE), default_folder() / name) for name in (WEIGHTS_FILE, MEAN_FILE)
    )
    load_params(weights)
    load_mean(mean)
    return weights, mean


def _place(path: str | Path | None, name: str) -> epath.Path:
    return epath.Path(default_folder() / name if path is None else path)


@contextlib.contextmanager
def _open(path: epath.Path, what: str, wanted: str) -> Iterator[np.lib.npyio.NpzFile]:
    """An .npz to read from; whatever is wrong with it, inside too, becomes one sentence that says what was wanted."""
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise ValueError("it is one array, not an .npz")
            with loaded:
                yield loaded
    except FileNotFoundError as error:
        raise WeightsError(f"The {what} of {NETWORK} is not at {path}: {how_to_get()}.") from error
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise WeightsError(f"The {what} of {NETWORK} cannot be read at {path} ({reason}): {how_to_get()}.") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        # What NumPy says of a file that is neither .npy nor .npz is about pickles: no help here.
        reason = "it is damaged, incomplete or no .npz" if "pickle" in str(error) else str(error).rstrip(".")
        raise WeightsError(
            f"The {what} of {NETWORK} at {path} is refused: {reason}. Expected is {wanted}; {how_to_get()}."
        ) from error


def _array(file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    """An array of finite floats, float32; ValueError where it is anything else."""
    array = file[name]
    if array.dtype.kind != "f":
        raise ValueError(f"it holds {array.dtype} numbers, not floats, as {name}")
    if not np.isfinite(array).all():
        raise ValueError(f"it has values in {name} that are not finite")
    return np.ascontiguousarray(array, np.float32)


def load_params(path: str | Path | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The weights as {layer: (kernel, bias)}, float32: kernels are [3, 3, 3, C_in, C_out] or [in, out].

    Args:
      path: of `conv3d_deepnetA_ucf.npz`, local or gs://; None takes `default_folder`. Arrays of other names are passed over,
        as Chainer does.

    Raises:
      WeightsError: the file is missing, incomplete, damaged, or another network's.
    """
    shapes = expected_shapes()
    wanted = f"an .npz of Chainer's with {', '.join(f'{name} {shape}' for name, shape in shapes.items())}"
    arrays = {}
    with _open(_place(path, WEIGHTS_FILE), "weights file", wanted) as file:
        missing = [name for name in shapes if name not in file.files]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        for name, shape in shapes.items():
            arrays[name] = _array(file, name)
            if arrays[name].shape != shape:
                raise ValueError(f"it has {name} of shape {arrays[name].shape}, where {shape} is expected")
            # A conversion from Caffe that reads the wrong field leaves what Chainer began with.
            if name.endswith("/W") and not arrays[name].any():
                raise ValueError(f"all of {name} is 0")
    params = {}
    for name in [*_CONVOLUTIONS, "fc6", "fc7", "fc8"]:
        kernel = arrays[f"{name}/W"]
        if name in _CONVOLUTIONS:
            kernel = kernel.transpose(2, 3, 4, 1, 0)
        elif name == "fc6":  # It reads the last pool flattened: [C, T, H, W] there, [T, H, W, C] here.
            kernel = kernel.reshape(len(kernel), -1, *_POOLED).transpose(2, 3, 4, 1, 0).reshape(-1, len(kernel))
        else:
            kernel = kernel.T
        params[name] = (np.ascontiguousarray(kernel), arrays[f"{name}/b"])
    return params


def load_mean(path: str | Path | None = None) -> np.ndarray:
    """The mean video that is subtracted, float32 [16, 128, 171, 3], BGR, in pixel values.

    Args:
      path: of `mean2.npz`, local or gs://; None takes `default_folder`.

    Raises:
      WeightsError: the file is missing, incomplete, damaged or something else.
    """
    wanted = f"an .npz with pixel values of shape {MEAN_SHAPE} as `mean`"
    with _open(_place(path, MEAN_FILE), "mean file", wanted) as file:
        if "mean" not in file.files:
            raise ValueError(f"it lacks mean, and has {', '.join(file.files) or 'nothing'}")
        mean = _array(file, "mean")
        # TGAN reads it as (3, 1, 16, 128, 171), TGANv2 as (3, 16, 128, 171), and Caffe writes (1, 3, 16, 128, 171).
        if tuple(size for size in mean.shape if size > 1) != MEAN_SHAPE:
            raise ValueError(f"it has mean of shape {mean.shape}")
        if mean.min() < 0 or mean.max() > 255:
            raise ValueError(f"its values, {mean.min():.4g} to {mean.max():.4g}, are no pixel values from 0 to 255")
    return np.ascontiguousarray(mean.reshape(MEAN_SHAPE).transpose(1, 2, 3, 0))


def sha256(path: str | Path | None = None) -> str:
    """The hash of the weights' file, to tell results of one file from those of another; WeightsError if it can't be read."""
    path = _place(path, WEIGHTS_FILE)
    with _open(path, "weights file", "an .npz of Chainer's"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def max_pool(x: jax.Array, window: tuple[int, int, int]) -> jax.Array:
    """Max pool of [B, T, H, W, C] in steps of its window over T, H and W, with Chainer's `cover_all`.

    What a last, incomplete window covers counts too, as in Caffe: each axis becomes ceil(size / window), 7 becomes 4.
    """
    padding = [(0, -size % step) for size, step in zip(x.shape[1:4], window, strict=True)]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *window, 1), "VALID")


@jax.jit
def c3d(params: dict[str, tuple[jax.Array, jax.Array]], x: jax.Array) -> jax.Array:
    """Run the network.

    Args:
      params: from `load_params`.
      x: [B, 16, 112, 112, 3], float32: BGR pixel values less the mean.

    Returns:
      logits [B, 101], float32 (`fc8`). Their softmax is what TGAN calls `prob`. There is no dropout.
    """
    # TPUs would multiply in bfloat16 and GPUs in TF32: a metric must not depend on the machine.
    with jax.default_matmul_precision("highest"):
        for name, (_, window) in _CONVOLUTIONS.items():
            kernel, bias = params[name]
            x = jax.nn.relu(conv3d(x, kernel) + bias)
            x = x if window is None else max_pool(x, window)
        x = x.reshape(len(x), -1)
        for name in ("fc6", "fc7"):
            kernel, bias = params[name]
            x = jax.nn.relu(x @ kernel + bias)
        kernel, bias = params["fc8"]
        return x @ kernel + bias
