"""Checkpoints of a run (Orbax)."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from orbax.checkpoint import v1 as ocp

from dvdgan_lib import hosts
from dvdgan_lib.provenance import versions

log = logging.getLogger(__name__)


class CheckpointError(RuntimeError):
    """A checkpoint or model file that is missing, damaged or of another experiment."""


def _parts_of_checksums(state: Any) -> dict[str, int]:
    """Of each array, by its path, what this process's pieces add to its checksum: Orbax's files have none of their content.

    The parts of all processes add up, modulo 2**32, to the same number however an array is split over them. It is the sum
    of the array's words, each times an odd number made from its place, so that no single flipped bit goes unseen.
    """
    parts = {}
    for path, x in jax.tree_util.tree_leaves_with_path(state):
        if isinstance(x, jax.Array):
            pieces = [(shard.data, shard.index) for shard in x.addressable_shards if shard.replica_id == 0]
        else:  # the same in every process
            pieces = [(np.asarray(x), (slice(None),) * np.ndim(x))] if hosts.is_first() else []
        parts[jax.tree_util.keystr(path)] = (
            sum(_sum_of_words(np.asarray(data), i, np.shape(x)) for data, i in pieces) % 2**32
        )
    return parts


def _sum_of_words(data: np.ndarray, index: tuple[slice, ...], shape: tuple[int, ...]) -> int:
    """Of the piece at `index` of an array of that shape."""
    place = np.zeros((), np.uint32)  # in the whole array, of each element; it may wrap around
    for along, size in zip(index, shape, strict=True):
        place = place[..., None] * np.uint32(size) + np.arange(*along.indices(size), dtype=np.uint32)
    kind = np.uint32 if data.itemsize % 4 == 0 else np.uint8
    words = np.ascontiguousarray(data).reshape(-1).view(kind).reshape(data.size, -1)
    count = np.uint32(words.shape[1])
    numbers = (place.reshape(-1, 1) * count + np.arange(count, dtype=np.uint32)) * np.uint32(
        2 * 2654435761 % 2**32
    ) + np.uint32(1)
    return int((words * numbers).sum(dtype=np.uint32))


def _total(parts: list[dict[str, int]]) -> dict[str, int]:
    return {path: sum(part[path] for part in parts) % 2**32 for path in parts[0]}


class _AllBut:
    """Orbax's rule of which checkpoints stay behind a save: all but those of `goes`."""

    def __init__(self):
        self.goes: list[int] = []

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        return [checkpoint.step not in self.goes for checkpoint in checkpoints]


