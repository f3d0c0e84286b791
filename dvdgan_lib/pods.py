"""Real TPU pods without one: the updates of a run, compiled for a topology by the TPU's own compiler on any Linux machine.

    python -m dvdgan_lib.pods                                        all rows of the table that are not there yet
    python -m dvdgan_lib.pods kinetics600_64x64_12f v3-512           one row
    python -m dvdgan_lib.pods kinetics600_64x64_12f v5e-1 --preset colab

Each row takes minutes of one core and several GB of memory, and becomes a file in `dvdgan_lib/pod_table/`; the command goes
on where it was stopped. The compiler is libtpu (`requirements-tpu.lock`, jax 0.8 or newer); no TPU is needed. `pod_report`
and `notebooks/05_tpu_pods` show the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.metadata
import json
import math
import re
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from dvdgan_lib import devices, experiments
from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.compiled_cost import read_cost
from dvdgan_lib.configuration import Experiment, ModelConfig, TrainingConfig
from dvdgan_lib.generator import Generator
from dvdgan_lib.model_summary import summarize
from dvdgan_lib.pod_hours import TABLE, table_file
from dvdgan_lib.provenance import git_commit
from dvdgan_lib.tpu_slices import DEVICES, Device, NoTpuCompilerError, topology_devices
from dvdgan_lib.updates import Updates

_SYNTHESIS = "kinetics600_64x64_12f"
_OTHERS = (
    "ucf101_128x128_16f",
    "bair_fp_64x64_1to15",
    "kinetics600_fp_64x64_5to11",
    "kinetics600_64x64_16f_stride1",
    "kinetics600_64x64_48f",
    "kinetics600_128x128_12f",
    "kinetics600_256x256_12f",
    "kinetics600_128x128_48f",
)
SAMPLING = "sampling_64x64_48f"
# The rows of the table (name, preset, topology), cheapest first.
PLAN = (
    (SAMPLING, "paper", "v3-1"),
    *[(_SYNTHESIS, "colab", topology) for topology in ("v5e-1", "v6e-1")],
    *[(_SYNTHESIS, "paper", topology) for topology in ("v3-512", "v3-128", "v3-32", "v4-64", "v5e-64")],
    *[(name, "paper", topology) for topology in ("v3-512", "v3-128") for name in _OTHERS],
)
# What is tried, one after the other, where an update doesn't fit. The first two change nothing that is computed.
LADDER: tuple[dict[str, Any], ...] = (
    {"remat": True},
    {"remat": True, "sharding": "sharded"},
    {"remat": True, "sharding": "sharded", "compute_dtype": "bfloat16"},
)


def _missing(message: str) -> str | None:
    """What the compiler says that a program needs, of its error's text; None for another error."""
    message = " ".join(message.split())
    sizes = re.search(r"Used ([\d.]+[KMGT]) of ([\d.]+[KMGT]) hbm", message)
    sizes = sizes or re.search(r"\(([\d.]+[KMGT])\) exceeds available HBM \(([\d.]+[KMGT])\)", message)
    return f"needs {sizes[1]} of {sizes[2]}" if sizes else message[:200] if "memory" in message else None


def _compile(lowered: jax.stages.Lowered, device: Device) -> dict[str, Any]:
    """Compiles one program: what it takes on one device, or what is missing for it to fit."""
    start = time.monotonic()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if (wants := _missing(str(error))) is None:
            raise
        return {"fits": False, "why": wants, "compile_seconds": round(time.monotonic() - start, 1)}
    memory, counted, cost = compiled.memory_analysis(), compiled.cost_analysis(), read_cost(compiled.as_text())
    gib = lambda size: round(size / 2**30, 3)  # noqa: E731
    kept = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    total = gib(kept + memory.temp_size_in_bytes + memory.generated_code_size_in_bytes)
    if total > device.memory_gib:  # the compiler may let pass what couldn't be loaded
        wants = f"needs {total:.1f} of {device.memory_gib:g} GiB by the sum of its buffers"
        return {"fits": False, "why": wants, "compile_seconds": round(time.monotonic() - start, 1)}
    return {
        "fits": True,
        "memory_gib": total,
        "memory": {
            "arguments_and_results_gib": gib(kept),
            "temporary_gib": gib(memory.temp_size_in_bytes),
            "code_gib": gib(memory.generated_code_size_in_bytes),
        },
        # XLA's counts and its roofline have the body of each loop (the ConvGRUs') once.
        "flops_loops_once": counted["flops"],
        "bytes_accessed_loops_once": counted["bytes accessed"],
        "optimal_seconds_loops_once": counted["optimal_seconds"],
        "cycles": cost.cycles,
        "cycles_loops_once": cost.cycles_loops_once,
        "loops": cost.loops,
        "collectives": cost.collectives,
        "collective_seconds": cost.wire_bytes / device.link_bandwidth,
        "seconds": cost.cycles / device.clock + cost.wire_bytes / device.link_bandwidth,
        "compile_seconds": round(time.monotonic() - start, 1),
    }


