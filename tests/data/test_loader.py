"""Batches: every example once an epoch, in an order that the seed decides, from which one can go on exactly."""

import contextlib
import dataclasses
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib.data import DataError, batches, first_clips, first_of_each_class, load, loader

ROOT = Path(__file__).resolve().parents[2]


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


def test_batches_of_runs_that_began_before_replicas_are_what_they_were():
    """Order and random numbers, from the loader as it was; a release of Grain that changed them would end those runs."""
    made = [batch["video"][:, 0, 0, 0, :2].tolist() for batch in take(batches(numbered(), 4, seed=5), 7)]
    assert made[0] == [[12, 196], [9, 209], [14, 63], [15, 85]]
    assert made[6] == [[6, 187], [10, 113], [5, 177], [12, 170]], "the second epoch"


# --- Replicas and hosts -----------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    blocks=st.integers(1, 3),
    replicas=st.sampled_from([1, 2, 4]),
    hosts=st.sampled_from([1, 2, 4]),
    clips=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
    done=st.integers(0, 40),
)
def test_hosts_together_make_the_global_batch(blocks, replicas, hosts, clips, seed, done):
    source, settings = numbered(clips), {"batch_size": 4 * blocks, "seed": seed, "replicas": replicas, "threads": 1}
    states, made = [], []
    for shares in ({}, *({"host": host, "hosts": hosts} for host in range(hosts))):
        with contextlib.closing(batches(source, **settings, **shares)) as iterator:
            iterator.set_state({"next_index": done})
            made.append(take(iterator, 2))
            states.append(json.dumps(iterator.get_state()))
    together = [{key: np.concatenate([host[i][key] for host in made[1:]]) for key in made[0][i]} for i in range(2)]
    assert_same(together, made[0])
    assert set(states) == {f'{{"next_index": {done + 2}}}'}, "the position is the same for all"


def streams(source, batch_size, replicas, epochs):
    """What each replica saw: [replicas, epochs, len(source), 2] of (clip, random number)."""
    count = epochs * len(source) * replicas // batch_size
    made = np.stack([b["video"][:, 0, 0, 0, :2] for b in take(batches(source, batch_size, 3, replicas=replicas), count)])
    blocks = made.reshape(count, replicas, batch_size // replicas, 2)
    return blocks.swapaxes(0, 1).reshape(replicas, epochs, len(source), 2)


def test_each_replica_shuffles_the_whole_set_by_itself():
    seen = streams(numbered(24), batch_size=12, replicas=4, epochs=3)
    assert (np.sort(seen[..., 0]) == np.arange(24)).all(), "each example once in each epoch of each replica"
    orders = {tuple(epoch) for epoch in seen[..., 0].reshape(12, 24).tolist()}
    assert len(orders) == 12
    # Independent: two of them agree about as often in a place as chance has it, 1 of 24.
    agree = [np.mean(a[..., 0] == b[..., 0]) for a, b in itertools.combinations(seen, 2)]
    assert np.mean(agree) < 0.1
    # So do windows and crops: the random numbers that the replicas have for one clip.
    drawn = np.take_along_axis(seen[:, 0, :, 1], np.argsort(seen[:, 0, :, 0]), 1)
    assert np.mean(drawn[0] == drawn[1]) < 0.2


def test_seeds_and_replicas_have_nothing_in_common():
    few = {"epochs": 1, "batch_size": 8}
    one, two, four = (streams(numbered(24), replicas=r, **few)[:, 0, :, 0].tolist() for r in (1, 2, 4))
    assert one[0] not in two
    assert four[:2] == two, "a replica is known by its number, not by how many there are"


def test_one_replica_gives_hosts_disjoint_shares_of_each_epoch():
    hosts = [batches(numbered(24), 8, seed=0, host=host, hosts=2) for host in range(2)]
    for _ in range(4):
        shares = [np.concatenate([b["video"][:, 0, 0, 0, 0] for b in take(host, 3)]) for host in hosts]
        assert sorted(np.concatenate(shares)) == list(range(24))
        assert not set(shares[0]) & set(shares[1])


def test_what_cannot_be_split_is_refused():
    source = numbered()
    with pytest.raises(ValueError, match=r"A batch of 6 clips cannot be split over 4 replicas evenly\."):
        batches(source, 6, seed=0, replicas=4)
    with pytest.raises(ValueError, match=r"A batch of 6 clips cannot be split over 4 hosts evenly\."):
        batches(source, 6, seed=0, host=1, hosts=4)
    for host in (-1, 2):
        with pytest.raises(ValueError, match=f"hosts 0 to 1, not {host}"):
            batches(source, 6, seed=0, host=host, hosts=2)


# --- Processes --------------------------------------------------------------------------------------------------------

# A script as a user writes it: a source of its own, no `if __name__ == "__main__"`, and nothing closed.
SCRIPT = """
import hashlib, os, signal
import numpy as np
from dvdgan_lib.data import batches
print("the script runs")

class Mine:
    labels, class_names, description = np.arange(50, dtype=np.int32) % 3, ("a", "b", "c"), "mine"
    def __len__(self):
        return 50
    def example(self, index, rng=None):
        video = rng.integers(0, 256, (3, 8, 8, 3), np.uint8)
        return {"video": video, "label": np.int32(index % 3)}

def digest(iterator, count):
    parts = [part for _ in range(count) for part in next(iterator).values()]
    assert all(type(part) is np.ndarray for part in parts)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

threads, processes = (batches(Mine(), 8, 1, replicas=2, host=1, hosts=2, processes=p) for p in (0, 2))
assert digest(processes, 5) == digest(threads, 5)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.killpg(0, signal.SIGTERM)  # as where a batch system ends a job: the workers serve on
assert digest(processes, 9) == digest(threads, 9)
assert processes.get_state() == threads.get_state() == {"next_index": 14}
print("it ends")
"""


def test_processes_make_the_same_batches_in_any_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=600, start_new_session=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "the script runs\nit ends\n", "no worker runs the script"
    assert "Exception" not in run.stderr, "workers end before the interpreter does"


def test_a_worker_ends_with_its_parent(monkeypatch):
    dead, ended, signals = threading.Event(), threading.Event(), []
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(join=dead.wait))
    monkeypatch.setattr(os, "_exit", lambda _: ended.set())
    monkeypatch.setattr(signal, "signal", lambda *arguments: signals.append(arguments))
    loader._begin_worker(0, 2)
    assert set(signals) == {(signal.SIGINT, signal.SIG_IGN), (signal.SIGTERM, signal.SIG_IGN)}
    assert not ended.wait(0.05)
    dead.set()
    assert ended.wait(10)


