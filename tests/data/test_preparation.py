"""Preparation: killed, interrupted, out of space and fed with rubbish it still ends with the same bytes, or says why not."""

import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from made_videos import DecoderHere, contents, decoded, psnr, shrunk, split_of, write

from dvdgan_lib.data import DataError, decoder_process, preparation, raw, video_folder
from dvdgan_lib.data.fetch import alone
from dvdgan_lib.data.prepared_metadata import summary
from dvdgan_lib.data.raw import RawSplit, RawVideo

HERE = Path(__file__).resolve().parent


@pytest.fixture
def here(monkeypatch):
    """Decoding in this process."""
    monkeypatch.setattr(preparation, "Decoder", DecoderHere)


@pytest.fixture
def decoder_with_bad_habits(monkeypatch, tmp_path):
    """The real process, but it hangs or dies where a file's name says so; "once" only when it first sees that file."""
    stub = tmp_path / "stub.py"
    stub.write_text(
        "import importlib.util, os, sys, time\n"
        f"spec = importlib.util.spec_from_file_location('decoder', {decoder_process.__file__!r})\n"
        "decoder = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(decoder)\n"
        "probe = decoder.video_module.probe\n"
        "def bad(path, *more):\n"
        "    if 'hang' in path: time.sleep(600)\n"
        "    seen = 'once' in path and os.path.exists(path + '.seen')\n"
        "    if 'once' in path: open(path + '.seen', 'w').close()\n"
        "    if 'crash' in path and not seen: os.kill(os.getpid(), 11)\n"
        "    return probe(path, *more)\n"
        "decoder.video_module.probe = bad\n"
        "decoder.serve()\n"
    )
    monkeypatch.setattr(decoder_process, "__file__", str(stub))
    return stub


def records(folder, split="train"):
    """What TFDS reads, without this project's reader."""
    import tensorflow_datasets as tfds

    return list(tfds.builder_from_directory(folder).as_data_source(split))


def whole_shards(folder):
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in folder.glob("*.array_record-*")}


