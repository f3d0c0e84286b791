"""From a data set to endless shuffled batches, and to the first clips that metrics and figures look at."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import multiprocessing
import os
import signal
import sys
import threading
import types
import weakref
from collections.abc import Iterator
from typing import Protocol

import grain
import numpy as np
from tqdm.auto import tqdm


class VideoSource(Protocol):
    """What a data set offers. Clips have T frames of H = W = resolution pixels, as asked for when it was loaded.

    Attributes:
      class_names: one name a class; a label is an index into them.
      labels: int32 [len(source)], the label of each example, known without decoding it.
      description: one line for captions and provenance; says what a stand-in stands for.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    description: str

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def example(self, index: int, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
        """{"video": uint8 [T, H, W, 3], "label": int32}.

        Without `rng` always the same clip (the middle of the video and of the frame); with it a random window and
        crop, where the source leaves a choice.
        """
        ...


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Which clip of which replica's stream stands in each row that a host makes: Grain's selection map, plain arithmetic."""

    batch_size: int
    replicas: int
    host: int
    hosts: int

    def __len__(self) -> int:
        return 2**62  # endless; sys.maxsize, rounded to a float as Grain's batches do, would be one too many

    def __getitem__(self, index: int) -> tuple[int, int]:
        own, block = self.batch_size // self.hosts, self.batch_size // self.replicas
        batch, row = divmod(index, own)
        replica, place = divmod(self.host * own + row, block)
        return replica, batch * block + place


class Batches(Iterator[dict[str, np.ndarray]]):
    """Endless batches, see `batches`, from a position that can be read and set."""

    def __init__(self, dataset: grain.MapDataset, threads: int, processes: int):
        """dataset: batch by batch, each a function of its number."""
        self._dataset, self._threads, self._processes = dataset, threads, processes
        self._position = 0
        self._making: list[grain.DatasetIterator] = []  # one, or none where nothing has been asked for yet
        self._first: collections.deque[dict[str, np.ndarray]] = collections.deque()  # batches that are there already
        # Also where the interpreter ends: Grain's processes would be ended too late, and not quietly.
        weakref.finalize(self, _end, self._making)

    def __next__(self) -> dict[str, np.ndarray]:
        """{"video": uint8 [B/H, T, H, W, 3], "label": int32 [B/H]}."""
        if not self._making:
            self._start()
        batch = self._first.popleft() if self._first else self._make()
        self._position += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """{"next_index": the next batch's number}: the same on every host, for any number of hosts, threads, processes."""
        return {"next_index": self._position}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes on from there."""
        self.close()
        self._position = int(state["next_index"])

    def close(self) -> None:
        """Ends threads and processes; the next batch starts them again."""
        _end(self._making)
        self._first.clear()

    def _start(self) -> None:
        options = grain.ReadOptions(num_threads=self._threads, prefetch_buffer_size=self._threads + 1)
        dataset = self._dataset.slice(slice(self._position, None)).to_iter_dataset(options)
        if self._processes:
            workers = grain.MultiprocessingOptions(num_workers=self._processes, per_worker_buffer_size=1)
            dataset = dataset.mp_prefetch(workers, _begin_worker)
        self._making.append(iter(dataset))
        if self._processes:
            with _settings_for_workers():  # all of them have started when each has made a batch
                self._first.extend(self._make() for _ in range(self._processes))

    def _make(self) -> dict[str, np.ndarray]:
        batch = next(self._making[0])
        # Ordinary arrays, not Grain's in shared memory, which complain when the interpreter ends before them.
        return {name: np.array(array) for name, array in batch.items()} if self._processes else batch


def _end(making: list[grain.DatasetIterator]) -> None:
    while making:
        making.pop().close()


@contextlib.contextmanager
def _settings_for_workers() -> Iterator[None]:
    """What Grain's worker processes need to start from any program."""
    from absl import flags  # comes with Grain

    if not flags.FLAGS.is_parsed():  # Grain reads flags, which only programs of absl's parse (grain issue 1355)
        flags.FLAGS.mark_as_parsed()
    # A new process would run the program's main file again, up to where it started processes: a script without
    # `if __name__ == "__main__"` would train once more. Nothing of that file is wanted there that is not sent to it.
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _begin_worker(index: int, count: int) -> None:
    """In a worker: it ends with its parent, however that ends, and not before it."""
    del index, count
    for s in (signal.SIGINT, signal.SIGTERM):  # they reach whole groups; the parent still wants batches for its last step
        signal.signal(s, signal.SIG_IGN)

    def follow() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def batches(
    source: VideoSource,
    batch_size: int,
    seed: int,
    *,
    replicas: int = 1,
    host: int = 0,
    hosts: int = 1,
    threads: int | None = None,
    processes: int = 0,
) -> Batches:
    """Endless batches, or a host's rows of them.

    "For all datasets we randomly shuffle the training set for each model replica independently" (appendix B.1): a batch
    is `replicas` equal blocks, and block r goes on in replica r's own endless stream, each epoch of which is the whole set
    in a new random order, with windows and crops of its own. With one replica the whole batch is one such stream, and
    hosts get disjoint shares: each example once an epoch over all of them.

    Batch i depends on source, seed, batch_size and replicas only. Host h of H makes its rows [h*B/H, (h+1)*B/H), so that a
    run may go on with another number of hosts and see the same batches.

    Args:
      source: the data set.
      batch_size: B, over all hosts. Batches run on across the ends of epochs, so that no example is left out.
      seed: decides order, windows and crops. 0 to 2**32 - 1.
      replicas: how many streams share a batch; it must divide B.
      host: whose rows to make, 0 to hosts - 1.
      hosts: H; it must divide B.
      threads: how many batches are made ahead, each in its thread; None takes one a core, at most 16. With processes,
        that many in each of them, None being one.
      processes: make batches in that many processes instead, on hosts with many cores: threads wait for each other where
        making a clip is Python's work, not a decoder's. The batches are the same. Needs shared memory for three
        batches a process; `close()` ends them.

    Returns:
      An iterator of {"video": uint8 [B/H, T, H, W, 3], "label": int32 [B/H]}. get_state() and set_state() save and restore
      the exact next batch.

    Raises:
      ValueError: B can't be split as asked, or the source can't be sent to processes; one sentence.
    """
    if batch_size < 1:
        raise ValueError(f"A batch holds at least 1 clip, not {batch_size}.")
    for what, number in (("replicas", replicas), ("hosts", hosts)):
        if number < 1 or batch_size % number:
            raise ValueError(f"A batch of {batch_size} clips cannot be split over {number} {what} evenly.")
    if not 0 <= host < hosts:
        raise ValueError(f"There are hosts 0 to {hosts - 1}, not {host}.")
    if processes:
        _check_can_be_sent(source)
    threads = threads or (1 if processes else min(os.cpu_count() or 1, 16))

    def example(index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return source.example(int(index), rng)

    # A single replica's stream is that of the seed itself.
    spawned = np.random.SeedSequence(seed).spawn(replicas)
    seeds = [seed] if replicas == 1 else [int(child.generate_state(1)[0]) for child in spawned]
    streams = [grain.MapDataset.range(len(source)).seed(s).shuffle().random_map(example).repeat() for s in seeds]
    rows = _Rows(batch_size, replicas, host, hosts)
    dataset = grain.MapDataset.select_from_datasets(streams, rows).batch(batch_size // hosts)
    return Batches(dataset, threads, processes)


def _check_can_be_sent(source: VideoSource) -> None:
    import cloudpickle  # comes with Grain, which sends by it

    try:
        cloudpickle.dumps(source)
    except Exception as error:  # whatever the source's parts raise
        raise ValueError(
            f"{type(source).__name__} cannot be sent to processes ({error}): make batches in threads, with processes=0."
        ) from error


class _FirstOfEachClass:
    """See `first_of_each_class`."""

    def __init__(self, source: VideoSource, n: int):
        if n < 1:
            raise ValueError(f"At least 1 clip of each class must be left, not {n}.")
        labels = np.asarray(source.labels)
        self.source, self.indices = source, np.flatnonzero(_rank_in_class(labels) < n)
        self.class_names, self.labels = source.class_names, labels[self.indices]
        self.description = f"{source.description}; no more than the first {n} clips of each class"

    def __len__(self) -> int:
        return len(self.indices)

    def example(self, index: int, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"There are clips 0 to {len(self) - 1}, not {index}: {self.description}.")
        return self.source.example(int(self.indices[index]), rng)


def first_of_each_class(source: VideoSource, n: int) -> VideoSource:
    """The data set cut down to the first n clips of each class, in its own order; all of a class that has fewer.

    Raises:
      ValueError: n < 1.
    """
    return _FirstOfEachClass(source, n)


def _rank_in_class(labels: np.ndarray) -> np.ndarray:
    """How many earlier examples have the same class: int [N] -> int64 [N]."""
    by_class = np.argsort(labels, kind="stable")
    place = np.empty(len(labels), np.int64)
    place[by_class] = np.arange(len(labels))
    return place - np.searchsorted(labels[by_class], labels)


def first_clips(source: VideoSource, num: int, offset: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Always the same `num` clips, the classes in turn: clip i has label i % num_classes while every class has clips.

    Args:
      source: the data set.
      num: N.
      offset: leave out that many first, for a set disjoint from another.

    Returns:
      Videos, uint8 [N, T, H, W, 3], and labels, int32 [N].
    """
    if num < 1 or offset < 0 or offset + num > len(source):
        raise ValueError(
            f"Clips {offset} to {offset + num - 1} were asked for, but there are {len(source)} in {source.description}."
        )
    labels = np.asarray(source.labels)
    order = np.lexsort((labels, _rank_in_class(labels)))[offset : offset + num]
    first = source.example(int(order[0]))["video"]
    videos = np.empty((num, *first.shape), np.uint8)
    for i, index in enumerate(tqdm(order, desc="clips", unit="clip", disable=num < 500, leave=False)):
        videos[i] = source.example(int(index))["video"]
    return videos, labels[order].astype(np.int32)
