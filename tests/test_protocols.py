"""The protocols of 4.1 and appendix D, with features that stand in for I3D's: which clips are seen, and how often."""

import dataclasses

import numpy as np
import pytest

from dvdgan_lib import baselines, data, metrics, protocols, sampling, training_data
from dvdgan_lib.generator import Generator


def test_truncation_scales_the_same_latents_and_the_best_score_wins(tiny, videos_seen):
    generator = baselines.untrained(tiny)
    real = metrics.features_cached(data.first_clips(baselines.load_source(tiny), 8)[0], "unused", "real")
    scores = iter([3.0, 9.0, 5.0])
    points = protocols.truncation_curve(
        generator, real, "unused", 8, sigmas=(0.1, 0.5, 1.0), score=lambda videos: next(scores)
    )
    assert [point.sigma for point in points] == [0.1, 0.5, 1.0]
    best = protocols.best_by_inception_score(points)
    assert (best.sigma, best.inception_score) == (0.5, 9.0)
    np.testing.assert_array_equal(videos_seen["truncation-1"], sampling.sample(generator, 8, seed=0))
    latents, labels = sampling.draw(tiny.model, 8, 1.0, (0,))
    half = sampling.generate(generator, np.float32(0.5) * latents, labels, truncation=0.5)
    np.testing.assert_array_equal(videos_seen["truncation-0.5"], half)


def test_statistics_of_a_whole_set_stand_for_its_features(tiny, videos_seen):
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
    np.testing.assert_array_equal(real, data.first_clips(training_data.load_source(experiment), 5)[0])
    latents, drawn = sampling.draw(experiment.model, 5, 1.0, (0, 9))
    np.testing.assert_array_equal(labels, drawn)
    np.testing.assert_array_equal(standing, sampling.generate(generator, latents, labels))
    for rows in (slice(0, 2), slice(2, 4), slice(4, 5)):
        inputs = ({"params": generator.params}, latents[rows], labels[rows])
        trained, _ = Generator(experiment.model).apply(*inputs, mutable=["batch_stats"])
        difference = np.abs((np.asarray(trained) + 1) * 127.5 - own[rows])
        assert difference.max() < 0.51, "but for rounding"
    assert np.abs(standing.astype(int) - own).max() > 5
