"""A folder of videos: B.1's preparation, and bad files among good ones, on the real clips kept beside the project."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_videos import write

from dvdgan_lib.data import DataError, batches, first_clips, load, raw, video_folder
from dvdgan_lib.data.video import crop_square, read_frames

CLIPS = Path(__file__).resolve().parents[2].parent / "shared" / "clips"


@pytest.fixture
def clips():
    if not (CLIPS / "ucf101").is_dir():
        pytest.skip(f"the real clips are not there: {CLIPS}")
    return CLIPS


@pytest.fixture
def folder(clips, tmp_path):
    """Three classes of four, two and one videos, linked."""
    layout = {
        "archery": ["ucf101/v_Archery_g01_c01.avi", "ucf101/v_SoccerJuggling_g23_c01.avi"],
        "make-up": [
            "ucf101/v_ApplyEyeMakeup_g01_c01.avi",
            "ucf101/v_BabyCrawling_g04_c01.avi",
            "ucf101/v_CricketShot_g04_c01_rgb.gif",
            "kinetics/mmaction2_demo.mp4",
        ],
        "pancake": ["kinetics/flipping_a_pancake.mkv"],
    }
    for name, files in layout.items():
        (tmp_path / "videos" / name).mkdir(parents=True)
        for file in files:
            (tmp_path / "videos" / name / Path(file).name).symlink_to(clips / file)
    (tmp_path / "videos" / ".cache").mkdir()
    (tmp_path / "videos" / "notes").mkdir()
    (tmp_path / "videos" / "notes" / "readme.txt").write_text("no class")
    return tmp_path / "videos"


def open_folder(folder, split="train", num_frames=12, resolution=32, stride=2, **more):
    return load("folder", split, num_frames=num_frames, resolution=resolution, stride=stride, data_dir=folder, **more)


def test_a_folder_that_is_opened_again_is_not_decoded_again(tmp_path, monkeypatch):
    """A measurement opens it several times. What is new, or not what it was, is looked at."""
    for name in ("a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4"):
        write(tmp_path / name)
    asked = []
    monkeypatch.setattr(video_folder, "probe_all", lambda videos: asked.append(len(videos)) or raw.probe_all(videos))
    first = open_folder(tmp_path, stride=1)
    assert open_folder(tmp_path, stride=1).frames.tolist() == first.frames.tolist()
    write(tmp_path / "a/2.mp4", frames=14)
    (tmp_path / "b/2.mp4").write_bytes(b"no video")
    again = open_folder(tmp_path, stride=1)
    assert again.frames.tolist() == [14]
    assert len(again.skipped) == 1
    assert asked == [2, 0, 2]


def test_classes_splits_and_clips(folder):
    train, test = open_folder(folder), open_folder(folder, "test")
    assert train.class_names == test.class_names == ("archery", "make-up", "pancake")
    assert [p.name for p in test.paths] == [
        "v_Archery_g01_c01.avi",
        "mmaction2_demo.mp4",
        "flipping_a_pancake.mkv",
    ]
    assert set(p.name for p in train.paths) & set(p.name for p in test.paths) == {"flipping_a_pancake.mkv"}
    assert len(train) == 5
    assert train.labels.tolist() == [0, 1, 1, 1, 2]
    assert train.skipped == ()
    assert "1 classes of one video are in train and test" in train.description
    assert open_folder(folder, num_classes=2).class_names == ("archery", "make-up")
    for i in range(len(train)):
        clip = train.example(i)
        assert clip["video"].shape == (12, 32, 32, 3)
        assert clip["video"].dtype == np.uint8
        assert clip["label"] == train.labels[i]


def test_without_rng_it_is_the_middle_and_with_rng_anywhere(folder):
    source = open_folder(folder, "test", num_frames=5, resolution=24, stride=3)
    whole = read_frames(source.paths[0], 24)
    assert len(whole) == source.frames[0] == 131
    start = (131 - 13) // 2
    np.testing.assert_array_equal(source.example(0)["video"], crop_square(whole[start : start + 13 : 3]))
    drawn = [source.example(0, np.random.default_rng(i))["video"] for i in range(12)]
    assert len({video.tobytes() for video in drawn}) > 8
    whole_length = open_folder(folder, "test", num_frames=131, resolution=24, stride=1)
    assert whole_length.skipped == ()
    crops = {whole_length.example(0, np.random.default_rng(i))["video"].tobytes() for i in range(12)}
    assert 4 < len(crops) <= 9  # the window is fixed: only the crop is left to chance
    possible = {crop[k].tobytes() for k in range(131) for x in range(9) for crop in [whole[:, :, x : x + 24]]}
    assert all(frame.tobytes() in possible for video in drawn for frame in video)


def test_train_and_test_folders_are_taken_as_they_are(clips, tmp_path):
    for split, file in (("train", "v_Archery_g01_c01.avi"), ("test", "v_BabyCrawling_g04_c01.avi")):
        (tmp_path / split / "a").mkdir(parents=True)
        (tmp_path / split / "a" / file.upper()).symlink_to(clips / "ucf101" / file)
    (tmp_path / "train" / "b").mkdir()
    (tmp_path / "train" / "b" / "c.avi").symlink_to(clips / "ucf101" / "v_Archery_g01_c01.avi")
    train, test = open_folder(tmp_path), open_folder(tmp_path, "test")
    assert train.class_names == test.class_names == ("a", "b")
    assert [p.name for p in test.paths] == ["V_BABYCRAWLING_G04_C01.AVI"]
    assert train.labels.tolist() == [0, 1]


def spoil(folder, clips):
    whole = (clips / "ucf101" / "v_Archery_g01_c01.avi").read_bytes()
    (folder / "archery" / "w_cut.avi").write_bytes(whole[: len(whole) // 2])
    moov_at_the_end = (clips / "kinetics" / "R6llTwEh07w.mp4").read_bytes()
    (folder / "archery" / "w_cut.mp4").write_bytes(moov_at_the_end[: len(moov_at_the_end) // 2])
    (folder / "archery" / "x_empty.mp4").write_bytes(b"")
    (folder / "make-up" / "x_text.avi").write_text("this is a note, not a video\n" * 100)
    return {"w_cut.avi", "w_cut.mp4", "x_empty.mp4", "x_text.avi"}


def test_bad_files_are_skipped_named_and_counted(folder, clips, caplog):
    bad = spoil(folder, clips)
    with caplog.at_level(logging.WARNING):
        source = open_folder(folder)
    assert {Path(path).name for path, _ in source.skipped} == bad
    assert all(isinstance(reason, str) and reason for _, reason in source.skipped)
    assert "truncated" in dict((Path(p).name, r) for p, r in source.skipped)["w_cut.avi"]
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert message.startswith("4 of 9 videos")
    assert all(name in message for name in bad)
    assert "4 skipped" in source.description
    assert len(source) == 5
    videos, labels = first_clips(source, 5)
    assert videos.shape == (5, 12, 32, 32, 3)
    assert labels.tolist() == [0, 1, 2, 1, 1]


def test_short_videos_are_skipped_and_a_long_list_is_capped(folder, clips, caplog):
    for i in range(15):
        (folder / "pancake" / f"short{i:02}.gif").symlink_to(clips / "ucf101" / "v_CricketShot_g04_c01_rgb.gif")
    with caplog.at_level(logging.WARNING):
        source = open_folder(folder, num_frames=100, stride=1)
    assert source.skipped[-1][1] == "too short: 79 frames of the 100 needed"
    message = caplog.records[0].getMessage()
    assert message.count("too short") == 10
    assert f"and {len(source.skipped) - 10} more" in message


def test_a_video_that_fails_later_is_replaced_by_one_of_its_class(folder, caplog):
    source = open_folder(folder)
    lost = source.paths[2]
    following = source.example(3)["video"]
    lost.unlink()
    with caplog.at_level(logging.WARNING):
        clip = source.example(2)
    np.testing.assert_array_equal(clip["video"], following)
    assert clip["label"] == 1
    assert str(lost) in caplog.text
    shutil.rmtree(folder)
    with pytest.raises(DataError, match="'archery'"):
        source.example(0)


def test_folders_without_videos_are_refused(folder, clips, tmp_path):
    with pytest.raises(DataError, match=r"There is no folder .*nowhere: expected .*nowhere/CLASS/"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no subfolders with videos"):
        open_folder(tmp_path / "empty")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "v.avi").symlink_to(clips / "ucf101" / "v_Archery_g01_c01.avi")
    with pytest.raises(DataError, match="no subfolders with videos"):
        open_folder(tmp_path / "flat")
    (tmp_path / "bad" / "a").mkdir(parents=True)
    (tmp_path / "bad" / "a" / "v.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of its 1 videos is usable: .*v\.mp4 \(unreadable"):
        open_folder(tmp_path / "bad")
    with pytest.raises(ValueError, match="train, test"):
        open_folder(folder, "valid")
    with pytest.raises(ValueError, match="1 to 3 classes"):
        open_folder(folder, num_classes=4)


def test_batches_from_a_folder_resume(folder):
    source = open_folder(folder, num_frames=3, resolution=16)
    iterator = batches(source, 4, seed=1)
    next(iterator)
    state = iterator.get_state()
    wanted = next(iterator)
    fresh = batches(source, 4, seed=1)
    fresh.set_state(state)
    np.testing.assert_array_equal(next(fresh)["video"], wanted["video"])
