"""What storing videos encoded again costs: PSNR against NumPy, and nothing where nothing was encoded."""

import dataclasses
import math
from pathlib import Path

import made_videos
import numpy as np
import pytest

from dvdgan_lib import metrics
from dvdgan_lib.data import DataError, encoding_cost, preparation
from dvdgan_lib.data.prepared import PreparedVideos
from dvdgan_lib.data.raw import RawVideo

CLIP = {"num_frames": 4, "resolution": 16, "stride": 2}
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "clips"


@pytest.fixture
def raw(tmp_path):
    names = {"a/one.mp4": 0, "b/two.mp4": 1, "b/three.mp4": 1}
    for seed, name in enumerate(names):
        made_videos.write(tmp_path / "raw" / name, frames=15 + seed, height=32, width=48, seed=seed)
    return made_videos.split_of(names, tmp_path / "raw")


@pytest.fixture
def stored(raw, tmp_path, monkeypatch):
    """stored(short side, CRF) -> the folder of the prepared data set."""
    monkeypatch.setattr(preparation, "Decoder", made_videos.DecoderHere)

    def prepare(short_side, crf=14):
        folder = tmp_path / f"stored_{short_side}_{crf}"
        preparation.prepare({"train": raw}, folder, short_side=short_side, crf=crf)
        return folder

    return prepare


@pytest.fixture
def logits(monkeypatch):
    """I3D's stand-in, a linear map of the pixels: the network itself takes a minute to compile."""

    def features(videos, **options):
        flat = np.stack([np.float32(video).ravel()[: 4 * 16 * 16] for video in videos])
        weights = np.random.default_rng(0).normal(size=(flat.shape[1], 400)) / 1000
        return metrics.I3DFeatures(flat @ weights, np.zeros((len(flat), 1024), np.float32), videos[0].shape[:3])

    monkeypatch.setattr(metrics.i3d_features, "as_features", features)


def test_psnr_is_that_of_its_definition():
    one, other = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 8, 8, 3), np.uint8)
    wanted = [
        20 * math.log10(255)
        - 10 * math.log10(sum((int(a) - int(b)) ** 2 for a, b in zip(x.flat, y.flat, strict=True)) / x.size)
        for x, y in zip(one, other, strict=True)
    ]
    np.testing.assert_allclose(encoding_cost.psnr(one, other), wanted, rtol=1e-12)
    black = np.zeros((1, 2, 4, 4, 3), np.uint8)
    np.testing.assert_allclose(encoding_cost.psnr(black, black + 255), 0, atol=1e-12)
    np.testing.assert_allclose(encoding_cost.psnr(black + 255, black + 254), 48.1308, atol=1e-4)  # in bytes it would wrap


def test_files_stored_as_they_are_cost_nothing(raw, stored, logits):
    cost = encoding_cost.measure(raw, stored(None), **CLIP, num_clips=8, fvd=True)
    assert cost.psnr.shape == (8,)
    assert np.isposinf(cost.psnr).all()
    assert float(cost.fvd) == pytest.approx(0, abs=1e-6)


def test_coarser_encoding_costs_more(raw, stored, logits):
    fine, coarse = (encoding_cost.measure(raw, stored(32, crf), **CLIP, num_clips=8, fvd=True) for crf in (10, 40))
    assert np.isfinite(fine.psnr).all()
    assert (fine.psnr > coarse.psnr + 3).all()
    assert 0 < float(fine.fvd) < float(coarse.fvd)


def test_the_two_ways_differ_by_nothing_but_the_encoding(raw, stored):
    """Window and crop are the same: at the stored size, and losslessly encoded, only colours are rounded."""
    source = PreparedVideos("train", **CLIP | {"resolution": 32}, data_dir=stored(32, 0))
    direct, seen = encoding_cost.paired_clips(raw, source, 12, seed=3)
    assert direct.shape == seen.shape == (12, 4, 32, 32, 3)
    assert (encoding_cost.psnr(direct, seen) > 45).all()
    assert len(np.unique(direct.reshape(12, -1), axis=0)) > 6  # of three videos: windows and crops vary
    again, _ = encoding_cost.paired_clips(raw, source, 12, seed=3)
    np.testing.assert_array_equal(direct, again)
    assert not np.array_equal(direct, encoding_cost.paired_clips(raw, source, 12, seed=4)[0])


def test_a_part_of_a_longer_video(tmp_path, stored, raw):
    path = made_videos.write(tmp_path / "raw" / "long.mp4", frames=60, height=32, width=48)
    part = dataclasses.replace(raw, videos=(RawVideo("part", 0, path, start=2.0, stop=4.0),))
    preparation.prepare({"train": part}, tmp_path / "part", short_side=32, crf=0)
    cost = encoding_cost.measure(part, tmp_path / "part", num_frames=4, resolution=32, num_clips=4)
    assert cost.psnr.min() > 45


def test_few_clips_are_of_random_videos(raw, stored, monkeypatch):
    source = PreparedVideos("train", **CLIP, data_dir=stored(None))
    clip, seen = source.clip, []
    monkeypatch.setattr(source, "clip", lambda index, rng: seen.append(index) or clip(index, rng))
    for seed in range(10):
        encoding_cost.paired_clips(raw, source, 2, seed)
        assert len(set(seen[-2:])) == 2
    assert set(seen[::2]) == {0, 1, 2}


def test_it_says_what_was_measured(raw, stored, logits):
    folder = stored(24)
    cost = encoding_cost.measure(raw, folder, **CLIP, num_clips=6, fvd=True)
    assert (len(cost.psnr), cost.num_videos, cost.num_frames, cost.resolution, cost.stride) == (6, 3, 4, 16, 2)
    for part in ("6 clips", "3 videos", "4 frames of 16x16, stride 2", "short side of 24", "I3D-K400", "SMALL SAMPLE"):
        assert part in str(cost)
    assert cost.fvd.small_sample
    without = encoding_cost.measure(raw, folder, **CLIP, num_clips=2)
    assert without.fvd is None
    assert without.num_videos == 2
    assert "FVD" not in str(without)


def test_videos_of_something_else_are_refused(raw, stored):
    folder = stored(24)
    other = dataclasses.replace(raw, videos=raw.videos[:1])
    with pytest.raises(DataError, match="not in made"):
        encoding_cost.measure(other, folder, **CLIP, num_clips=3)


def test_a_real_clip(tmp_path):
    """Of Kinetics, uploaded, cut and encoded by others before."""
    folder = SHARED / "kinetics"
    if not folder.is_dir():
        pytest.skip(f"the real clips are not there: {folder}")
    raw = made_videos.split_of({"mmaction2_demo.mp4": 0}, folder, ("a",))
    preparation.prepare({"train": raw}, tmp_path / "stored", short_side=128)
    cost = encoding_cost.measure(raw, tmp_path / "stored", num_frames=12, resolution=64, stride=2, num_clips=4)
    assert cost.psnr.min() > 36