def model_flops(experiment: Experiment) -> dict[str, float]:
    """FLOPs of the model's convolutions and products for an update of D and one of G, whole batch; a clip's in `summarize`.

    D's: G forward, D forward and backward on a real and a made clip. G's: G forward and backward, D forward and backward
    to its input. Backward is twice forward: a gradient for the input and one for the weights. What remat computes again,
    and padding to the machine's tiles, doesn't count; the zeros around each frame do, which the compiler can leave out.
    """
    parts = summarize(experiment).parts
    g, d = (sum(part.flops for part in parts if part.name.startswith("G:") == of_g) for of_g in (True, False))
    b = experiment.training.batch_size
    return {"d": b * (g + 6.0 * d), "g": b * (3.0 * g + 2.0 * d)}


def changed(experiment: Experiment, changes: dict[str, Any]) -> Experiment:
    """The experiment with fields of its model and training configuration replaced by name."""
    parts = {}
    for part in ("model", "training"):
        own = getattr(experiment, part)
        names = {f.name for f in dataclasses.fields(own)}
        parts[part] = dataclasses.replace(own, **{k: v for k, v in changes.items() if k in names})
    return dataclasses.replace(experiment, **parts)


def compiled_configuration(experiment: Experiment) -> dict[str, Any]:
    """What a program's shape and cost depend on: the model, the batch, and how both lie on the devices."""
    names = ("batch_size", "compute_dtype", "sharding", "accumulation")
    training = {name: getattr(experiment.training, name) for name in names}
    return json.loads(json.dumps(dataclasses.asdict(experiment.model) | training))