def test_a_source_that_cannot_be_sent_is_said_at_once():
    source = numbered()
    source.lock = threading.Lock()
    with pytest.raises(ValueError, match=r"Numbered cannot be sent to processes \(.*lock.*with processes=0") as error:
        batches(source, 4, seed=0, processes=2)
    assert "\n" not in str(error.value)
    next(batches(source, 4, seed=0))


# --- Parts of a data set ----------------------------------------------------------------------------------------------


def test_first_of_each_class_keeps_order_labels_and_clips():
    source = Numbered(np.array([2, 0, 0, 0, 1, 2, 0, 2], np.int32))
    view = first_of_each_class(source, 2)
    assert len(view) == 5
    assert view.labels.tolist() == [2, 0, 0, 1, 2]
    assert view.labels.dtype == np.int32
    assert [int(view.example(i)["video"][0, 0, 0, 0]) for i in range(5)] == [0, 1, 2, 4, 5]
    assert (view.class_names, source.description in view.description) == (source.class_names, True)
    assert "first 2 clips of each class" in view.description
    with pytest.raises(IndexError, match="clips 0 to 4, not 5"):
        view.example(5)
    assert first_of_each_class(source, 100).labels.tolist() == source.labels.tolist()
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"At least 1 clip of each class must be left, not {n}"):
            first_of_each_class(source, n)


def test_a_view_is_batched_and_looked_at_like_its_source():
    view = first_of_each_class(numbered(23), 3)
    seen = [b["video"][:, 0, 0, 0, :2] for b in take(batches(view, 3, seed=0), 6)]
    assert sorted(np.concatenate(seen)[:9, 0]) == sorted(np.concatenate(seen)[9:, 0]) == list(range(9))
    assert len(np.unique(np.concatenate(seen)[:, 1])) > 9, "windows are drawn"
    videos, labels = first_clips(view, 9)
    wanted, wanted_labels = first_clips(numbered(23), 9)
    np.testing.assert_array_equal(videos, wanted)
    np.testing.assert_array_equal(labels, wanted_labels)
    with pytest.raises(ValueError, match="there are 9 in numbers; no more than"):
        first_clips(view, 10)


def test_load_limits_clips_of_a_class():
    size = {"num_frames": 2, "resolution": 8, "num_classes": 4}
    whole = load("moving_shapes", "train", **size)
    few = load("moving_shapes", "train", **size, clips_per_class=3)
    assert len(few) == 12
    np.testing.assert_array_equal(np.bincount(few.labels), [3] * 4)
    np.testing.assert_array_equal(few.example(11)["video"], whole.example(11)["video"])


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
    with pytest.raises(DataError, match="There is no data set 'kinetics': there are moving_shapes, "):
        load("kinetics", "train", num_frames=2, resolution=8)
    with pytest.raises(ValueError, match="num_frames must be at least 1"):
        load("moving_shapes", "train", num_frames=0, resolution=8)
    with pytest.raises(ValueError, match="data_dir"):
        load("folder", "train", num_frames=1, resolution=8)
    with pytest.raises(ValueError, match="at least 1 clip"):
        batches(numbered(), 0, seed=0)
