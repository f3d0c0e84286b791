"""Kinetics' lists and folders in the forms that go round, and the seconds that count of a longer video."""

import csv
import itertools
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from dvdgan_lib.data import DataError, kinetics, raw
from dvdgan_lib.data.video import VideoError, read_frames

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "clips"
CLASSES = ("archery", "massaging person's head", "using segway")


@pytest.fixture(scope="module")
def clips():
    if not (SHARED / "kinetics").is_dir():
        pytest.skip(f"the real clips are not there: {SHARED / 'kinetics'}")
    return SHARED


def video_id(number: int) -> str:
    return f"-id_{number:07}"


@pytest.fixture
def place(tmp_path):
    """place(csv rows, files) -> (folder, csv): an empty file for each name."""

    def make(rows, files, header="label,youtube_id,time_start,time_end,split"):
        (tmp_path / "list.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        for name in files:
            path = tmp_path / "videos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "videos", tmp_path / "list.csv"

    return make


def write_video(path, seconds, fps=10):
    """Frame i is grey of level i (up to 200), a key frame every second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 32, 16, "yuv420p", fps
        for i in range(seconds * fps):
            frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), i % 200, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def assert_is_part(video, first, last):
    """The clip's frames are those numbered `first` to `last` - 1 of the whole file."""
    part = read_frames(video.path, 16, seconds=video.seconds)
    np.testing.assert_array_equal(part, read_frames(video.path, 16)[first:last])
    np.testing.assert_allclose(part.mean((1, 2, 3)), np.arange(first, last), atol=4)  # as they were written


def test_the_real_list_and_clips(clips):
    annotations = clips / "labels" / "kinetics-600_val.csv"
    split = kinetics.find(clips / "kinetics", annotations, "val")
    assert [(video.key, split.class_names[video.label]) for video in split.videos] == [
        ("R6llTwEh07w_000000_000010", "using segway"),
        ("SOX5yA1l24A_000299_000309", "using segway"),
    ]
    # The official order of I3D's logits is the sorted one.
    assert list(split.class_names) == (clips / "labels" / "label_map_600.txt").read_text().splitlines()
    assert split.videos[0].label == 564
    assert len(split.skipped) == 29998 + 2  # the list's other rows, and the folder's two files with names of their own
    assert "29,998 left out, listed, but there is no such file" in split.summary()
    usable, facts = raw.check(split)
    assert usable.videos == split.videos
    assert [fact.frames for fact in facts] == [303, 332]  # cut a little long; not the whole videos


@pytest.mark.parametrize(
    "name", ["{id}.mp4", "{id}.mkv", "{id}_000010_000020.webm", "using segway/{id}_10_20.mp4", "train/using_segway/{id}.avi"]
)
def test_naming_schemes(place, name):
    folder, annotations = place([f"using segway,{video_id(1)},10,20,train"], [name.format(id=video_id(1))])
    [video] = kinetics.find(folder, annotations, "train", CLASSES).videos
    assert video.key == f"{video_id(1)}_000010_000020"
    assert video.label == 2
    assert video.seconds == (None if "_10_20" in name or "_000010" in name else (10, 20))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("label,youtube_id,time_start,time_end,split", '"massaging person\'s head",{id},10,20,train'),
        ("\ufefflabel,youtube_id,time_start,time_end,split,is_cc", "massaging person's head, {id}, 10.0, 20.0,train,0"),
        ("Label,YouTube ID,Time Start,Time End", "massaging person's head,{id},10,20"),
        ('"video_id","start","end","label"', '\'{id}\',"10","20","massaging person\'s head"'),
        ("youtube_id,subset,label,start_time,end_time", "{id},training,massaging person's head,10,20"),
    ],
)
def test_lists_of_several_kinds(place, header, row):
    folder, annotations = place([row.format(id=video_id(1)) + "\r"], [f"{video_id(1)}.mp4"], header)
    split = kinetics.find(folder, annotations, "train", CLASSES)
    assert [(video.label, video.key) for video in split.videos] == [(1, f"{video_id(1)}_000010_000020")]
    assert split.skipped == ()


