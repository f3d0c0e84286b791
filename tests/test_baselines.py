"""Real clips spoiled in a known way: each spoils what it says and nothing else."""

import numpy as np
import pytest

from dvdgan_lib import baselines, batch, experiments


@pytest.fixture
def videos():
    return np.random.default_rng(0).integers(0, 256, (6, 12, 8, 8, 3), np.uint8)


def test_blur_is_a_gaussian_in_space_alone():
    """A bright point becomes a Gaussian of the stated width; other frames, channels and clips stay dark."""
    videos = np.zeros((2, 3, 64, 64, 3), np.uint8)
    videos[0, 1, 32, 32, 0] = 255
    videos[1, 2] = 77
    out = baselines.blurred(videos)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out[1, 2], 77)
    sigma = baselines.BLUR * 64
    y, x = np.mgrid[:64, :64] - 32.0
    wanted = 255 * np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    np.testing.assert_allclose(out[0, 1, :, :, 0], wanted, atol=0.55)
    assert out[0, 1, :, :, 1:].max() == 0
    assert out[0, [0, 2]].max() == 0


def test_shuffling_keeps_every_frame_and_each_clip_to_itself(videos):
    out = baselines.shuffled(videos)
    orders = []
    for before, after in zip(videos, out, strict=True):
        order = [next(i for i, frame in enumerate(before) if np.array_equal(frame, other)) for other in after]
        assert sorted(order) == list(range(12))
        orders.append(tuple(order))
    assert len(set(orders)) == len(orders)
    assert tuple(range(12)) not in orders


def test_frozen_clips_are_their_middle_frame(videos):
    out = baselines.frozen(videos)
    assert out.shape == videos.shape
    np.testing.assert_array_equal(out, np.broadcast_to(videos[:, 6:7], videos.shape))


def test_noise_has_the_stated_deviation_and_no_trend():
    out = baselines.noisy(np.full((4, 6, 32, 32, 3), 128, np.uint8)).astype(float) - 128
    assert out.std() == pytest.approx(baselines.NOISE, rel=0.02)
    assert abs(out.mean()) < 0.2
    assert abs(np.corrcoef(out[:, 0].ravel(), out[:, 1].ravel())[0, 1]) < 0.03  # drawn anew for each frame
    assert baselines.noisy(np.full((1, 1, 32, 32, 3), 255, np.uint8)).min() > 100  # clipped, not wrapped


def test_copying_keeps_the_given_frames_and_repeats_the_last(videos):
    out = baselines.continue_last_frame(videos[:, :5], videos.shape[1] - 5)
    np.testing.assert_array_equal(out[:, :5], videos[:, :5])
    for t in range(5, 12):
        np.testing.assert_array_equal(out[:, t], videos[:, 4])
    assert not np.array_equal(out, videos)


@pytest.mark.parametrize("name", ["other_half", "held_out", "shuffled"])
def test_they_come_with_their_labels_and_are_not_the_reference(name):
    experiment = experiments.get("kinetics600_64x64_12f", "smoke")
    made, labels = baselines.BASELINES[name].clips(experiment, 16)(0, 16)
    assert made.shape == (16, 12, 8, 8, 3)
    np.testing.assert_array_equal(labels, np.arange(16) % 8)
    later, _ = baselines.BASELINES[name].clips(experiment, 16)(8, 16)
    if name != "shuffled":  # whose orders are drawn anew for each part
        np.testing.assert_array_equal(later, made[8:])
    reference = baselines.data.first_clips(baselines.load_source(experiment), 16)[0]
    assert not any(np.array_equal(a, b) for a in made for b in reference)


def test_the_batch_names_all_of_synthesis():
    """It can't import them, since they are behind JAX; a copied frame is prediction's."""
    assert set(batch.ANCHORS) == baselines.BASELINES.keys() - {"copy_last_frame"}