class Checkpoints:
    """The last few checkpoints of one run: the training state and the loader's position together.

    The position is saved once, not by each process, so that any number of processes can go on from it. Orbax writes into a
    temporary folder and renames it, so that a killed save leaves the checkpoint before intact. What is deleted is emptied
    first: a mounted Drive keeps deleted files in its bin, where they count like all others. A readable one is on the disk at
    all times: the last one is emptied once the next is written.
    """

    def __init__(self, folder: epath.PathLike, keep: int = 2):
        """Opens (and makes) the folder, which may be local or gs://."""
        self.folder = epath.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._local = "://" not in str(folder)
        self._empty(self.folder.glob("*.orbax-checkpoint-tmp*"))  # what killed saves left, which Orbax deletes
        self._policy = _AllBut()
        self._checkpointer = ocp.training.Checkpointer(
            self.folder.resolve() if self._local else self.folder,
            preservation_policy=self._policy,
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            cleanup_tmp_directories=True,
        )
        self._keep = keep
        self._saving: Any = None
        self._failed = False  # a checkpoint could not be written
        self._goes_later: list[int] = []  # once what is being saved is on the disk
        self._saving_step = self._readable = -1  # being saved; known to be readable

    def save(self, step: int, state: Any, data: Any, wait: bool = True) -> None:
        """Saves; `data` is the loader's iterator, its state the same in every process.

        A checkpoint of that step gives way: there is one only where it was damaged, and `restore` passed it over, or, in
        best/, where a process was killed before it could say whose it is.

        Args:
          step: its name.
          state: the training state; it may be donated as soon as this returns.
          data: the loader's iterator.
          wait: until it is on the disk. Otherwise it is written while training goes on; an error in that is raised by the
            next call of `save`, `wait` or `close`. A process killed meanwhile has the checkpoint before.

        Raises:
          CheckpointError: it can't be written, as to a full disk; one sentence.
        """
        self.wait()
        sums = _total(hosts.gather("sums", _parts_of_checksums(state)))
        content = {"state": state, "data": data.get_state(), "sums": sums, "versions": versions()}
        if not wait and jax.default_backend() == "cpu":
            # A CPU's arrays are not moved to the host, they are there: Orbax would write what the next step overwrites.
            content["state"] = jax.tree.map(lambda x: jnp.copy(x) if isinstance(x, jax.Array) else x, state)
        overwrite = step in self.steps
        if overwrite:  # Orbax deletes it before it writes
            self._empty([self.folder / str(step)])
        others = [other for other in self.steps if other != step]
        goes = others[: max(0, len(others) + 1 - self._keep)]
        # Now, where a readable one stays behind: no more of them are on the disk than are kept. A bucket has no bin.
        now = not self._local or self._readable in set(others) - set(goes)
        self._policy.goes, self._goes_later = (goes, []) if now else ([], goes)
        self._empty(self.folder / str(other) for other in self._policy.goes)
        self._saving_step = step
        with self._told():
            self._saving = self._checkpointer.save_checkpointables_async(step, content, force=True, overwrite=overwrite)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until what is being saved is on the disk."""
        saving, self._saving = self._saving, None
        if saving is not None:
            with self._told():
                saving.result()
            self._readable = self._saving_step
            self._delete_what_goes_later()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Makes one sentence of what Orbax and TensorStore raise, of many kinds, where a checkpoint can't be written."""
        try:
            yield
        except Exception as error:
            self._failed = True
            if jax.process_count() > 1:  # more often another host was lost, which `hosts` says
                raise
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise CheckpointError(
                f"The checkpoint of step {self._saving_step} can't be written to {self.folder} ({reason}): make room or "
                "mend that, and repeat the command; it goes on from the checkpoint before."
            ) from error

    def _delete_what_goes_later(self) -> None:
        goes, self._goes_later = self._goes_later, []
        if goes:
            folders = [self.folder / str(step) for step in goes]
            self._empty(folders)
            if hosts.is_first():
                for folder in folders:
                    folder.rmtree()
            hosts.meet("deleted")
            self._checkpointer.reload()  # it remembers what there was

    def _empty(self, folders: Iterable[epath.Path]) -> None:
        """Leaves nothing in their files; on a disk only, and by one process."""
        if self._local and hosts.is_first():
            for folder in folders:
                for file in Path(folder).rglob("*"):  # not epath: it has no rglob
                    if file.is_file():
                        file.write_bytes(b"")

    @property
    def steps(self) -> list[int]:
        """Steps that there are checkpoints of, oldest first."""
        return sorted(metadata.step for metadata in self._checkpointer.checkpoints)

    def restore(self, state: Any, data: Any) -> tuple[int, Any] | None:
        """Reads the newest checkpoint that can be read, and moves `data` to its position.

        Args:
          state: what to read it as: the same tree of arrays, or of ShapeDtypeStructs with shardings.
          data: the loader's iterator.

        Returns:
          (step, state), or None where there is no checkpoint. A damaged one is passed over for the one before, and said;
          with many hosts by all of them, where one finds it damaged.

        Raises:
          CheckpointError: there are checkpoints, but none that can be read.
          hosts.HostsError: not all hosts see the same checkpoints.
        """
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
        steps = self.steps
        if any(others != steps for others in hosts.gather("checkpoints", steps)):
            raise hosts.HostsError(
                f"Not all hosts see the same checkpoints in {self.folder}: it must be shared by all hosts."
            )
        for step in reversed(steps):
            loaded, saved, parts, reason = {}, {}, {}, ""
            try:
                loaded, saved = self._read(step, abstract, data)
                parts = _parts_of_checksums(loaded)
            except Exception as error:  # Orbax raises many kinds for damage; each means the same here.
                reason = str(error).partition("\n")[0][:200] or type(error).__name__  # of what can be pages
            found = hosts.gather("restored", [reason, parts])
            reason = next((why for why, _ in found if why), "")
            if not reason:
                sums = _total([part for _, part in found])
                if not (wrong := [path for path, value in sums.items() if saved.get(path, value) != value]):
                    self._readable = step
                    return step, loaded
                reason = f"{wrong[0]} is not what was saved"
            log.warning("Checkpoint of step %d in %s can't be read (%s); trying the one before.", step, self.folder, reason)
        if steps:
            raise CheckpointError(
                f"None of the checkpoints in {self.folder} (steps {', '.join(map(str, steps))}) can be read: "
                "move that folder away to train from the start."
            )
        return None

    def _read(self, step: int, abstract: Any, data: Any) -> tuple[Any, dict[str, int]]:
        """(state, its checksums as saved) of a step; moves `data` to its position."""
        grains = self.folder / str(step) / "data" / "process_0-of-1.json"  # in the first checkpoints
        first = grains.exists()
        wanted = {"state": abstract} if first else {"state": abstract, "data": None}
        if (self.folder / str(step) / "sums").exists():  # the first checkpoints had none
            wanted["sums"] = None
        loaded = self._checkpointer.load_checkpointables(step, wanted)
        data.set_state(json.loads(grains.read_text()) if first else loaded["data"])
        return loaded["state"], loaded.get("sums") or {}

    def close(self) -> None:
        """Waits for what is under way."""
        self.wait()
        # What has been told once Orbax raises again.
        with contextlib.suppress(Exception) if self._failed else contextlib.nullcontext():
            self._checkpointer.close()

    def versions(self, step: int) -> dict[str, str]:
        """The versions that a checkpoint was written by; empty for the first ones, which don't say."""
        if not (self.folder / str(step) / "versions").exists():
            return {}
        return self._checkpointer.load_checkpointables(step, {"versions": None})["versions"]