def some(folder, number=6, **settings) -> dict[str, RawSplit]:
    """A split of small videos of two classes."""
    names = {f"{i}.mp4": i % 2 for i in range(number)}
    for i, name in enumerate(names):
        write(folder / name, frames=5 + i, seed=i, **settings)
    return {"train": split_of(names, folder, ("a", "b"))}


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path):
    for name in "ab":
        for i in range(12):
            write(tmp_path / "raw" / name / f"{i}.mp4", frames=4 + i, seed=i)
    done = subprocess.run(
        [sys.executable, str(HERE / "killed_preparation.py"), str(tmp_path), "0"],
        env=os.environ | {"PYTHONPATH": str(HERE.parents[1]), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert set(said) == {"original", "encoded"}
    assert all(facts["kills"] >= 10 for facts in said.values()), said
    for facts in said.values():  # the kills were spread over the writing
        assert len(set(facts["whole"])) >= 4


@pytest.mark.parametrize("settings", [{}, {"short_side": 16}], ids=["original", "encoded"])
def test_neither_workers_nor_processes_matter(tmp_path, monkeypatch, settings):
    splits = some(tmp_path / "raw", 7)
    preparation.prepare(splits, tmp_path / "three", shard_videos=2, workers=3, **settings)
    monkeypatch.setattr(preparation, "Decoder", DecoderHere)
    preparation.prepare(splits, tmp_path / "one", shard_videos=2, workers=1, **settings)
    assert contents(tmp_path / "three") == contents(tmp_path / "one")
    assert [record["key"].decode() for record in records(tmp_path / "one")] == [v.key for v in splits["train"].videos]


def test_original_files_are_stored_byte_for_byte(tmp_path, here):
    """Of every kind, whatever their names, with zeros at the end, which NumPy would take off a string."""
    codecs = {".webm": "libvpx", ".flv": "flv", ".gif": "gif"}
    for extension in raw.EXTENSIONS:
        file = write(tmp_path / "a" / f"v{extension}", codec=codecs.get(extension, "mpeg4"), **rgb8_of(extension))
        write(tmp_path / "b" / f"ü 視頻 %d's{{}}{extension}", codec="mpeg4", format="mp4", frames=1)
    file.write_bytes(file.read_bytes() + bytes(9))  # a GIF may have them
    if sys.platform == "linux":  # elsewhere names must be Unicode
        (tmp_path / "a" / "v.mp4").rename(tmp_path / "a" / os.fsdecode(b"\xff\xfe.mp4"))
    splits = {"train": video_folder.find(tmp_path, "train")}
    report = preparation.prepare(splits, tmp_path / "set", shard_videos=4)
    assert report["splits"]["train"]["skipped"] == []
    found = records(tmp_path / "set")
    assert len(found) == len(splits["train"].videos) == 16
    for record, item in zip(found, splits["train"].videos, strict=True):
        assert record["video"] == item.path.read_bytes()
        assert record["label"] == item.label
        assert record["frames"] == (1 if item.label else 12)


def rgb8_of(extension):
    return {"pix_fmt": "rgb8"} if extension == ".gif" else {}


SIZES = [(30, 25, 37), (1, 24, 32), (7, 48, 20), (12, 10, 14), (40, 64, 96)]  # frames, height, width


def test_encoded_videos_keep_what_is_in_the_pictures(tmp_path, here):
    """Every frame, in its place, at the short side asked for or its own; and crf=0 loses nothing but the colour space's."""
    names = {f"{i}.mkv": 0 for i in range(len(SIZES))}
    for seed, (name, (frames, height, width)) in enumerate(zip(names, SIZES, strict=True)):
        write(tmp_path / "raw" / name, frames, height, width, codec="ffv1", pix_fmt="yuv444p", seed=seed, fps=30)
    splits = {"train": split_of(names, tmp_path / "raw")}
    for crf, bar in ((decoder_process.CRF, 30), (0, 40)):
        preparation.prepare(splits, tmp_path / str(crf), short_side=20, crf=crf)
        for record, item, (frames, height, width) in zip(
            records(tmp_path / str(crf)), splits["train"].videos, SIZES, strict=True
        ):
            stored, source = decoded(memory(record["video"])), decoded(item.path)
            assert len(stored) == len(source) == record["frames"] == frames
            assert record["fps"] == 30
            expected = shrunk(source, min(20, height, width))
            assert stored.shape == expected.shape
            quality = [psnr(a, b) for a, b in zip(stored, expected, strict=True)]
            assert min(quality) > bar, (item.key, crf)
    sizes = [facts_of(tmp_path / str(crf))["bytes"] for crf in (decoder_process.CRF, 0)]
    assert sizes[0] < sizes[1]


def memory(data):
    import io

    return io.BytesIO(data)


def facts_of(folder, split="train"):
    return json.loads((folder / "report.json").read_text())["splits"][split]


def test_parts_of_longer_files_are_cut_out(tmp_path, here):
    write(tmp_path / "long.mkv", frames=80, codec="ffv1", pix_fmt="yuv444p", fps=10)
    clip = RawVideo("x_000002_000004", 0, tmp_path / "long.mkv", 2.0, 4.0)
    splits = {"train": RawSplit("Kinetics-600 train", ("a",), (clip,))}
    with pytest.raises(DataError, match="Kinetics-600 train has clips that are parts of longer files, so they must be enc"):
        preparation.prepare(splits, tmp_path / "original")
    assert not (tmp_path / "original").exists()
    preparation.prepare(splits, tmp_path / "set", short_side=24, crf=0)
    [record] = records(tmp_path / "set")
    assert record["frames"] == 20
    assert psnr(decoded(memory(record["video"])), decoded(tmp_path / "long.mkv")[20:40]) > 45


def test_tfds_alone_reads_what_was_prepared_wherever_it_is_moved(tmp_path, here):
    """In a process that cannot import TensorFlow, with a shard of nothing in each split."""
    names = {f"{i}.mp4": i % 3 for i in range(7)}
    for i, name in enumerate(names):
        write(tmp_path / "raw" / name, frames=i + 1, seed=i)
    for broken in ("2.mp4", "3.mp4"):  # with shards of two, the second
        (tmp_path / "raw" / broken).write_text("no video")
    classes = ("playing cricket", "person's größe", "c")
    splits = {split: split_of(names, tmp_path / "raw", classes) for split in ("train", "val")}
    preparation.prepare(splits, tmp_path / "1st name-with.dots %d{y}", shard_videos=2)
    preparation.prepare(splits, tmp_path / "encoded", shard_videos=2, short_side=16)
    (tmp_path / "else where").mkdir()
    moved = (tmp_path / "1st name-with.dots %d{y}").rename(tmp_path / "else where" / "600")
    shutil.copytree(tmp_path / "encoded", tmp_path / "else where" / "my-kinetics")
    shutil.rmtree(tmp_path / "encoded")
    script = (
        "import sys, json\n"
        "import tensorflow_datasets as tfds\n"
        "for folder in sys.argv[1:]:\n"
        "    builder = tfds.builder_from_directory(folder)\n"
        "    assert builder.info.features['label'].names == ['playing cricket', \"person's größe\", 'c']\n"
        "    for split in ('train', 'val'):\n"
        "        source = builder.as_data_source(split)\n"
        "        rows = [[r['key'].decode(), int(r['label']), int(r['frames']), len(r['video'])] for r in source]\n"
        "        print(json.dumps(rows))\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    places = [str(moved), str(tmp_path / "else where" / "my-kinetics")]
    done = subprocess.run([sys.executable, "-c", script, *places], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row[:3] for row in found[0]] == [[f"{i}.mp4", i % 3, i + 1] for i in (0, 1, 4, 5, 6)]
    assert [row[3] for row in found[0]] == [(tmp_path / "raw" / f"{i}.mp4").stat().st_size for i in (0, 1, 4, 5, 6)]
    assert found[1] == found[0]
    assert [row[:3] for row in found[2]] == [row[:3] for row in found[3]] == [row[:3] for row in found[0]]
    assert facts_of(moved)["shard_lengths"] == [2, 0, 2, 1]


def test_the_report_counts_what_is_there_and_says_why_the_rest_is_not(tmp_path, decoder_with_bad_habits):
    """Bad files, and files that hang or kill the decoder, beside good ones, which are stored as if they were alone."""
    folder = tmp_path / "raw"
    for i, name in enumerate(["a.mp4", "hang.mp4", "b.avi", "crash.mp4", "once_crash.mp4", "c.mkv", "cut.avi"]):
        write(folder / name, frames=4 + 5 * i, seed=i, fps=5)
    whole = (folder / "cut.avi").read_bytes()
    (folder / "cut.avi").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.avi").write_text("a note\n" * 100)
    names = {"a.mp4": 0, "hang.mp4": 0, "b.avi": 2, "crash.mp4": 1, "once_crash.mp4": 2, "cut.avi": 1, "empty.mp4": 0}
    names |= {"text.avi": 0, "gone.mp4": 0, "c.mkv": 2}
    missing = ("v_x.avi", "listed, but there is no such file")
    splits = {"train": split_of(names, folder, ("k", "l", "m"), "Made", skipped=(missing,))}
    report = preparation.prepare(splits, tmp_path / "set", shard_videos=4, workers=2, seconds=8)
    good = {"a.mp4": 4, "b.avi": 14, "once_crash.mp4": 24, "c.mkv": 29}
    assert {name: len(decoded(folder / name)) for name in good} == good
    facts = report["splits"]["train"]
    assert facts["name"] == "Made"
    assert facts["clips"] == 4
    assert facts["clips_per_class"] == {"k": 1, "l": 0, "m": 3}
    assert facts["frames"] == 71
    assert facts["frames_per_clip"] == {"min": 4, "max": 29}
    assert facts["seconds"] == pytest.approx(71 / 5, abs=0.06)
    assert facts["bytes"] == sum((folder / name).stat().st_size for name in good)
    assert facts["shard_bytes"] == [file.stat().st_size for file in sorted((tmp_path / "set").glob("*.array_record-*"))]
    reasons = {Path(name).name: reason for name, reason in facts["skipped"]}
    assert len(reasons) == len(facts["skipped"]) == 7
    assert reasons["v_x.avi"] == "listed, but there is no such file"
    assert reasons["hang.mp4"] == "too slow: not decoded within 8 s"
    assert reasons["crash.mp4"] == "the decoder crashed: exit code -11"
    assert reasons["cut.avi"].startswith(("truncated", "unreadable"))
    assert reasons["empty.mp4"].startswith("unreadable after 0 frames")
    assert reasons["text.avi"].startswith("unreadable after 0 frames")
    assert reasons["gone.mp4"].startswith("unreadable after 0 frames")
    stored = {record["key"].decode(): record["video"] for record in records(tmp_path / "set")}
    assert stored == {name: (folder / name).read_bytes() for name in good}
    assert report == json.loads((tmp_path / "set" / "report.json").read_text())
    assert report == preparation.prepare(splits, tmp_path / "set", shard_videos=4)  # finished: only read
    assert summary(report).splitlines()[0] == (
        f"train: 4 clips of 2 of 3 classes (0 to 3 each), 71 frames, 0.00 h, {facts['bytes'] / 1e6:.1f} MB"
    )
    assert len(summary(report).splitlines()) == 6  # the reasons that are alike are one line


def test_a_signal_to_the_whole_group_is_no_fault_of_the_file(tmp_path):
    """Ctrl-C and a cluster's SIGTERM reach the processes that decode before this one has said that it stops."""
    item = RawVideo("v", 0, write(tmp_path / "v.mp4"))
    decoder = raw.Decoder()
    try:
        first = decoder(item)
        process = decoder.process
        for s in (signal.SIGINT, signal.SIGTERM):
            os.kill(process.pid, s)
        assert decoder(item) == first
        assert decoder.process is process
    finally:
        decoder.close()


def test_an_interrupt_stops_it_soon_and_keeps_whole_shards(tmp_path, decoder_with_bad_habits, monkeypatch):
    import psutil

    names = {name: 0 for name in ("a.mp4", "b.mp4", "c.mp4", "hang.mp4", "e.mp4")}
    for seed, name in enumerate(names):
        write(tmp_path / "raw" / name, seed=seed)
    splits, folder = {"train": split_of(names, tmp_path / "raw")}, tmp_path / "set"
    interrupted = []

    def interrupt():
        while not (len(whole_shards(folder)) == 1 and any(folder.glob("shards/*-00001-*.partial"))):
            time.sleep(0.01)
        time.sleep(0.3)  # it hangs by now
        interrupted.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background are started without it
    try:
        with pytest.raises(KeyboardInterrupt):
            preparation.prepare(splits, folder, shard_videos=2, workers=1, seconds=100)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - interrupted[0] < 30  # of seconds=100
    commands = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True) if child.is_running()]
    assert not [command for command in commands if str(decoder_with_bad_habits) in command]
    before = whole_shards(folder)
    assert list(before) == ["videos-train.array_record-00000-of-00003"]
    monkeypatch.setattr(preparation, "Decoder", DecoderHere)
    report = preparation.prepare(splits, folder, shard_videos=2)
    assert before.items() <= whole_shards(folder).items()
    assert report["splits"]["train"]["skipped"] == []
    preparation.prepare(splits, tmp_path / "at once", shard_videos=2)
    assert contents(folder) == contents(tmp_path / "at once")


def test_a_full_disk_loses_nothing(tmp_path, here):
    """A limit on a file's size fails as a full disk does: ArrayRecord notices only when it closes, by a RuntimeError."""
    splits = some(tmp_path / "raw", 3)
    big = write(tmp_path / "raw" / "2.mp4", frames=20, height=240, width=320, codec="ffv1", format="matroska")
    assert big.stat().st_size > 300_000
    folder = tmp_path / "set"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(DataError, match=r"set stopped \(.*File too large.*whole are kept: put that right, then start"):
            preparation.prepare(splits, folder, shard_videos=1, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    before = whole_shards(folder)
    assert len(before) == 2
    preparation.prepare(splits, folder, shard_videos=1, workers=1)
    assert before.items() <= whole_shards(folder).items()
    preparation.prepare(splits, tmp_path / "at once", shard_videos=1)
    assert contents(folder) == contents(tmp_path / "at once")


def test_a_disk_that_goes_away_does_not_finish_an_empty_data_set(tmp_path, here, monkeypatch):
    splits, folder = some(tmp_path / "raw", 6), tmp_path / "set"
    calls = []

    class Unplugs(DecoderHere):
        def __call__(self, *arguments):
            calls.append(arguments)
            if len(calls) == 4:  # in the middle of the second shard
                (tmp_path / "raw").rename(tmp_path / "unplugged")
            return super().__call__(*arguments)

    monkeypatch.setattr(preparation, "Decoder", Unplugs)
    with pytest.raises(DataError, match=r"raw/2.mp4 and what was listed with it is gone: is its disk still there\?"):
        preparation.prepare(splits, folder, shard_videos=2, workers=1)
    assert len(whole_shards(folder)) == 1
    (tmp_path / "unplugged").rename(tmp_path / "raw")
    assert preparation.prepare(splits, folder, shard_videos=2)["splits"]["train"]["clips"] == 6


def test_going_on_with_something_else_is_refused(tmp_path, here, monkeypatch):
    splits, folder = some(tmp_path / "raw"), tmp_path / "set"
    settings = {"short_side": 24, "shard_videos": 2}
    monkeypatch.setattr(preparation, "_write_shard", stop_after(1))
    with pytest.raises(InterruptedError):
        preparation._prepare(splits, folder, preparation.make_plan(splits, 24, 14, 2), 1, 60)
    monkeypatch.undo()
    monkeypatch.setattr(preparation, "Decoder", DecoderHere)
    before = contents(folder)
    fewer = {"train": split_of({f"{i}.mp4": i % 2 for i in range(5)}, tmp_path / "raw", ("a", "b"))}
    relabelled = {"train": split_of({f"{i}.mp4": 0 for i in range(6)}, tmp_path / "raw", ("a", "b"))}
    renamed = {"train": split_of({f"{i}.mp4": i % 2 for i in range(6)}, tmp_path / "raw", ("a", "c"))}
    more = splits | {"test": splits["train"]}
    for other, changed, said in (
        (splits, {"short_side": 16}, "short_side 24 instead of 16"),
        (splits, {"crf": 20}, "crf 14 instead of 20"),
        (splits, {"shard_videos": 3}, "shard_videos 2 instead of 3"),
        (splits, {"short_side": None}, "short_side 24 instead of None; stored encoded instead of original"),
        (fewer, {}, r"other raw files or lists \(videos: train 6 then, train 5 now\)"),
        (relabelled, {}, r"other raw files or lists \(videos: train 6 then, train 6 now\)"),
        (renamed, {}, "other classes"),
        (more, {}, r"other raw files or lists \(videos: train 6 then, train 6, test 6 now\)"),
    ):
        with pytest.raises(DataError, match=f"set was begun with .*{said}.*: go on as it was, or name a new folder"):
            preparation.prepare(other, folder, **(settings | changed))
        assert contents(folder) == before
    preparation.prepare(splits, folder, **settings)
    with pytest.raises(DataError, match="crf 14 instead of 20"):  # finished ones too
        preparation.prepare(splits, folder, **settings, crf=20)


def stop_after(number):
    """`_write_shard`, but it fails after so many."""
    real, done = preparation._write_shard, []

    def write_shard(*arguments):
        if len(done) == number:
            raise InterruptedError
        done.append(real(*arguments))

    return write_shard


def test_folders_of_something_else_are_refused_and_left_alone(tmp_path, here):
    splits = some(tmp_path / "raw")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("the only copy")
    with pytest.raises(DataError, match="set is not empty and no preparation of ours: name a new folder"):
        preparation.prepare(splits, tmp_path / "set")
    with pytest.raises(DataError, match=r"thesis.txt is a file: name a new folder"):
        preparation.prepare(splits, tmp_path / "set" / "thesis.txt")
    assert contents(tmp_path / "set") == {"thesis.txt": b"the only copy"}
    (tmp_path / "file system").mkdir()
    (tmp_path / "file system" / ".Trash").mkdir()
    preparation.prepare(splits, tmp_path / "file system")
    (tmp_path / "set" / "preparation.json").write_text("")  # the power failed before it was on the disk
    (tmp_path / "set" / "thesis.txt").unlink()
    with pytest.raises(DataError, match=r"preparation.json is damaged \(.*\): name a new folder"):
        preparation.prepare(splits, tmp_path / "set")


def test_too_little_space_is_said_before_any_work(tmp_path, monkeypatch):
    splits = some(tmp_path / "raw")
    size = sum(video.path.stat().st_size for video in splits["train"].videos)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(preparation, "_write_missing", lambda *_: pytest.fail("it has begun"))
    for free in (0, size, int(1.09 * size)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(10**9, 0, free))
        with pytest.raises(DataError, match=r"Too little space for .*set: 6 videos to do; .* GB free. Make room, or name"):
            preparation.prepare(splits, tmp_path / "set")
    monkeypatch.undo()
    monkeypatch.setattr(preparation, "Decoder", DecoderHere)
    report = preparation.prepare(splits, tmp_path / "set", short_side=16)  # smaller, since nothing was made yet
    assert report["short_side"] == 16


def test_the_estimate_is_what_it_takes(tmp_path, here):
    splits = some(tmp_path / "raw", 12, height=120, width=160, codec="ffv1", format="matroska")
    for name, settings in (("original", {}), ("encoded", {"short_side": 64, "crf": 4})):
        estimate = preparation.estimate(splits, tmp_path / name, **settings)
        assert (estimate.videos, estimate.bytes) == (12, estimate.missing)
        preparation.prepare(splits, tmp_path / name, **settings)
        written = sum(len(data) for file, data in contents(tmp_path / name).items() if "array_record" in file)
        assert 0.9 * written - 131072 < estimate.bytes < 1.1 * written
        after = preparation.estimate(splits, tmp_path / name, **settings)
        assert (after.videos, after.missing, after.bytes) == (0, 0, written)
    assert "12 videos to do; 0.0" in str(estimate)


def test_two_at_once_do_not_get_into_each_others_way(tmp_path, here):
    splits, folder = some(tmp_path / "raw"), tmp_path / "set"
    (folder / "shards").mkdir(parents=True)
    (folder / "shards" / "x.partial").write_text("of the other")
    with (
        alone(folder / "shards" / "lock", DataError("the other")),
        pytest.raises(DataError, match=r"Another process prepares .*set; wait for it, or end it"),
    ):
        preparation.prepare(splits, folder)
    assert set(contents(folder)) == {"shards/x.partial", "shards/lock"}
    assert preparation.prepare(splits, folder)["splits"]["train"]["clips"] == 6


def test_what_cannot_be_prepared_is_refused_in_a_sentence(tmp_path, here, monkeypatch):
    splits, folder = some(tmp_path / "raw"), tmp_path / "set"
    for place in ("gs://bucket/ucf101", Path("gs://bucket/ucf101")):
        with pytest.raises(DataError, match=r"gs:/.*ucf101 is not on a local disk: prepare on one, then copy the folder"):
            preparation.prepare(splits, place)
    for nothing in ({}, {"train": splits["train"], "test": split_of({}, tmp_path)}):
        with pytest.raises(DataError, match="There is nothing to prepare in"):
            preparation.prepare(nothing, folder)
    with pytest.raises(DataError, match="The splits differ in their classes"):
        preparation.prepare(splits | {"test": split_of({"0.mp4": 0}, tmp_path / "raw", ("b", "a"))}, folder)
    for wrong in ({"short_side": 8}, {"short_side": 2000}, {"short_side": 64, "crf": 52}):
        with pytest.raises(DataError, match=r"A short side of .* is not 16 to 1080, or a CRF of .* not 0 to 51"):
            preparation.prepare(splits, folder, **wrong)
    monkeypatch.setattr(decoder_process, "CODEC", "libx26x")
    with pytest.raises(DataError, match="PyAV's FFmpeg has no libx26x, so nothing can be encoded: install"):
        preparation.prepare(splits, folder, short_side=64)
    assert not folder.exists()


def test_nothing_usable_is_no_data_set(tmp_path, here):
    for name in ("1.mp4", "2.mp4"):
        (tmp_path / name).write_text("no video")
    splits = {"train": split_of({"1.mp4": 0, "2.mp4": 0}, tmp_path)}
    for _ in range(2):
        with pytest.raises(DataError, match=r"No video of train can be used \(.*1.mp4: unreadable .*Remove it when that is"):
            preparation.prepare(splits, tmp_path / "set")
    assert not (tmp_path / "set" / "dataset_info.json").exists()


def test_records_that_no_file_can_hold_are_skipped(tmp_path, here, monkeypatch, caplog):
    splits = some(tmp_path / "raw", 3)
    sizes = [video.path.stat().st_size for video in splits["train"].videos]
    monkeypatch.setattr(preparation, "_RECORD_BYTES", sorted(sizes)[1])
    with caplog.at_level(logging.INFO):
        report = preparation.prepare(splits, tmp_path / "set")
    assert report["splits"]["train"]["clips"] == 2
    [[name, reason]] = report["splits"]["train"]["skipped"]
    assert (Path(name).name, reason.split(":")[0]) == (f"{np.argmax(sizes)}.mp4", "too large")
    assert "3 videos to do" in caplog.text
