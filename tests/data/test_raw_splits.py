"""Each data set, laid out as it comes, gives its splits; what is missing is said with where to get it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dvdgan_lib.data import DataError, fetch, raw_splits

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "clips"
HEADER = "label,youtube_id,time_start,time_end,split\n"


@pytest.fixture
def ucf(tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 Biking\n")
    (lists / "trainlist01.txt").write_text("Archery/v_Archery_g08_c01.avi 1\nBiking/v_Biking_g08_c01.avi 2\n")
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\n")
    for name in ("Archery/v_Archery_g08_c01", "Biking/v_Biking_g08_c01", "Archery/v_Archery_g01_c01"):
        path = tmp_path / "UCF-101" / f"{name}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def keys(splits):
    return {split: [video.key for video in raw.videos] for split, raw in splits.items()}


def test_ucf101_from_a_folder_and_from_the_archive(ucf):
    expected = {"train": ["v_Archery_g08_c01", "v_Biking_g08_c01"], "test": ["v_Archery_g01_c01"]}
    assert keys(raw_splits.find("ucf101", ucf / "UCF-101", ucf / "lists")) == expected
    archive = shutil.make_archive(str(ucf / "UCF101"), "zip", ucf, "UCF-101")
    for _ in range(2):  # unpacked once, then found
        assert keys(raw_splits.find("ucf101", archive, ucf / "lists")) == expected


@pytest.mark.parametrize(
    "layout", [{"train": "train", "val": "val"}, {"train": "", "val": ""}, {"train": "training", "val": "validate"}]
)
def test_kinetics_in_folders_of_splits_or_in_one(tmp_path, layout):
    ids = {"train": "A" * 11, "val": "B" * 11}
    lists, raw = tmp_path / "lists", tmp_path / "videos"
    lists.mkdir()
    rows = "".join(f"class {i:03},{'C' * 8}{i:03},0,10,train\n" for i in range(600))
    (lists / "train.csv").write_text(HEADER + rows + f"class 007,{ids['train']},5,15,train\n")
    (lists / "kinetics600_val.txt").write_text(HEADER + f"class 009,{ids['val']},3,13,val\n")
    for split, folder in layout.items():
        path = raw / folder / "some class" / f"{ids[split]}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    splits = raw_splits.find("kinetics600", raw, lists)
    assert keys(splits) == {"train": [f"{ids['train']}_000005_000015"], "val": [f"{ids['val']}_000003_000013"]}
    assert [raw.videos[0].label for raw in splits.values()] == [7, 9]
    assert {len(raw.class_names) for raw in splits.values()} == {600}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hmdb", "x"), r"no raw data set 'hmdb': there are ucf101, kinetics600, bair, folder"),
        (("ucf101", "x"), r"needs its official lists.*UCF101TrainTestSplits.*zip"),
        (("kinetics600", "x"), r"needs its official lists.*annotations"),
        (("kinetics600", "x", "nowhere"), r"nowhere is no folder: name the one that holds the official lists, train.csv"),
        (("kinetics600", "x", "."), r"holds no list of the training clips, train.csv: get it from"),
        (("bair", "nowhere"), r"nowhere"),
        (("folder", "nowhere"), r"There is no folder nowhere: expected nowhere/CLASS/\*\.mp4"),
    ],
)
def test_what_is_missing_is_said(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=said):
        raw_splits.find(*arguments)


def test_two_lists_of_a_split_are_refused(tmp_path):
    for name in ("train.csv", "train_old.csv"):
        (tmp_path / name).write_text(HEADER)
    with pytest.raises(DataError, match="several lists of the split train"):
        raw_splits.find("kinetics600", tmp_path, tmp_path)


def test_the_first_clips_of_each_class(tmp_path):
    counts = {"a": 5, "b": 2, "c": 1}
    for name, count in counts.items():
        for i in range(count):
            path = tmp_path / "train" / name / f"{i}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    (tmp_path / "test" / "a").mkdir(parents=True)
    (tmp_path / "test" / "a" / "0.mp4").write_bytes(b"x")
    splits = raw_splits.find("folder", tmp_path, limit=2)
    assert np.bincount([video.label for video in splits["train"].videos]).tolist() == [2, 2, 1]
    assert keys(splits)["train"] == ["train/a/0.mp4", "train/a/1.mp4", "train/b/0.mp4", "train/b/1.mp4", "train/c/0.mp4"]
    assert "the first 2 clips of each class" in splits["train"].name
    with pytest.raises(ValueError, match="At least 1 clip"):
        raw_splits.find("folder", tmp_path, limit=0)


def test_download_gives_what_find_takes(tmp_path, monkeypatch):
    fetched = []

    def pretend(name, folder):
        fetched.append(name)
        if name == "kinetics600":
            raise fetch.FetchError("by hand")
        return Path(folder) / name

    monkeypatch.setattr(raw_splits, "fetch", pretend)
    assert raw_splits.download("ucf101", tmp_path) == (tmp_path / "ucf101_zip", tmp_path / "ucf101_lists")
    assert raw_splits.download("bair", tmp_path)[0] == tmp_path / "bair"
    with pytest.raises(fetch.FetchError, match="by hand"):
        raw_splits.download("kinetics600", tmp_path)
    (tmp_path / "kinetics600").mkdir()  # put there by hand, as the refusal says
    assert raw_splits.download("kinetics600", tmp_path) == (tmp_path / "kinetics600", tmp_path / "lists")
    assert fetched[-3:] == ["kinetics600", "kinetics600_train_csv", "kinetics600_val_csv"]
    with pytest.raises(DataError, match="nothing to download"):
        raw_splits.download("folder", tmp_path)


def test_the_official_lists_and_real_clips():
    if not SHARED.is_dir():
        pytest.skip(f"the official lists and real clips are not there: {SHARED}")
    splits = raw_splits.find("ucf101", SHARED / "ucf101", SHARED / "labels" / "ucf101_splits")
    assert keys(splits) == {
        "train": ["v_SoccerJuggling_g23_c01"],
        "test": ["v_ApplyEyeMakeup_g01_c01", "v_Archery_g01_c01", "v_BabyCrawling_g04_c01"],
    }