def compile_for(experiment: Experiment, topology: str) -> dict[str, Any]:
    """Compiles both updates of a run for a slice, by LADDER where they don't fit as they are.

    Args:
      experiment: from `experiments.get`.
      topology: "v3-512", "v5e-1"; `topology_devices` knows which.

    Returns:
      A row of the pod table, JSON's types only: `updates` has what each of "d" and "g" takes, `changes` what made it fit,
      `attempts` what did not; step_seconds, hours and mfu are there where both fit.

    Raises:
      NoTpuCompilerError, ValueError: see `topology_devices`.
    """
    there = topology_devices(topology)
    device = DEVICES[topology.partition("-")[0]]
    attempts, updates, changes = [], {}, {}
    for changes in ({}, *(step for step in LADDER if changed(experiment, step) != experiment)):
        tried = changed(experiment, changes)
        with devices.compiling_for("tpu"):
            both = Updates(tried, devices.mesh(tried.training.batch_size // tried.training.accumulation, there))
            updates = {}
            for which, lower in (("d", both.lower_d), ("g", both.lower_g)):
                updates[which] = _compile(lower(), device)
                if not updates[which]["fits"]:
                    break
        if all(update["fits"] for update in updates.values()):
            break
        attempts.append({"changes": changes, "updates": updates})
    row = _row(experiment.name, experiment.preset, topology, both.split.mesh, there[0].device_kind)
    row |= {"configuration": compiled_configuration(experiment), "changes": changes}
    row |= {"attempts": attempts, "updates": updates}
    row["fits"] = all(update["fits"] for update in updates.values())
    row["d_updates"], row["steps"] = experiment.training.d_updates, experiment.training.steps
    row["model_flops"] = model_flops(experiment)
    return row | totals(row, device) if row["fits"] else row


def totals(row: dict[str, Any], device: Device) -> dict[str, float]:
    """A step's seconds, the hours of the whole run, and the share of the machine's peak that this implies."""
    n = row["d_updates"]
    seconds = n * row["updates"]["d"]["seconds"] + row["updates"]["g"]["seconds"]
    flops = n * row["model_flops"]["d"] + row["model_flops"]["g"]
    return {
        "step_seconds": seconds,
        "hours": row["steps"] * seconds / 3600.0,
        "mfu": flops / (seconds * row["devices"] * device.peak_flops),
        "memory_gib": max(update["memory_gib"] for update in row["updates"].values()),
    }


def compile_sampling(topology: str = "v3-1") -> dict[str, Any]:
    """Compiles the sampling of two 64x64 48-frame videos on one core (B.3: "in less than 150ms"); a row like the others."""
    experiment, device = experiments.get("kinetics600_64x64_48f", "paper"), DEVICES[topology.partition("-")[0]]
    there = topology_devices(topology)
    mesh = Mesh(np.array(there), ("data",))
    m, where = experiment.model, devices.replicated(mesh)
    place = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)  # noqa: E731
    latents, labels = jax.ShapeDtypeStruct((2, m.latent_dim), np.float32), jax.ShapeDtypeStruct((2,), np.int32)
    with devices.compiling_for("tpu"):
        module = Generator(m)
        variables = jax.eval_shape(lambda z, y: module.init(jax.random.key(0), z, y, standing=True), latents, labels)
        inputs = jax.tree.map(place, (variables, latents, labels))
        program = jax.jit(lambda v, z, y: module.apply(v, z, y, standing=True), out_shardings=where)
        update = _compile(program.lower(*inputs), device)
    row = _row(SAMPLING, "paper", topology, mesh, there[0].device_kind)
    g = 2.0 * sum(part.flops for part in summarize(experiment).parts if part.name.startswith("G:"))
    row |= {
        "configuration": {"videos": 2} | dataclasses.asdict(m),
        "updates": {"sample": update},
        "model_flops": {"sample": g},
    }
    row |= {"fits": update["fits"], "memory_gib": update["memory_gib"], "step_seconds": update["seconds"]}
    return json.loads(json.dumps(row | {"mfu": g / (update["seconds"] * device.peak_flops)}))


_commit = functools.cache(git_commit)  # asked for before the first row: that of the code that runs, hours later too


def _row(name: str, preset: str, topology: str, mesh: Mesh, kind: str) -> dict[str, Any]:
    commit, dirty = _commit()
    versions = {package: importlib.metadata.version(package) for package in ("jax", "jaxlib", "libtpu", "flax")}
    row = {"experiment": name, "preset": preset, "topology": topology, "devices": math.prod(mesh.devices.shape)}
    return row | {"device_kind": kind, "versions": versions, "commit": commit + ("-dirty" if dirty else "")}


def is_kept(name: str, preset: str, topology: str, folder: Path = TABLE) -> bool:
    """Whether a row is there and of today's configuration."""
    file = table_file(name, preset, topology, folder)
    if not file.exists() or name == SAMPLING:
        return file.exists()
    # What a field says that a row lacks was so before there was the field.
    before = dataclasses.asdict(ModelConfig()) | dataclasses.asdict(TrainingConfig())
    kept = before | json.loads(file.read_text())["configuration"]
    return all(kept[field] == value for field, value in compiled_configuration(experiments.get(name, preset)).items())


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dvdgan_lib.pods", description=__doc__.split("\n")[0])
    parser.add_argument("experiment", nargs="?", help=f"all of the table by default; {SAMPLING} is B.3's sampling")
    parser.add_argument("topology", nargs="?", help="v3-512, v5e-1, ...")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    options = parser.parse_args(arguments)
    jax.config.update("jax_platforms", "cpu")  # or JAX would look for a TPU where libtpu is installed
    _commit()
    wanted = [row for row in PLAN if options.experiment in (None, row[0]) and options.topology in (None, row[2])]
    if options.experiment and options.topology:
        wanted = [(options.experiment, options.preset, options.topology)]
    elif not wanted or options.preset != "paper":
        what = f"{options.experiment or options.topology or 'all'} [{options.preset}]"
        print(
            f"The table plans nothing for {what}: name an experiment and a slice, as in kinetics600_64x64_12f v3-128.",
            file=sys.stderr,
        )
        return 1
    try:
        for name, preset, topology in wanted:
            if not options.again and is_kept(name, preset, topology):
                continue
            print(f"{time.strftime('%H:%M:%S')} compiling {name} [{preset}] for {topology} ...", flush=True)
            row = compile_sampling(topology) if name == SAMPLING else compile_for(experiments.get(name, preset), topology)
            write_atomically(table_file(name, preset, topology), json.dumps(row, indent=1) + "\n")
            print(json.dumps({k: row.get(k) for k in ("fits", "memory_gib", "step_seconds", "hours", "mfu")}), flush=True)
    except (NoTpuCompilerError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
