"""Traced programs, kept between starts: Python takes longer to trace an update than XLA to load what it compiled of it.

`jax.export` writes what a trace gives, StableHLO, into the cache beside XLA's compiled programs. A trace is found again by
whatever could change it: this package's source, the versions of what it calls, the experiment, the devices. Where none is
found, or the file can't be read, the program is traced as ever.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax import export

from dvdgan_lib import devices
from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.configuration import Experiment

log = logging.getLogger(__name__)

_TRACED_BY = ("jax", "jaxlib", "flax", "optax", "numpy")


def worth_keeping(experiment: Experiment) -> bool:
    """Whether a training keeps its traces: small models on a CPU, whose first step they delay by more than XLA does.

    Not at smoke size, where a program is traced once and writing it takes as long; nor with many processes, whose programs
    name devices of other processes.
    """
    return devices.target_platform() == "cpu" and jax.process_count() == 1 and experiment.preset != "smoke"


def _key(experiment: Experiment) -> str:
    """A hash of all that a trace depends on."""
    source = hashlib.sha256()
    root = Path(__file__).parent
    for file in sorted(root.rglob("*.py")):
        source.update(str(file.relative_to(root)).encode() + file.read_bytes())
    depends_on = {
        "source": source.hexdigest(),
        "versions": {name: importlib.metadata.version(name) for name in _TRACED_BY} | {"python": platform.python_version()},
        "experiment": json.loads(experiment.to_json()),
        "devices": [jax.default_backend(), jax.device_count()],
        # Whatever else the user has set: the precision of products, the kind of random numbers, ...
        "settings": {name: str(value) for name, value in jax.config.values.items()},
        "double": bool(jax.config.jax_enable_x64),  # also where set for a block only
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:32]


class Traces:
    """The kept traces of one experiment's programs."""

    def __init__(self, experiment: Experiment):
        """Reads nothing yet."""
        self.folder = devices.cache_dir() / "traces" / _key(experiment)

    def by_way_of(self, name: str, jitted: Any, *arguments: Any) -> Callable[..., Any]:
        """What a jitted function computes, as a function that is traced at once.

        Args:
          name: of its file.
          jitted: of `jax.jit`.
          arguments: pytrees of arrays or ShapeDtypeStructs; what is returned takes these shapes and dtypes, no others.
        """
        file = self.folder / name
        try:
            return export.deserialize(bytearray(file.read_bytes())).call
        except FileNotFoundError:
            pass
        except Exception as error:  # a file cut off or altered: whatever the parser makes of it
            log.warning("The kept trace %s can't be read (%s): tracing anew.", file, str(error).partition("\n")[0][:200])
        traced = export.export(jitted)(*arguments)
        try:
            write_atomically(file, traced.serialize())
        except (OSError, ImportError) as error:  # a full disk; no flatbuffers, which JAX asks for only here
            log.warning(
                "The trace of %s could not be kept in %s (%s): the next start traces anew.", name, self.folder, error
            )
        return traced.call
