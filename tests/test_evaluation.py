"""What `evaluate` measures and against what; the metrics themselves are tested in tests/metrics."""

import dataclasses
import json

import numpy as np
import pytest

from dvdgan_lib import evaluation, metrics


@pytest.fixture
def generator(tiny):
    """The tiny run's generator before its first step, as if read from a file."""
    return dataclasses.replace(evaluation.untrained(tiny), path="folder/model.safetensors")


@pytest.fixture
def seen(monkeypatch):
    """The videos that features were asked for, by name; the features are random numbers, not I3D's."""
    videos_by_name = {}

    def pretend(videos, cache, name):
        videos_by_name[name] = videos
        rng = np.random.default_rng(len(name))
        logits, pool = rng.normal(size=(len(videos), 400)), rng.gamma(1.0, size=(len(videos), 1024))
        return metrics.I3DFeatures(logits.astype(np.float32), pool.astype(np.float32), videos.shape[1:4])

    monkeypatch.setattr(metrics, "features_cached", pretend)
    return videos_by_name


def test_measures_samples_and_every_baseline_that_was_asked_for(generator, seen, tmp_path):
    result = evaluation.evaluate(generator, tmp_path, seed=1, num_clips=6, baselines=["held_out", "blurred"])
    assert seen.keys() == {"real-train", "samples", "held_out", "blurred"}
    assert {videos.shape for videos in seen.values()} == {(6, 3, 16, 16, 3)}
    assert not np.array_equal(seen["real-train"], seen["held_out"])
    np.testing.assert_array_equal(seen["blurred"], evaluation.blurred(seen["held_out"]))
    for group in ("samples", "held_out", "blurred"):
        assert result[group].keys() == {"fid", "fvd", "inception_score"}
        assert all("I3D-K400" in measured["text"] for measured in result[group].values())
    assert "untrained" not in result
    assert "stand-in" in result["data"]
    assert (result["num_clips"], result["seed"], result["model"]["file"]) == (6, 1, "model.safetensors")

    evaluation.save_evaluation(result, tmp_path / "evaluation.json")
    assert evaluation.load_evaluation(tmp_path / "evaluation.json") == json.loads(json.dumps(result))


def test_unknown_baseline_is_refused_with_the_list(generator, seen, tmp_path):
    with pytest.raises(ValueError, match=r"no baseline 'noise'; there are held_out, blurred, untrained"):
        evaluation.evaluate(generator, tmp_path, num_clips=2, baselines=["noise"])


def test_blur_is_a_gaussian_in_space_alone():
    """A bright point becomes a Gaussian of the stated width; other frames, channels and clips stay dark."""
    videos = np.zeros((2, 3, 64, 64, 3), np.uint8)
    videos[0, 1, 32, 32, 0] = 255
    videos[1, 2] = 77
    out = evaluation.blurred(videos)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out[1, 2], 77)
    sigma = evaluation.BLUR * 64
    y, x = np.mgrid[:64, :64] - 32.0
    wanted = 255 * np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    np.testing.assert_allclose(out[0, 1, :, :, 0], wanted, atol=0.55)
    assert out[0, 1, :, :, 1:].max() == 0
    assert out[0, [0, 2]].max() == 0
