"""PyTorch's saved tensors read without PyTorch, and without running what a pickle asks for.

Both formats of `torch.save`: the zip archive (since 1.6), and the older run of pickles followed by the tensors' bytes,
which weights published before 2020 are in. Source: torch/serialization.py and torch/_utils.py.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

# Strings, since a pickle cannot change them.
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_HEAD = pickle.dumps(_LEGACY_MAGIC, 2)  # what a file of the older format begins with
ZIP_HEAD = b"PK\x03\x04"


class _Rebuild:
    """torch._utils._rebuild_tensor_v2, and _rebuild_tensor of torch 0.3: a view of a storage.

    An instance without attributes, not a function: a pickle's BUILD could set a function's.
    """

    __slots__ = ()

    def __call__(self, storage, offset, shape, strides, *_) -> np.ndarray:
        """The view; ValueError where it would leave the storage."""
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, np.ndarray) or not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise ValueError("a tensor in it is no view of a storage")
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if math.prod(shape) and last >= storage.size:
            raise ValueError("a tensor in it is larger than its storage")
        if not math.prod(shape):
            return np.zeros(shape, storage.dtype)
        bytes_apart = [stride * storage.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, bytes_apart)


class _TensorUnpickler(pickle.Unpickler):
    """Reads tensors in ordered and plain dicts; every other global of the pickle is refused."""

    def __init__(self, file: io.BytesIO, storage: Callable[[str, str, int], np.ndarray]):
        """`storage(key, dtype, count)` gives a storage's numbers."""
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """The admitted object of that name, or a ValueError."""
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")):
            return _Rebuild()
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise ValueError(f"its pickle asks for {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: tuple) -> np.ndarray:
        """A storage: ("storage", type, key, device, count), and in the older format what it is a view of."""
        match pid:
            case ("storage", str(dtype), key, _, int(count)) | ("storage", str(dtype), key, _, int(count), None):
                return self._storage(str(key), dtype, count)
        raise ValueError("its pickle refers to something other than a storage")


def _read_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:  # Compares each member's CRC-32 when it is read.
        (index,) = (name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")
        folder = index.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("it is from a big-endian machine")

        def storage(key: str, dtype: str, count: int) -> np.ndarray:
            return np.frombuffer(archive.read(f"{folder}data/{key}"), dtype, count)

        return _TensorUnpickler(io.BytesIO(archive.read(index)), storage).load()


def _read_legacy(data: bytes) -> Any:
    storages = {}

    def storage(key: str, dtype: str, count: int) -> np.ndarray:
        if not 0 <= count * np.dtype(dtype).itemsize <= len(data):
            raise ValueError("a storage in it is larger than the file")
        return storages.setdefault(key, np.zeros(count, dtype))  # filled below: the bytes come after the pickles

    file = io.BytesIO(data)
    magic, protocol, system, tensors, keys = (_TensorUnpickler(file, storage).load() for _ in range(5))
    if magic != _LEGACY_MAGIC or protocol != 1001 or not system["little_endian"]:
        raise ValueError("it is of a version of torch.save that is not read here")
    for key in keys:
        array = storages[str(key)]
        (count,) = struct.unpack("<q", file.read(8))
        numbers = file.read(array.nbytes)
        if count != array.size or len(numbers) != array.nbytes:
            raise ValueError(f"it is cut short in, or has another number of values than it says of, storage {key}")
        array[:] = np.frombuffer(numbers, array.dtype)
    return tensors


def read(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a state dict, by name.

    Args:
      data: what a `.pt` file holds, of either format.

    Raises:
      ValueError: it is damaged, holds anything but tensors in a dict, or asks to call anything; the message goes on from
        "the file is refused:".
    """
    try:
        tensors = _read_zip(data) if data.startswith(ZIP_HEAD) else _read_legacy(data)
    except ValueError:
        raise
    except Exception as error:  # A damaged zip or pickle raises almost any type.
        raise ValueError(f"it is damaged ({' '.join(str(error).split())})") from error
    if not isinstance(tensors, dict):
        raise ValueError("it holds no dict of tensors")
    return {str(name): np.array(a, order="C") for name, a in tensors.items() if isinstance(a, np.ndarray)}
