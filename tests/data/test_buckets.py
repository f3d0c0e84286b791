"""A prepared data set is read from a bucket as from a disk; the bucket is a server on this machine."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import av
import numpy as np
import pytest
from fake_bucket import FakeBucket

from dvdgan_lib.data import batches, load, preparation
from dvdgan_lib.data.raw import RawSplit, RawVideo

SIZE = {"num_frames": 3, "resolution": 16, "stride": 2}
OUTAGE = 2  # seconds
PATIENCE = 1200  # seconds for the reader, on a machine that is busy
# Another process, since clients read the environment once. After each part it says what it has found, and waits.
READER = """
import json, os, sys
import numpy as np
from dvdgan_lib import data

size = json.loads(sys.argv[1])

def say(*found):
    print(json.dumps(found), flush=True)
    sys.stdin.readline()

def mistake(call):
    try:
        call()
    except data.DataError as error:
        return str(error)

train = data.load("ucf101", "train", **size)
test = data.load("folder", "test", data_dir=os.environ["DVDGAN_DATA"] + "/ucf101", **size)
batches = data.batches(train, 4, seed=0, threads=3)
np.savez(
    sys.argv[2],
    train=[train.example(i)["video"] for i in range(len(train))],
    test=[test.example(i)["video"] for i in range(len(test))],
    batches=[next(batches)["video"] for _ in range(4)],
)
batches.close()
say(train.description, mistake(lambda: data.load("bair", "train", **size)))
say([train.example(i)["video"].tolist() for i in range(2)])
batches = data.batches(train, 4, seed=0, threads=3)
say(
    mistake(lambda: train.example(0)),
    mistake(lambda: next(batches)),
    mistake(lambda: data.load("ucf101", "train", **size)),
    mistake(lambda: data.load("folder", "train", data_dir="gs://bucket/videos", **size)),
)
say(train.example(0)["video"].tolist())
"""


def make_video(path, seed, frames=6):
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for _ in range(frames):
            picture = rng.integers(0, 256, (24, 32, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """ucf101 and the same in buckets/bucket/data/ucf101: six videos for training in three shards, two for testing."""
    folder = tmp_path_factory.mktemp("buckets")
    videos = [RawVideo(f"v{i}", i % 2, make_video(folder / f"v{i}.avi", i)) for i in range(8)]
    parts = {"train": videos[:6], "test": videos[6:]}
    splits = {name: RawSplit(f"Made, {name}", ("archery", "biking"), tuple(part)) for name, part in parts.items()}
    preparation.prepare(splits, folder / "ucf101", shard_videos=2, workers=1)
    shutil.copytree(folder / "ucf101", folder / "buckets" / "bucket" / "data" / "ucf101")
    return folder


@pytest.fixture(scope="module")
def read(folder):
    """What the reader found: at first, while the bucket was away for a moment, while it was closed to us, and afterwards."""
    with FakeBucket(folder / "buckets") as bucket:
        process = subprocess.Popen(
            [sys.executable, "-c", READER, json.dumps(SIZE), str(folder / "read.npz")],
            env=os.environ | bucket.environment | {"DVDGAN_DATA": "gs://bucket/data"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        deadline = threading.Timer(PATIENCE, process.kill)
        deadline.start()

        def go_on(refusing):
            bucket.refusing, begin = refusing, time.monotonic()
            process.stdin.write("\n")
            process.stdin.flush()
            return [*json.loads(process.stdout.readline()), time.monotonic() - begin]

        with process:
            at_first = json.loads(process.stdout.readline())
            threading.Timer(OUTAGE, setattr, (bucket, "refusing", None)).start()
            found = {"at_first": at_first, "outage": go_on(503), "closed": go_on(403), "afterwards": go_on(None)}
            process.stdin.close()
    deadline.cancel()
    assert process.returncode == 0
    return found


@pytest.fixture(scope="module")
def local(folder):
    return load("folder", "train", data_dir=str(folder / "ucf101"), **SIZE)


def test_clips_and_batches_are_those_of_the_disk(folder, local, read):
    test = load("folder", "test", data_dir=str(folder / "ucf101"), **SIZE)
    made = batches(local, 4, seed=0, threads=3)
    with np.load(folder / "read.npz") as clips:
        np.testing.assert_array_equal(clips["train"], [local.example(i)["video"] for i in range(6)])
        np.testing.assert_array_equal(clips["test"], [test.example(i)["video"] for i in range(2)])
        np.testing.assert_array_equal(clips["batches"], [next(made)["video"] for _ in range(4)])
    made.close()
    assert read["at_first"][0] == local.description


def test_a_missing_data_set_is_said_with_where_it_would_be(read):
    assert read["at_first"][1].startswith("Nothing to read: there is no prepared data set in gs://bucket/data/bair: ")


def test_a_short_outage_is_waited_for(local, read):
    videos, seconds = read["outage"]
    np.testing.assert_array_equal(videos, [local.example(i)["video"] for i in range(2)])
    assert seconds > OUTAGE / 2


def test_a_bucket_that_is_closed_is_said(local, read):
    example, batch, opened_again, opened, seconds = read["closed"]
    assert "No record of class 'archery' is readable" in example
    assert "No record of class" in batch
    assert "refused by the test" in example
    assert opened_again.startswith("gs://bucket/data/ucf101 cannot be read, or is damaged (Forbidden")
    assert opened.startswith("gs://bucket/videos cannot be looked into (")
    assert opened.endswith(": is its name right, is there a network, and may this machine read there?")
    assert "\n" not in opened_again + opened
    assert seconds < 60  # without trying for long: nothing will change
    np.testing.assert_array_equal(read["afterwards"][0], local.example(0)["video"])