def test_each_row_and_file_left_out_has_its_reason(place):
    ids = map(video_id, itertools.count(1))
    good, lost, cut, broken, unknown, unlabelled, timeless, back, other_split = itertools.islice(ids, 9)
    rows = [
        f"archery,{good},5,15,train",
        f"archery,{lost},5,15,train",
        f"archery,{cut},5,15,train",
        f'archery,"{broken},5,15,train',
        f"archery,{broken},5",
        "",
        f"fencing,{unknown},5,15,train",
        f",{unlabelled},5,15,train",
        f"archery,{timeless},,,train",
        f"archery,{back},15,5,train",
        "archery,short,5,15,train",
        f"archery,{good},5,15,train",
        f"using segway,{good},5,15,train",
        f"archery,{other_split},5,15,val",
        f"archery,{other_split},nan,inf,train",
    ]
    files = [f"{good}_000005_000015.mp4", f"{cut}_000006_000016.mp4", f"{video_id(99)}.mp4", "holiday ü.mp4", ".hidden.mp4"]
    folder, annotations = place(rows, files)
    split = kinetics.find(folder, annotations, "train", CLASSES)
    assert [video.key for video in split.videos] == [f"{good}_000005_000015"]
    assert sorted(split.skipped) == sorted(
        [
            ("list.csv, line 5", "a broken row: it has another number of columns than the first line"),
            ("list.csv, line 6", "a broken row: it has another number of columns than the first line"),
            ("list.csv, line 8", "no such class: 'fencing'"),
            ("list.csv, line 9", "no label"),
            ("list.csv, line 10", "no times, or none that a clip can have"),
            ("list.csv, line 11", "no times, or none that a clip can have"),
            ("list.csv, line 12", "no YouTube id: 'short'"),
            ("list.csv, line 13", "a repeated row: see line 2"),
            ("list.csv, line 14", "a second label for one clip, the first is taken: see line 2"),
            ("list.csv, line 16", "no times, or none that a clip can have"),
            (f"{lost}_000005_000015", "listed, but there is no such file"),
            (f"{cut}_000005_000015", "listed, but only files of other seconds of this video are there"),
            (str(folder / files[1]), "not needed: no row asks for it"),
            (str(folder / files[2]), "its id is in no row of the list"),
            (str(folder / files[3]), "not named ID or ID_START_END"),
        ]
    )


def test_of_a_whole_video_only_the_rows_seconds_count(place):
    names = [video_id(i) for i in range(4)]
    folder, annotations = place([f"archery,{name},4,8,train" for name in names], [])
    for name, seconds in zip(names, (12, 5, 7, 4), strict=True):
        write_video(folder / f"{name}.mp4", seconds)
    split, facts = raw.check(kinetics.find(folder, annotations, "train", CLASSES))
    assert [fact.frames for fact in facts] == [40, 50, 40]
    assert_is_part(split.videos[0], 40, 80)
    assert_is_part(split.videos[1], 0, 50)  # hardly longer than a clip: it is the clip
    assert split.skipped == ((str(folder / f"{names[2]}.mp4"), split.skipped[0][1]),)
    assert split.skipped[0][1] == "7.0 s long: neither the 4 s clip nor a video with second 8 in it"


def test_several_clips_of_one_video(place):
    whole, folders, unclear, named = map(video_id, range(4))
    rows = [f"{label},{name},{at},{at + 4},train" for name in (whole, folders, unclear, named) for label, at in
            (("archery", 1), ("using segway", 6))]  # fmt: skip
    folder, annotations = place(rows, [])
    for name, seconds in (
        (whole, 12),
        (f"archery/{folders}", 4),
        (f"using_segway/{folders}", 4),
        (unclear, 4),
        (f"{named}_000001_000005", 4),
        (f"{named}_000006_000010", 4),
    ):
        write_video(folder / f"{name}.mp4", seconds)
    split, facts = raw.check(kinetics.find(folder, annotations, "train", CLASSES))
    found = {video.key: video.path.relative_to(folder).as_posix() for video in split.videos}
    assert found == {
        f"{whole}_000001_000005": f"{whole}.mp4",
        f"{whole}_000006_000010": f"{whole}.mp4",
        f"{folders}_000001_000005": f"archery/{folders}.mp4",
        f"{folders}_000006_000010": f"using_segway/{folders}.mp4",
        f"{named}_000001_000005": f"{named}_000001_000005.mp4",
        f"{named}_000006_000010": f"{named}_000006_000010.mp4",
    }
    assert all(fact.frames == 40 for fact in facts)
    by_key = {video.key: video for video in split.videos}
    assert_is_part(by_key[f"{whole}_000006_000010"], 60, 100)
    assert sorted(reason for _, reason in split.skipped) == [
        "listed, but ID.mp4 may be the clip of any of several rows: name it ID_START_END.mp4",
        "listed, but ID.mp4 may be the clip of any of several rows: name it ID_START_END.mp4",
        "not needed: no row asks for it",
    ]


