"""The protocols of sections 4.1 and 4.2, with features that stand in for I3D's: which clips are seen, and how often."""

import dataclasses

import numpy as np
import pytest

from dvdgan_lib import baselines, data, metrics, protocols, sampling, training
from dvdgan_lib.generator import Generator


@pytest.fixture
def seen(monkeypatch):
    """The videos that features were asked for, by name. Their features are their first pixels: a copy has distance 0."""
    videos_by_name = {}

    def pretend(videos, cache, name, network=metrics.NETWORK):
        videos_by_name[name] = videos
        flat = videos.reshape(len(videos), -1).astype(np.float32)
        pool = np.resize(flat, (len(videos), 1024)) if flat.shape[1] < 1024 else flat[:, :1024]
        return metrics.I3DFeatures(pool[:, :400] / 100, pool, videos.shape[1:4])

    monkeypatch.setattr(metrics, "features_cached", pretend)
    return videos_by_name


@pytest.fixture
def source():
    return data.load("robot_push", "test", num_frames=16, resolution=16)


@pytest.fixture
def predictor(tiny):
    """A tiny DVD-GAN-FP before its first step: 1 given frame, 3 predicted."""
    model = dataclasses.replace(tiny.model, conditioning_frames=1)
    return baselines.untrained(dataclasses.replace(tiny, model=model))


def test_bair_is_measured_on_256_test_clips_against_themselves(source, seen):
    """A predictor that knows the future has FVD 0 and infinite PSNR, and saw the first frame of each of 256 clips."""
    truth, _ = data.first_clips(source, 256)
    asked = []

    def oracle(given):
        asked.append(given)
        return truth

    result = protocols.measure_prediction(oracle, source, 1, "unused", key="oracle")
    np.testing.assert_array_equal(asked[0], truth[:, :1])
    assert seen["oracle"].shape == seen["real-test"].shape == (256, 16, 16, 16, 3)
    assert float(result.fvd) == pytest.approx(0, abs=1e-3)
    np.testing.assert_array_equal(result.psnr, np.full(15, 100.0))
    assert "256 real test clips" in str(result)
    assert "given ones included" in str(result)
    assert "SMALL SAMPLE" in str(result)  # 256 are the paper's number, and few all the same


def test_a_model_predicts_behind_the_frames_that_it_was_given(predictor, seen):
    protocol = protocols.PredictionProtocol("test", num_clips=6, draws=3)
    source = data.load("robot_push", "test", num_frames=4, resolution=8)
    result = protocols.measure_prediction(predictor, source, 1, "unused", protocol)
    real, made = seen["real-test"], seen["prediction"]
    np.testing.assert_array_equal(made[:, 0], np.repeat(real[:2, 0], 3, axis=0))  # three draws of each of two given clips
    assert not np.array_equal(made[0, 1:], made[1, 1:])  # with other latents each
    assert result.psnr.shape == (3,)
    assert "3 of each given clip" in str(result)


def test_drawn_with_replacement_given_and_real_clips_are_others():
    source = data.load("robot_push", "test", num_frames=2, resolution=8)
    protocol = protocols.PredictionProtocol("test", num_clips=300, replacement=True)
    real, given = protocols.prediction_clips(source, protocol, seed=1)
    names = lambda videos: [video.tobytes() for video in videos]  # noqa: E731
    assert len(set(names(real))) < 256  # 300 of 256 clips: some twice, and some not at all
    assert names(real) != names(given)
    again = protocols.prediction_clips(source, protocol, seed=1)
    np.testing.assert_array_equal(real, again[0])
    other = protocols.prediction_clips(source, protocol, seed=2)
    assert names(real) != names(other[0])


def test_draws_must_divide_the_clips(source):
    with pytest.raises(ValueError, match="7 predictions can't be 2 of each"):
        protocols.prediction_clips(source, protocols.PredictionProtocol("test", num_clips=7, draws=2))


