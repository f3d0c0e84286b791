"""The machine: memory and compilation cache on a CPU, the mesh of devices and what lies where, and whether a preset fits."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def cache_dir() -> Path:
    """Where compiled programs and converted weights are kept: $DVDGAN_CACHE, or dvdgan_lib in the user's cache folder."""
    named = os.environ.get("DVDGAN_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named or os.path.join(base, "dvdgan_lib")).expanduser()


def setup() -> None:
    """To be called once at the start of a process; a second call changes nothing.

    Turns on JAX's persistent compilation cache (a small model's updates compile for a minute), unless the user's own
    settings name one.
    """
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def keep_memory() -> None:
    """Tells glibc to keep freed memory: for a process that computes the same for long. To be called before it computes.

    XLA's CPU backend allocates the temporary memory of a program at each call, and page faults cost time: nothing to a tenth
    of a step on one machine, on another more than the arithmetic. The price is one heap for all threads, where the
    compiler's wait for each other: two updates compile for 1.3 to 1.5 times as long. Only glibc on Linux is told.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        m_trim_threshold, m_mmap_max, m_arena_max = -1, -4, -8  # from malloc.h
        libc.mallopt(m_mmap_max, 0)  # no mmap for large blocks: they would go back to the system when freed
        libc.mallopt(m_trim_threshold, 2**31 - 1)
        libc.mallopt(m_arena_max, 1)  # all threads share the heap that keeps its memory


_target: ContextVar[str | None] = ContextVar("target_platform", default=None)


def target_platform() -> str:
    """What programs are traced for, "cpu", "tpu" or "gpu": JAX's backend, but inside `compiling_for` what that names.

    Layers that have a form for the CPU ask here, once for each trace.
    """
    return _target.get() or jax.default_backend()


@contextlib.contextmanager
def compiling_for(platform: str) -> Iterator[None]:
    """Inside, programs are traced for another platform than this machine's, to be compiled ahead of time (`pods`).

    A function that was jitted and called before keeps the form that it was traced in: jit it anew.
    """
    token = _target.set(platform)
    try:
        yield
    finally:
        _target.reset(token)


class WrongDeviceError(RuntimeError):
    """A preset that does not fit the machine."""


def check_device(preset: str, allow_cpu: bool = False) -> str | None:
    """Whether training at this preset makes sense here.

    Returns:
      A sentence of advice, or None.

    Raises:
      WrongDeviceError: `colab` or `paper` on a CPU without allow_cpu.
    """
    backend = jax.default_backend()
    if preset in ("colab", "paper") and backend == "cpu" and not allow_cpu:
        raise WrongDeviceError(
            f"Preset {preset!r} needs an accelerator and JAX sees only a CPU: choose preset 'laptop', "
            "or pass allow_cpu=True (--allow-cpu) to train here all the same."
        )
    if preset == "laptop" and backend != "cpu":
        return f"JAX sees a {backend.upper()}: preset 'colab' trains a larger model on it."
    return None


def mesh(batch_size: int, available: Sequence[jax.Device] | None = None) -> Mesh:
    """Devices in one row, named "data": as many as a batch can be split over evenly, all where it can.

    They stand in the order of their processes, as many of each, so that process h of H holds rows [h*B/H, (h+1)*B/H) of a
    batch, which are those that `data.batches` makes for it. (JAX's own order may follow the places of a TPU's chips.)

    Args:
      batch_size: rows of a batch.
      available: devices of another machine to compile for; None takes this machine's and its processes.

    Raises:
      WrongDeviceError: a batch that can't be split over the processes.
    """
    there = jax.devices() if available is None else available
    processes = jax.process_count() if available is None else len({device.process_index for device in available})
    if batch_size % processes:
        raise WrongDeviceError(
            f"A batch of {batch_size} cannot be split over {processes} processes evenly: take another number."
        )
    devices = sorted(there, key=lambda device: (device.process_index, device.id))
    by_process = np.array(devices).reshape(processes, -1)
    used = math.gcd(by_process.shape[1], batch_size // processes)
    return Mesh(by_process[:, :used].reshape(-1), ("data",))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Batches are split over the devices along their first axis."""
    return NamedSharding(mesh, PartitionSpec("data"))


def replicated(mesh: Mesh) -> NamedSharding:
    """Weights are the same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def weight_sharding(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    """A weight is split over the devices, along the axis that most of them can share evenly (the last of equals).

    768 channels on 512 devices are split over 256 of them, twice: the batch's row of devices is folded for that, in its
    order. Vectors and scalars stay whole: all of them together are a thousandth of the kernels.
    """
    if len(shape) < 2:
        return replicated(mesh)
    shares = [math.gcd(size, mesh.size) for size in shape]
    axis = max(range(len(shape)), key=lambda i: (shares[i], i))
    folded = Mesh(mesh.devices.reshape(-1, shares[axis]), ("copies", "pieces"))
    return NamedSharding(folded, PartitionSpec(*[None] * axis, "pieces"))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def gathered(whole: NamedSharding, place: Callable[[tuple[int, ...]], NamedSharding], weights: Any) -> Any:
    """Weights that lie in pieces, whole on every device; of their gradients each device keeps its piece.

    Args:
      whole: `replicated` of the mesh.
      place: (shape of a weight) -> where its pieces lie, see `weight_sharding`.
      weights: pytree of arrays.
    """
    return jax.lax.with_sharding_constraint(weights, whole)


def _gathered_forward(whole: NamedSharding, place: Callable, weights: Any) -> tuple[Any, None]:
    return gathered(whole, place, weights), None


def _gathered_backward(whole: NamedSharding, place: Callable, _: None, gradient: Any) -> tuple[Any]:
    # Whole first: pieces of a gradient would make XLA split the features by channels, from layer to layer.
    gradient = jax.lax.with_sharding_constraint(gradient, whole)
    return (jax.tree.map(lambda g: jax.lax.with_sharding_constraint(g, place(g.shape)), gradient),)


gathered.defvjp(_gathered_forward, _gathered_backward)
