"""From a data set to endless shuffled batches, and to the first clips that metrics and figures look at."""

from __future__ import annotations

import os
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


def batches(source: VideoSource, batch_size: int, seed: int, threads: int | None = None) -> grain.DatasetIterator:
    """Endless batches, each epoch in a new random order over the whole set (appendix B.1).

    Args:
      source: the data set.
      batch_size: B. Batches run on across the ends of epochs, so that no example is left out.
      seed: decides order, windows and crops, for any number of threads; each replica takes its own. 0 to 2**32 - 1.
      threads: how many batches are made ahead, each in its thread; None takes one a core, at most 16. (Grain's
        processes would be faster for decoding, but crash in notebooks: grain issue 1355.)

    Returns:
      An iterator of {"video": uint8 [B, T, H, W, 3], "label": int32 [B]}. get_state() and set_state() save and restore
      the exact next batch, and it can be handed to Orbax's v1 `save_checkpointables` as it is.
    """
    if batch_size < 1:
        raise ValueError(f"A batch holds at least 1 clip, not {batch_size}.")
    threads = threads or min(os.cpu_count() or 1, 16)
    dataset = (
        grain.MapDataset.range(len(source))
        .seed(seed)
        .shuffle()
        .random_map(lambda index, rng: source.example(int(index), rng))
        .repeat()
        .batch(batch_size)
    )
    return iter(dataset.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 1)))


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
    by_class = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_class], labels)
    rank = np.empty(len(labels), np.int64)  # how many earlier examples have the same class
    rank[by_class] = np.arange(len(labels))
    order = np.lexsort((labels, rank - starts))[offset : offset + num]
    first = source.example(int(order[0]))["video"]
    videos = np.empty((num, *first.shape), np.uint8)
    for i, index in enumerate(tqdm(order, desc="clips", unit="clip", disable=num < 500, leave=False)):
        videos[i] = source.example(int(index))["video"]
    return videos, labels[order].astype(np.int32)