@pytest.mark.parametrize("name", ["flipping_a_pancake.mkv", "SOX5yA1l24A.mp4"])
def test_seconds_of_a_real_video_are_the_frames_that_decoding_it_all_gives(clips, name):
    whole = read_frames(clips / "kinetics" / name, 16)
    with av.open(str(clips / "kinetics" / name)) as container:
        times = [frame.time - container.start_time / av.time_base for frame in container.decode(video=0)]
    inside = [i for i, time in enumerate(times) if 2.5 <= time + 1e-6 < 5]
    part = read_frames(clips / "kinetics" / name, 16, seconds=(2.5, 5.0))
    np.testing.assert_array_equal(part, whole[inside])
    with pytest.raises(VideoError, match=r"neither the 2\.5 s clip"):
        read_frames(clips / "kinetics" / name, 16, seconds=(300.0, 302.5))


def test_links_in_circles_and_pipes(place, tmp_path):
    import os

    folder, annotations = place([f"archery,{video_id(i)},0,10,train" for i in range(3)], [f"a b/{video_id(0)}.mp4"])
    (folder / "a b" / "back").symlink_to(folder)
    (folder / f"{video_id(1)}.mp4").symlink_to(folder / f"{video_id(1)}.mp4")
    os.mkfifo(folder / f"{video_id(2)}.mp4")
    split = kinetics.find(folder, annotations, "train", CLASSES)
    assert [video.path.name for video in split.videos] == [f"{video_id(0)}.mp4"]
    assert sum(reason.startswith("not a file: a broken link, or a pipe") for _, reason in split.skipped) == 2


def test_lists_that_are_none_are_refused(place, tmp_path, clips):
    folder, annotations = place(["archery,x,0,10"], ["a.mp4"], "label,clip,from,to")
    with pytest.raises(
        DataError, match=r"line 1: its columns are label, clip, from, to, and there is no youtube_id or .*; time_s"
    ):
        kinetics.find(folder, annotations, "train", CLASSES)
    annotations.write_bytes(b"label\xff")
    with pytest.raises(DataError, match=r"not UTF-8 text \(byte 5\)"):
        kinetics.find(folder, annotations, "train", CLASSES)
    with pytest.raises(DataError, match=r"There is no list .*absent.csv .* fetch https"):
        kinetics.find(folder, tmp_path / "absent.csv", "train", CLASSES)
    with pytest.raises(DataError, match=r"There is no folder .*expected clips named ID_000010_000020.mp4"):
        kinetics.find(tmp_path / "nowhere", annotations, "train", CLASSES)
    with pytest.raises(ValueError, match="train, val, test"):
        kinetics.find(folder, annotations, "holdout", CLASSES)
    official = clips / "labels" / "kinetics-600_val.csv"
    with pytest.raises(DataError, match=r"None of the 30,000 clips .* is there"):
        kinetics.find(folder, official, "val")
    with open(official, newline="") as file:
        rows = list(csv.reader(file))
    rows[7][0] = "abseilling"
    with open(tmp_path / "typo.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(DataError, match=r"names 601 classes, not 600.*rarest classes: 'abseilling' \(1\)"):
        kinetics.find(folder, tmp_path / "typo.csv", "val")
    shutil.copy(clips / "kinetics" / "R6llTwEh07w.mp4", folder)
    split = kinetics.find(folder, tmp_path / "typo.csv", "val", kinetics.class_names(official))
    assert len(split.videos) == 1
    assert ("typo.csv, line 8", "no such class: 'abseilling'") in split.skipped
