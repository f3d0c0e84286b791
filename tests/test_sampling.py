"""Samples: their seed, classes and truncation, and that none depends on its batch."""

import jax
import numpy as np
import numpy_reference as reference
import pytest

from dvdgan_lib import sampling
from dvdgan_lib.sampling import draw, generate, sample, standing_statistics
from dvdgan_lib.spectral_norm import spectral_normalize
from dvdgan_lib.trained_generator import TrainedGenerator, export


@pytest.fixture(scope="module")
def generator(tiny, tiny_state):
    params = jax.device_get(spectral_normalize(tiny_state.ema, tiny_state.g_vectors, update=False)[0])
    # Untrained, it hardly moves and its classes look alike: stronger recurrent weights make the samples differ.
    params = jax.tree.map(lambda p: 1.5 * p, params)
    return TrainedGenerator(tiny, params, standing_statistics(tiny, params), {}, "")


def assert_same_videos(a, b):
    """Equal but for what another order of summation rounds to another of 256 values."""
    difference = np.abs(a.astype(int) - b.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_standing_statistics_are_the_mean_over_batches(tiny, generator):
    total = None
    for i in range(tiny.evaluation.standing_batches):
        latents, labels = draw(tiny.model, tiny.training.batch_size, 1.0, (0, 1, i))
        _, seen = reference.generator(generator.params, latents, labels, tiny.model.num_frames)
        total = seen if total is None else jax.tree.map(np.add, total, seen)
    mean = jax.tree.map(lambda s: s / tiny.evaluation.standing_batches, total)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-2 * np.abs(b).max())  # noqa: E731
    jax.tree.map(close, generator.standing, mean)


def test_a_sample_is_g_with_standing_statistics(tiny, generator):
    videos = sample(generator, 3, seed=5)
    assert videos.shape == (3, 3, 8, 8, 3)
    assert videos.dtype == np.uint8
    latents, labels = draw(tiny.model, 3, 1.0, (5,))
    wanted, _ = reference.generator(generator.params, latents, labels, tiny.model.num_frames, generator.standing)
    assert_same_videos(videos, np.round((wanted + 1) * 127.5).astype(np.uint8))


def test_same_seed_same_videos(generator):
    videos = sample(generator, 3, seed=1)
    np.testing.assert_array_equal(videos, sample(generator, 3, seed=1))
    assert np.abs(videos.astype(int) - sample(generator, 3, seed=2)).max() > 20


def test_sample_i_does_not_depend_on_how_many_are_drawn(generator):
    """3 are one batch that is not full, 8 are two."""
    few, many = sample(generator, 3, seed=1), sample(generator, 8, seed=1)
    assert_same_videos(few, many[:3])
    assert many.shape[0] == 8


def test_labels_are_respected(generator):
    labels = [0, 1, 2]
    videos = sample(generator, 3, labels, seed=1)
    assert np.abs(videos.astype(int) - sample(generator, 3, [1, 2, 0], seed=1)).max((1, 2, 3, 4)).min() > 5
    _, drawn = draw(generator.experiment.model, 3, 1.0, (1,))
    np.testing.assert_array_equal(sample(generator, 3, drawn, seed=1), sample(generator, 3, seed=1))
    changed = sample(generator, 3, [0, 1, 0], seed=1)
    np.testing.assert_array_equal(changed[:2], videos[:2])


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 3], [-1, 0, 1], [[0, 1, 2]]])
def test_labels_that_do_not_fit_are_refused(generator, labels):
    with pytest.raises(ValueError, match="Labels must be 3 integers from 0 to 2"):
        sample(generator, 3, labels)


@pytest.mark.parametrize("truncation", [0.0, -0.5, 1.01, float("nan")])
def test_truncation_is_above_zero_and_at_most_one(generator, truncation):
    with pytest.raises(ValueError, match="standard deviation of the latents, above 0 and up to 1"):
        sample(generator, 1, truncation=truncation)


def test_truncation_is_the_standard_deviation_of_the_latents(tiny):
    whole, labels = draw(tiny.model, 2000, 1.0, (0,))
    half, same_labels = draw(tiny.model, 2000, 0.5, (0,))
    assert whole.std() == pytest.approx(1.0, abs=0.02)
    assert half.std() == pytest.approx(0.5, abs=0.01)
    assert whole.mean() == pytest.approx(0.0, abs=0.02)
    np.testing.assert_allclose(half, 0.5 * whole, rtol=1e-6)
    np.testing.assert_array_equal(labels, same_labels)
    assert np.bincount(labels).min() > 2000 / 3 * 0.85


def test_truncated_samples_use_statistics_of_their_own(tiny, generator):
    videos = sample(generator, 3, truncation=0.3, seed=1)
    own = standing_statistics(tiny, generator.params, truncation=0.3)
    latents, labels = draw(tiny.model, 3, 0.3, (1,))
    wanted, _ = reference.generator(generator.params, latents, labels, tiny.model.num_frames, own)
    assert_same_videos(videos, np.round((wanted + 1) * 127.5).astype(np.uint8))
    gap = jax.tree.map(lambda a, b: np.abs(a - b).max(), own, generator.standing)
    assert max(jax.tree.leaves(gap)) > 1e-2


def test_embeddings_between_classes_give_videos_between(generator):
    latents, _ = draw(generator.experiment.model, 3, 1.0, (1,))
    table = generator.params["embedding"]["embedding"]
    blend = np.stack([table[0], 0.5 * (table[0] + table[1]), table[1]])
    same = np.repeat(latents[:1], 3, 0)
    videos = generate(generator, same, np.zeros(3, np.int32), embedded=blend)
    ends = generate(generator, same, np.array([0, 0, 1], np.int32))
    assert_same_videos(videos[[0, 2]], ends[[0, 2]])
    assert (videos[1] != videos[0]).any()
    assert (videos[1] != videos[2]).any()


def test_a_file_samples_as_the_model_in_memory(tmp_path, generator):
    export(tmp_path / "model.safetensors", generator.experiment, generator.params, generator.standing, {})
    np.testing.assert_array_equal(sample(tmp_path, 3, seed=1), sample(generator, 3, seed=1))


def test_a_bar_is_shown_only_for_more_than_one_batch(generator, monkeypatch):
    disabled = []
    monkeypatch.setattr(sampling, "tqdm", lambda items, disable, **_: disabled.append(disable) or items)
    for num, progress in ((3, True), (8, True), (8, False)):
        sample(generator, num, progress=progress)
    assert disabled == [True, False, True]