def test_psnr_is_that_of_its_definition():
    real = np.zeros((2, 3, 4, 4, 3), np.uint8)
    predicted = real.copy()
    predicted[:, 1] = 255  # the largest error: 0 dB
    predicted[0, 2], predicted[1, 2] = 10, 100
    wanted = [100.0, 0.0, np.mean([20 * np.log10(25.5), 20 * np.log10(2.55)])]
    np.testing.assert_allclose(protocols.psnr_over_time(predicted, real), wanted)
    with pytest.raises(ValueError, match="one shape"):
        protocols.psnr_over_time(predicted, real[:, :2])


def test_truncation_scales_the_same_latents_and_the_best_score_wins(tiny, seen):
    generator = baselines.untrained(tiny)
    real = metrics.features_cached(data.first_clips(baselines.load_source(tiny), 8)[0], "unused", "real")
    scores = iter([3.0, 9.0, 5.0])
    points = protocols.truncation_curve(
        generator, real, "unused", 8, sigmas=(0.1, 0.5, 1.0), score=lambda videos: next(scores)
    )
    assert [point.sigma for point in points] == [0.1, 0.5, 1.0]
    best = protocols.best_by_inception_score(points)
    assert (best.sigma, best.inception_score) == (0.5, 9.0)
    np.testing.assert_array_equal(seen["truncation-1"], sampling.sample(generator, 8, seed=0))
    latents, labels = sampling.draw(tiny.model, 8, 1.0, (0,))
    half = sampling.generate(generator, np.float32(0.5) * latents, labels, truncation=0.5)
    np.testing.assert_array_equal(seen["truncation-0.5"], half)


def test_statistics_of_a_whole_set_stand_for_its_features(tiny, seen):
    """FID against moments equals FID against the features that they are of."""
    videos = np.random.default_rng(0).integers(0, 256, (40, 12, 16, 16, 3), np.uint8)
    real, fake = (metrics.features_cached(part, "unused", "x") for part in (videos[:20], videos[20:]))
    whole = metrics.statistics_of(real, "these")
    for distance in (metrics.frechet_inception_distance, metrics.frechet_video_distance):
        assert float(distance(whole, fake)) == pytest.approx(float(distance(real, fake)), rel=1e-9)
    assert distance(whole, fake).num_real == 20
    with pytest.raises(ValueError, match="frames"):
        distance(dataclasses.replace(whole, clip_shape=(16, 16, 16)), fake)


@pytest.mark.parametrize("norm", ["batch", "batch_over_time"])
def test_statistics_of_the_batch_are_those_that_training_uses(tiny, norm):
    """By its own batch's statistics a video is what G makes in training; by standing ones it is what `sample` makes."""
    experiment = dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, norm=norm))
    generator = baselines.untrained(experiment)
    seen = []

    def measure(real, fake, labels):
        seen.append((real, fake, labels))
        return {"fid": np.float32(len(seen))}

    found = protocols.measure_statistics(generator, measure, 5)  # batches of 2: the last is not full
    assert found == {"standing": {"fid": 1.0}, "batch": {"fid": 2.0}, "num_clips": 5}
    (real, standing, labels), (_, own, _) = seen
    np.testing.assert_array_equal(real, data.first_clips(training.load_source(experiment), 5)[0])
    latents, drawn = sampling.draw(experiment.model, 5, 1.0, (0, 9))
    np.testing.assert_array_equal(labels, drawn)
    np.testing.assert_array_equal(standing, sampling.generate(generator, latents, labels))
    for rows in (slice(0, 2), slice(2, 4), slice(4, 5)):
        inputs = ({"params": generator.params}, latents[rows], labels[rows])
        trained, _ = Generator(experiment.model).apply(*inputs, mutable=["batch_stats"])
        difference = np.abs((np.asarray(trained) + 1) * 127.5 - own[rows])
        assert difference.max() < 0.51, "but for rounding"
    assert np.abs(standing.astype(int) - own).max() > 5
