"""A prepared data set as training reads it: which videos, which windows, and what is done about damage."""

import io
import logging
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from made_videos import DecoderHere, decoded, split_of, write

from dvdgan_lib import data
from dvdgan_lib.data import DataError, preparation
from dvdgan_lib.data.prepared import PreparedVideos

FRAMES = {"0.mp4": 9, "1.mp4": 10, "2.mp4": 20, "3.mp4": 21, "4.mp4": 30, "5.mp4": 31}  # class i % 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of raw videos, and the prepared ones by how they are stored."""
    root = tmp_path_factory.mktemp("prepared")
    for seed, (name, frames) in enumerate(FRAMES.items()):
        write(
            root / "raw" / name, frames, height=25, width=37, codec="ffv1", pix_fmt="yuv444p", seed=seed, format="matroska"
        )
    names = {name: i % 3 for i, name in enumerate(FRAMES)}
    splits = {"train": split_of(names, root / "raw"), "val": split_of({"4.mp4": 1}, root / "raw")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "Decoder", DecoderHere)
        preparation.prepare(splits, root / "original", shard_videos=2)
        preparation.prepare(splits, root / "encoded", shard_videos=2, short_side=20)
    return root


def opened(folder, num_frames=4, resolution=16, stride=1, num_classes=None, split="train"):
    return PreparedVideos(split, num_frames, resolution, stride, num_classes, data_dir=folder)


def test_videos_too_short_for_a_clip_are_left_out_and_counted(made):
    source = opened(made / "original", num_frames=11, stride=2)  # 21 frames
    assert len(source) == 3
    assert source.frames.tolist() == [21, 30, 31]
    assert source.labels.tolist() == [0, 1, 2]
    assert source.too_short == 3
    assert "3 too short" in source.description
    with pytest.raises(DataError, match=r"No video of .* has the 40 frames .* stride 1 takes; the longest has 31"):
        opened(made / "original", num_frames=40)


def test_classes_and_splits(made):
    two = opened(made / "original", num_classes=2)
    assert two.class_names == ("a", "b")
    assert two.labels.tolist() == [0, 1, 0, 1]
    assert len(opened(made / "original", split="test")) == 1  # there is only "val"
    with pytest.raises(DataError, match="no split 'all': there are train, val"):
        opened(made / "original", split="all")
    with pytest.raises(ValueError, match="has 1 to 3 classes, not 4"):
        opened(made / "original", num_classes=4)
    with pytest.raises(DataError, match=r"holds videos of 20 pixels, and 32 are asked for: .* short_side=32 or more"):
        opened(made / "encoded", resolution=32)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_window_of_an_encoded_video_is_that_of_all_its_frames(made, stride):
    """Reading begins at the key frame before the window, of which there is one in twelve."""
    source = opened(made / "encoded", num_frames=3, resolution=20, stride=stride)
    index = 5
    whole = decoded(io.BytesIO(bytes(np.asarray(source._records[index]["video"]).item())))
    assert whole.shape[:2] == (31, 20)

    class Start:
        """Draws the start that it is told, and the middle of the width."""

        def __init__(self, start):
            self.left = [start, (whole.shape[2] - 20) // 2]

        def integers(self, bound):
            assert 0 <= self.left[0] < bound
            return self.left.pop(0)

    for start in range(31 - 2 * stride):
        clip = source.example(index, Start(start))["video"]
        left = (whole.shape[2] - 20) // 2
        np.testing.assert_array_equal(clip, whole[start : start + 2 * stride + 1 : stride, :, left : left + 20])


def test_it_goes_to_other_processes_and_threads(made):
    source = opened(made / "encoded")
    sent = pickle.loads(pickle.dumps(source))
    alone = [source.example(i % 6, np.random.default_rng(i))["video"] for i in range(48)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: sent.example(i % 6, np.random.default_rng(i))["video"], range(48)))
    np.testing.assert_array_equal(alone, together)
    batch = next(data.batches(source, 8, seed=0))
    assert batch["video"].shape == (8, 4, 16, 16, 3)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "dataset_info.json").unlink(), "begun and not finished: start it again"),
        (lambda folder: shutil.rmtree(folder), "no prepared data set in .*notebooks/01_data_prep"),
        (lambda folder: (folder / "index-train.npz").write_bytes(b"PK"), "is damaged"),
        (lambda folder: (folder / "preparation.json").write_text("{"), "is damaged"),
        (lambda folder: next(folder.glob("videos-train*00001-of*")).unlink(), "is damaged .*is missing"),
        (lambda folder: next(folder.glob("videos-train*00001-of*")).write_bytes(b"x"), "is damaged .*has 1 of"),
    ],
)
def test_what_is_not_whole_is_refused_with_what_to_do(made, tmp_path, damage, said):
    folder = shutil.copytree(made / "original", tmp_path / "copy")
    damage(folder)
    with pytest.raises(DataError, match=said):
        opened(folder)


def test_a_damaged_record_gives_way_to_another_of_its_class(made, tmp_path, caplog):
    folder = shutil.copytree(made / "original", tmp_path / "copy")
    shard = next(folder.glob("videos-train*00000-of*"))  # videos 0 and 1, of classes 0 and 1
    content = bytearray(shard.read_bytes())
    middle = content.index((made / "raw" / "0.mp4").read_bytes()[2000:2064])
    content[middle : middle + 64] = bytes(64)
    shard.write_bytes(content)
    source = opened(folder)
    with caplog.at_level(logging.WARNING):
        clips = [source.example(i) for i in range(6)]
    assert "another of its class" in caplog.text
    assert [int(clip["label"]) for clip in clips] == source.labels.tolist()
    whole = opened(made / "original")
    np.testing.assert_array_equal(clips[0]["video"], whole.example(3)["video"])  # the next of class 0
    for i in (2, 3, 4, 5):
        np.testing.assert_array_equal(clips[i]["video"], whole.example(i)["video"])
