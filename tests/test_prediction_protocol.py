"""The protocol of section 4.2, with features that stand in for I3D's: which clips are seen, and which of their frames."""

import dataclasses

import numpy as np
import pytest

from dvdgan_lib import baselines, data, prediction_protocol, sampling, training_data


@pytest.fixture
def source():
    return data.load("robot_push", "test", num_frames=16, resolution=16)


@pytest.fixture
def predictor(tiny):
    """A tiny DVD-GAN-FP before its first step: 1 given frame, 3 predicted."""
    model = dataclasses.replace(tiny.model, conditioning_frames=1)
    return baselines.untrained(dataclasses.replace(tiny, model=model))


def test_bair_is_measured_on_256_test_clips_against_themselves(source, videos_seen):
    """A predictor that knows the future has FVD 0 and infinite PSNR, and saw the first frame of each of 256 clips."""
    truth, _ = data.first_clips(source, 256)
    asked = []

    def oracle(given):
        asked.append(given)
        return truth

    result = prediction_protocol.measure_prediction(oracle, source, 1, "unused", key="oracle")
    np.testing.assert_array_equal(asked[0], truth[:, :1])
    assert videos_seen["oracle"].shape == videos_seen["real-test"].shape == (256, 16, 16, 16, 3)
    assert float(result.fvd) == pytest.approx(0, abs=1e-3)
    np.testing.assert_array_equal(result.psnr, np.full(15, 100.0))
    assert "256 real test clips" in str(result)
    assert "given ones included" in str(result)
    assert "SMALL SAMPLE" in str(result)  # 256 are the paper's number, and few all the same


def test_a_model_predicts_behind_the_frames_that_it_was_given(predictor, videos_seen):
    protocol = prediction_protocol.PredictionProtocol("test", num_clips=6, draws=3)
    source = data.load("robot_push", "test", num_frames=4, resolution=8)
    result = prediction_protocol.measure_prediction(predictor, source, 1, "unused", protocol)
    real, made = videos_seen["real-test"], videos_seen["prediction"]
    np.testing.assert_array_equal(made[:, 0], np.repeat(real[:2, 0], 3, axis=0))  # three draws of each of two given clips
    assert not np.array_equal(made[0, 1:], made[1, 1:])  # with other latents each
    assert result.psnr.shape == (3,)
    assert "3 of each given clip" in str(result)


def test_predicted_frames_alone_are_compared_with_the_real_ones_of_their_times(source, videos_seen):
    """A predictor that is right at once, then wrong: given frames make it look better than what it made of them."""
    truth, _ = data.first_clips(source, 256)
    wrong = np.where(np.arange(16)[:, None, None, None] < 1, truth, 255 - truth)
    result = prediction_protocol.measure_prediction(lambda given: wrong, source, 1, "unused", key="wrong", alone=True)
    np.testing.assert_array_equal(videos_seen["wrong-from-1"], wrong[:, 1:])
    np.testing.assert_array_equal(videos_seen["real-test-from-1"], truth[:, 1:])
    assert float(result.fvd_alone) > float(result.fvd)
    assert f"of the predicted frames alone {result.fvd_alone}" in str(result)


@pytest.fixture
def unnamed(monkeypatch):
    """Records say nothing of the weights, which are in no file here."""
    monkeypatch.setattr(prediction_protocol, "measured_on", lambda generator: {})


def test_a_record_of_prediction_has_both_distances_for_every_predictor(predictor, videos_seen, unnamed):
    found = prediction_protocol.evaluate_prediction(predictor, "unused", 4, ("test",), ("copy_last_frame",), alone=True)
    assert found["results"]["test"].keys() == {"samples", "copy_last_frame"}
    for result in found["results"]["test"].values():
        assert result["fvd_alone"]["value"] != result["fvd"]["value"]
    without = prediction_protocol.evaluate_prediction(predictor, "unused", 4, ("test",), ("copy_last_frame",))
    assert "fvd_alone" not in without["results"]["test"]["samples"]


def test_synthesis_leaves_out_as_many_frames_as_a_prediction_was_given(tiny, videos_seen, unnamed):
    generator = baselines.untrained(tiny)
    samples, real = sampling.sample(generator, 4, seed=3), data.first_clips(training_data.load_source(tiny, "test"), 4)[0]
    found = prediction_protocol.evaluate_synthesis(generator, "unused", 4, ("test",), seed=3, alone_behind=1)
    np.testing.assert_array_equal(videos_seen[f"{tiny.name}-samples-from-1"], samples[:, 1:])
    np.testing.assert_array_equal(videos_seen["real-test-from-1"], real[:, 1:])
    result = found["results"]["test"]["samples"]
    assert result["fvd_alone"]["value"] != result["fvd"]["value"]
    assert result["fvd_alone"]["text"] in result["text"]


def test_drawn_with_replacement_given_and_real_clips_are_others():
    source = data.load("robot_push", "test", num_frames=2, resolution=8)
    protocol = prediction_protocol.PredictionProtocol("test", num_clips=300, replacement=True)
    real, given = prediction_protocol.prediction_clips(source, protocol, seed=1)
    names = lambda videos: [video.tobytes() for video in videos]  # noqa: E731
    assert len(set(names(real))) < 256  # 300 of 256 clips: some twice, and some not at all
    assert names(real) != names(given)
    again = prediction_protocol.prediction_clips(source, protocol, seed=1)
    np.testing.assert_array_equal(real, again[0])
    other = prediction_protocol.prediction_clips(source, protocol, seed=2)
    assert names(real) != names(other[0])


def test_draws_must_divide_the_clips(source):
    with pytest.raises(ValueError, match="7 predictions can't be 2 of each"):
        prediction_protocol.prediction_clips(source, prediction_protocol.PredictionProtocol("test", num_clips=7, draws=2))


def test_psnr_is_that_of_its_definition():
    real = np.zeros((2, 3, 4, 4, 3), np.uint8)
    predicted = real.copy()
    predicted[:, 1] = 255  # the largest error: 0 dB
    predicted[0, 2], predicted[1, 2] = 10, 100
    wanted = [100.0, 0.0, np.mean([20 * np.log10(25.5), 20 * np.log10(2.55)])]
    np.testing.assert_allclose(prediction_protocol.psnr_over_time(predicted, real), wanted)
    with pytest.raises(ValueError, match="one shape"):
        prediction_protocol.psnr_over_time(predicted, real[:, :2])
