"""TPU slices by name, and what a device of each can do; described by libtpu, on a machine without a TPU."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import Any

import jax


class NoTpuCompilerError(RuntimeError):
    """libtpu is not installed."""


@dataclass(frozen=True)
class Device:
    """What JAX shows as one TPU device: a core of v3, a chip of the others.

    Peak rates are for bfloat16 products, which float32 convolutions are made of too at JAX's default precision. Sources:
    cloud.google.com/tpu/docs/v3 to v6e; links: "How to Scale Your Model" (jax-ml.github.io/scaling-book), one way, all of a
    device's together. The clock is what the peak rate implies with the number of matrix units.
    """

    peak_flops: float
    memory_gib: float
    memory_bandwidth: float  # bytes/s
    clock: float  # Hz
    link_bandwidth: float  # bytes/s


DEVICES = {
    "v3": Device(61.5e12, 16, 450e9, 0.94e9, 2 * 1.0e11),
    "v4": Device(275e12, 32, 1200e9, 1.05e9, 6 * 4.5e10),
    "v5e": Device(197e12, 16, 819e9, 1.5e9, 4 * 4.5e10),
    "v6e": Device(918e12, 32, 1640e9, 1.75e9, 4 * 9.0e10),
}
# Chips in a slice by its name. Of v3 and v4 names count cores, two a chip; of the others chips.
_SHAPES = {"v3": {1: "1x1", 4: "2x2", 16: "4x4", 64: "8x8", 256: "16x16"}, "v4": {4: "2x2x1", 32: "2x4x4", 64: "4x4x4"}}
_SHAPES |= {generation: {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4", 64: "8x8", 256: "16x16"} for generation in ("v5e", "v6e")}


def topology_devices(topology: str) -> list[jax.Device]:
    """Descriptions of the devices of a slice, "v3-512" say; "v3-1" is a single core.

    Raises:
      NoTpuCompilerError: libtpu is not installed.
      ValueError: a name of no slice; the message lists those there are.
    """
    generation, _, count = topology.partition("-")
    cores = 2 if generation in ("v3", "v4") else 1
    single = topology == "v3-1"
    shape = _SHAPES.get(generation, {}).get(1 if single else int(count) // cores if count.isdigit() else 0)
    if not shape:
        names = ", ".join(f"{g}-{n * (2 if g in ('v3', 'v4') else 1)}" for g, shapes in _SHAPES.items() for n in shapes)
        raise ValueError(f"There is no topology {topology!r}; there are {names}, and v3-1 for a single core.")
    if importlib.util.find_spec("libtpu") is None:
        raise NoTpuCompilerError(
            "The TPU compiler is not installed: install requirements-tpu.lock, which adds libtpu to the CPU's packages "
            "(any make command with ACCELERATOR=tpu does), and run the same command again."
        )
    # Read when libtpu loads: it shall not look for a TPU, its hosts or another process that uses one.
    for name, value in (
        ("TPU_SKIP_MDS_QUERY", "1"),
        ("ALLOW_MULTIPLE_LIBTPU_LOAD", "1"),
        ("TPU_WORKER_HOSTNAMES", "localhost"),
    ):
        os.environ.setdefault(name, value)
    from jax.experimental import topologies

    options: dict[str, Any] = {"chips_per_host_bounds": (1, 1, 1)} if shape == "1x1" else {}
    if generation == "v4":
        options["chip_config_name"] = "megacore"  # a chip's two cores as one device, as JAX has it on a real v4
    found = topologies.get_topology_desc(platform="tpu", topology_name=f"{generation}:{shape}", **options).devices
    return list(found[:1] if single else found)
