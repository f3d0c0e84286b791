"""Many hosts: joining them (`jax.distributed`), deciding together, and noticing when one is gone.

One process a host, all started with the same command. JAX then sees every host's devices, and each jitted update runs on all
of them at once: whatever a process does between updates that the others must do too (save, stop) is decided together.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import signal
import sys
import threading
import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

BEAT = 2.0  # seconds between signs of life
PATIENCE = 20.0  # seconds without one after which a process counts as lost
LOST = 75  # exit code of those that end because another did: "temporary failure" (sysexits.h), start again
HOURS = 24 * 3_600_000  # milliseconds: process 0 may be measuring while the others wait

_watch: _Watch | None = None
_numbers: dict[str, int] = {}


class HostsError(RuntimeError):
    """Processes that can't be joined, or that don't see the same run."""


def connect(coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None) -> None:
    """Joins the processes of a run; to be called before anything else of JAX, by explicit request only.

    Args:
      coordinator: HOST:PORT of process 0; None, with the other two, where the cluster tells (Cloud TPU, Slurm, Open MPI).
      num_processes: how many.
      process_id: which this is, from 0.

    Raises:
      HostsError: a process that doesn't answer, or a cluster that doesn't tell; one sentence.
    """
    global _watch
    jax.config.update(
        "jax_cpu_collectives_implementation", "gloo"
    )  # matters on CPUs only, where the default knows no other host
    # The preemption service's SIGTERM handler would only note the signal; ours does that, and all agree on the step to stop
    # at (`Votes`). jax 0.7, Colab's, can't do without it: there ours, set later, takes its place.
    if hasattr(jax.config, "jax_enable_preemption_service"):
        jax.config.update("jax_enable_preemption_service", False)
    options: dict[str, Any] = {}
    # After our own watch: its message is a page of C++, but it also ends a process that Python can't.
    if "heartbeat_timeout_seconds" in inspect.signature(jax.distributed.initialize).parameters:
        options["heartbeat_timeout_seconds"] = int(2 * PATIENCE)
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id, **options)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise HostsError(
            f"The processes of this run could not be joined ({reason}): start one on every host with the same "
            "--coordinator HOST:PORT and --num-processes, and --process-id 0, 1, ...; or --distributed on a TPU or Slurm."
        ) from error
    if jax.process_count() > 1:
        if not is_first():
            _say_why_at_abort()
        _watch = _Watch()


def is_first() -> bool:
    """Whether this is process 0, which alone writes logs, figures and exports."""
    return jax.process_index() == 0


def _client() -> Any:
    """The store of keys and values that all processes share, on process 0; JAX has no public name for it."""
    from jax._src import distributed

    return distributed.global_state.client


_at_abort: Any = None  # ctypes keeps no reference to what C may call


def _say_why_at_abort() -> None:
    """Where process 0 is gone, JAX prints a page and calls abort(): a sentence and our own exit code come after it.

    In C, since Python's handlers run in the main thread, later than that.
    """
    global _at_abort
    why = "Process 0 is gone, or JAX failed (see above)."
    _at_abort = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _: end(why))
    libc = ctypes.CDLL(None)
    libc.signal.restype = ctypes.c_void_p
    libc.signal(signal.SIGABRT, _at_abort)


class _Watch:
    """A thread that gives signs of life and ends this process, with a sentence, where another's stay away."""

    def __init__(self):
        self.ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        own, count, client = jax.process_index(), jax.process_count(), _client()
        seen = dict.fromkeys(range(count), ("", time.monotonic()))
        beat = 0
        while not self.ended.wait(BEAT):
            beat += 1
            try:
                client.key_value_set(f"dvdgan/alive/{own}", str(beat), allow_overwrite=True)
                said = {int(key.rpartition("/")[2]): value for key, value in client.key_value_dir_get("dvdgan/alive/")}
            except Exception as error:  # whatever the client raises: process 0, which keeps the store, doesn't answer
                said = {}
                reason = f" ({str(error).partition(chr(10))[0][:100]})"
            else:
                reason = ""
            now = time.monotonic()
            for process in range(count):
                value = said.get(process, seen[process][0])
                if value != seen[process][0] or value == "done":
                    seen[process] = (value, now)
                if self.ended.is_set():
                    return
                if value.startswith("failed"):
                    end(f"Process {process} of {count} ended: {value.removeprefix('failed ')[:300]}")
                if now - seen[process][1] > PATIENCE:
                    end(f"Process {process} of {count} has given no sign of life for {PATIENCE:.0f} s{reason}.")

    def done(self) -> None:
        """No more is to be watched: the others must not take this process's end for a loss."""
        self.ended.set()
        _client().key_value_set(f"dvdgan/alive/{jax.process_index()}", "done", allow_overwrite=True)


