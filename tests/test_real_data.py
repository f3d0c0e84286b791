"""Real UCF-101, Kinetics-600 and BAIR clips, laid out as the data sets come, from raw files to a training step."""

import dataclasses
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from dvdgan_lib import data
from dvdgan_lib.data import preparation, raw_splits
from dvdgan_lib.data.video import crop_square, read_frames, window_start

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "clips"
sys.path.insert(0, str(Path(__file__).parent / "data"))

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no {SHARED}")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """{name: (raw splits, prepared folder)} of the three."""
    root = tmp_path_factory.mktemp("real")
    ucf = root / "UCF-101"
    for file in (SHARED / "ucf101").glob("*.avi"):
        place = ucf / file.stem.split("_")[1]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)

    videos, lists = root / "kinetics", root / "lists"
    lists.mkdir()
    official = (SHARED / "labels" / "kinetics-600_val.csv").read_text().splitlines()
    rows = {id_: next(line for line in official if f",{id_}," in line) for id_ in ("R6llTwEh07w", "SOX5yA1l24A")}
    for id_, row in rows.items():  # as the Common Visual Data Foundation names them, in class folders
        label, _, start, stop, *_ = row.split(",")
        place = videos / "val" / label / f"{id_}_{int(start):06}_{int(stop):06}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHARED / "kinetics" / f"{id_}.mp4", place)
    (videos / "train").mkdir()
    shutil.copy(SHARED / "kinetics" / "mmaction2_demo.mp4", videos / "train" / "AAAAAAAAAAA.mp4")
    shutil.copy(SHARED / "kinetics" / "flipping_a_pancake.mkv", videos / "train" / "BBBBBBBBBBB.mkv")
    classes = (SHARED / "labels" / "label_map_600.txt").read_text().splitlines()
    made = [f"{name},{i:011},0,10,train" for i, name in enumerate(classes)]  # every class has rows; few have files
    made += ["arm wrestling,AAAAAAAAAAA,10,20,train", "flipping pancake,BBBBBBBBBBB,0,10,train"]
    (lists / "train.csv").write_text("\n".join([official[0], *made]) + "\n")
    (lists / "val.csv").write_text("\n".join([official[0], *rows.values()]) + "\n")

    from test_bair import framed, sequence_example

    files = sorted((SHARED / "bair").glob("*.npy"))
    for split, share in (("train", files[:3]), ("test", files[3:])):
        place = root / "bair" / "softmotion30_44k" / split / f"traj_0_to_{len(share) - 1}.tfrecords"
        place.parent.mkdir(parents=True)
        place.write_bytes(framed(*(sequence_example(np.load(file)) for file in share)))

    found = {}
    for name, arguments, settings in (
        ("ucf101", (ucf, SHARED / "labels" / "ucf101_splits"), {}),
        ("kinetics600", (videos, lists), {"short_side": 64}),
        ("bair", (root / "bair",), {}),
    ):
        splits = raw_splits.find(name, *arguments)
        preparation.prepare(splits, root / "data" / name, shard_videos=2, **settings)
        found[name] = splits, root / "data" / name
    return found


def load(prepared, name, split, num_frames, resolution, stride=1):
    return data.load(
        name, split, num_frames=num_frames, resolution=resolution, stride=stride, data_dir=str(prepared[name][1])
    )


def direct(video, num_frames, resolution, stride, rng):
    """The clip by appendix B.1 from all frames of the raw file."""
    frames = read_frames(video.path, resolution)
    start = window_start(len(frames), num_frames, stride, rng)
    return crop_square(frames[start::stride][:num_frames], rng)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_ucf101_clips_are_those_of_the_files(prepared, seed):
    splits, _ = prepared["ucf101"]
    for split, count in (("train", 1), ("test", 3)):
        source = load(prepared, "ucf101", split, 16, 128)
        assert len(source) == count
        assert len(source.class_names) == 101
        for i, video in enumerate(splits[split].videos):
            rngs = [None, None] if seed is None else [np.random.default_rng(seed), np.random.default_rng(seed)]
            example = source.example(i, rngs[0])
            np.testing.assert_array_equal(example["video"], direct(video, 16, 128, 1, rngs[1]))
            assert source.class_names[example["label"]] in video.path.name


def test_kinetics_clips_are_those_of_the_files_but_for_the_encoding(prepared):
    splits, _ = prepared["kinetics600"]
    assert {split: [raw.class_names[v.label] for v in raw.videos] for split, raw in splits.items()} == {
        "train": ["arm wrestling", "flipping pancake"],
        "val": ["using segway", "using segway"],
    }
    for split in ("train", "test"):  # there is no "test": "val" takes its place
        source = load(prepared, "kinetics600", split, 12, 64, stride=2)
        assert len(source) == 2
        for i, video in enumerate(splits["val" if split == "test" else split].videos):
            clip = source.example(i, np.random.default_rng(i))["video"].astype(float)
            wanted = direct(video, 12, 64, 2, np.random.default_rng(i))
            assert 10 * np.log10(255**2 / np.mean((clip - wanted) ** 2)) > 34


def test_bair_clips_are_those_of_the_records(prepared):
    files = sorted((SHARED / "bair").glob("*.npy"))
    source = load(prepared, "bair", "train", 30, 64)
    for i, file in enumerate(files[:3]):
        np.testing.assert_array_equal(source.example(i)["video"], np.load(file))
    window = load(prepared, "bair", "test", 16, 64).example(0, np.random.default_rng(0))["video"]
    whole = np.load(files[3])
    assert any(np.array_equal(window, whole[s : s + 16]) for s in range(15))


@pytest.mark.parametrize("name", ["ucf101", "kinetics600", "bair"])
def test_a_training_step_on_each(prepared, name, tiny, tiny_updates, tiny_state):
    m, b = tiny.model, tiny.training.batch_size
    source = load(prepared, name, "train", m.num_frames, m.resolution)
    state = jax.tree.map(jax.numpy.array, tiny_state)
    for batch, update in zip(data.batches(source, b, seed=0), range(2), strict=False):
        assert batch["video"].shape == (b, m.num_frames, m.resolution, m.resolution, 3)
        assert batch["video"].dtype == np.uint8
        labels = batch["label"] % m.num_classes  # the tiny model has few classes
        state, metrics = tiny_updates.update_d(state, batch["video"], labels, np.int32(update))
        assert np.isfinite(list(metrics.values())).all()
    state, metrics = tiny_updates.update_g(state)
    assert np.isfinite(metrics["g_loss"])
    before, after = jax.tree.leaves(tiny_state.g_params), jax.tree.leaves(state.g_params)
    assert any(not np.array_equal(x, y) for x, y in zip(before, after, strict=True))


def test_the_whole_data_set_as_an_experiment_reads_it(prepared, monkeypatch):
    from dvdgan_lib import experiments, training

    monkeypatch.setenv("DVDGAN_DATA", str(prepared["bair"][1].parent))
    run = experiments.get("bair_fp_64x64_1to15", "paper")
    source = training.load_source(run)
    assert source.example(0)["video"].shape == (16, 64, 64, 3)
    run = experiments.get("kinetics600_64x64_12f", "paper")
    assert training.load_source(run, "test").example(0)["video"].shape == (12, 64, 64, 3)
    few = dataclasses.replace(run, data=dataclasses.replace(run.data, clips_per_class=1))
    assert len(training.load_source(few, "test")) == 2  # tests stay whole