def end(why: str) -> None:
    """Ends this process at once: its main thread may wait for ever for a process that is gone."""
    print(
        f"{why} This one ends too; the same command on every host goes on from the last checkpoint.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(LOST)


def leave(failure: str | None = None) -> None:
    """To be called where a process ends. failure: why, where the others don't know of it and would wait for this one."""
    if _watch is None:
        return
    if failure is None:
        _watch.done()
        jax.distributed.shutdown()  # waits for all
        return
    _watch.ended.set()
    try:
        _client().key_value_set(f"dvdgan/alive/{jax.process_index()}", f"failed {failure}", allow_overwrite=True)
        if is_first():
            time.sleep(2 * BEAT)  # the store ends with this process
    except Exception as error:
        print(f"The others could not be told: {error}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def wait_for_verdict(failure: str) -> None:
    """After an error, which may come from another process's loss: then this one ends here, else it returns after a while.

    failure: the error in a line, said at once.
    """
    if _watch is not None:
        seconds = PATIENCE + 3 * BEAT
        print(f"{failure}\nWaiting {seconds:.0f} s to learn whether another process is lost.", file=sys.stderr, flush=True)
        time.sleep(seconds)


def from_first(name: str, value: Any) -> Any:
    """What process 0 gives, a JSON value, in every process; the others wait for it, for hours if need be.

    Not by a collective of the devices: those give up waiting after half a minute on CPUs.
    """
    if jax.process_count() == 1:
        return value
    _numbers[name] = _numbers.get(name, 0) + 1
    key = f"dvdgan/{name}/{_numbers[name]}"
    if is_first():
        _client().key_value_set(key, json.dumps(value))
        return value
    return json.loads(_client().blocking_key_value_get(key, HOURS))


def gather(name: str, value: Any) -> list[Any]:
    """What each process gives, JSON values, in every process, in the order of processes; each waits for all."""
    count = jax.process_count()
    if count == 1:
        return [value]
    _numbers[name] = _numbers.get(name, 0) + 1
    key = f"dvdgan/{name}/{_numbers[name]}"
    _client().key_value_set(f"{key}/{jax.process_index()}", json.dumps(value))
    given = [json.loads(_client().blocking_key_value_get(f"{key}/{process}", HOURS)) for process in range(count)]
    # All are in this call, so that nobody still reads what the one before left in the store.
    if (number := _numbers[name] - 1) > 0:
        _client().key_value_delete(f"dvdgan/{name}/{number}/{jax.process_index()}")
    return given


def meet(name: str) -> None:
    """Returns when every process has called it: compiling takes one longer than another."""
    if jax.process_count() > 1:
        _numbers[name] = _numbers.get(name, 0) + 1
        _client().wait_at_barrier(f"dvdgan/{name}/{_numbers[name]}", HOURS)


class Votes:
    """What any process wants, every process does, at the same step: the largest of the numbers that they cast.

    One collective a step, of one number. It is read a step later, so that no process waits for its devices: with one process
    a vote counts at once, with several after the next step.
    """

    def __init__(self):
        """To be made by all processes at the same time."""
        self._pending: jax.Array | None = None
        self._dropping = False
        if jax.process_count() == 1:
            return
        first = {d.process_index: d for d in sorted(jax.devices(), key=lambda d: -d.id)}
        mesh = Mesh(np.array([first[i] for i in sorted(first)]), ("process",))
        self._split = NamedSharding(mesh, PartitionSpec("process"))
        self._largest = jax.jit(lambda votes: votes.max(), out_shardings=NamedSharding(mesh, PartitionSpec()))

    def drop_saves(self) -> None:
        """To be called by all processes after a save: a 1 that is still under way was cast for that same checkpoint."""
        self._dropping = True

    def cast(self, vote: int) -> int:
        """The result of the vote before, or with one process `vote` itself."""
        if jax.process_count() == 1:
            return vote
        before = 0 if self._pending is None else int(self._pending)
        if self._dropping and before == 1:
            before = 0
        self._dropping = False
        self._pending = self._largest(jax.make_array_from_process_local_data(self._split, np.array([vote], np.int32)))
        return before
