"""DVD-GAN-FP (appendix B.4): the encoder and G against NumPy, and who sees which frames."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpy_reference as reference
import pytest

from dvdgan_lib import experiments, sampling, training, training_data
from dvdgan_lib.discriminators import DualDiscriminator
from dvdgan_lib.frame_prediction import ConditioningEncoder
from dvdgan_lib.generator import Generator
from dvdgan_lib.layers import from_pixels
from dvdgan_lib.trained_generator import TrainedGenerator, load_generator
from dvdgan_lib.updates import Updates

C = 2
LABELS = np.zeros(3, np.int32)


def from_two(tiny):
    return dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, conditioning_frames=C, num_classes=1))


@pytest.fixture(scope="module")
def predicting(tiny_16):
    """The tiny run of 16x16, but 3 frames from 2."""
    return from_two(tiny_16)


@pytest.fixture(scope="module")
def state(predicting):
    return jax.device_get(Updates(predicting).init(np.uint32(0)))


@pytest.fixture(scope="module")
def params(state):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), state.g_params)


@pytest.fixture(scope="module")
def latents(predicting):
    return np.random.default_rng(1).normal(size=(3, predicting.model.latent_dim)).astype(np.float32)


@pytest.fixture(scope="module")
def predict(predicting, params):
    """(z, given frames) -> the video that follows, with the batch's statistics."""
    apply = lambda z, x: Generator(predicting.model).apply(  # noqa: E731
        {"params": params}, z, LABELS, conditioning=x, mutable=["batch_stats"]
    )[0]
    return jax.jit(apply)


def frames(seed, *shape):
    return np.random.default_rng(seed).uniform(-1, 1, size=(*shape, 16, 16, 3)).astype(np.float32)


# --- The model --------------------------------------------------------------------------------------------------------


def test_encoder_equals_numpy(predicting, params):
    conditioning, widths = frames(2, 3, C), (params["gru_0"]["reset_bias"].size, params["gru_1"]["reset_bias"].size)
    found = ConditioningEncoder(predicting.model).apply({"params": params["encoder"]}, conditioning, widths)
    wanted = reference.encoder(params["encoder"], conditioning, 2)
    assert [h.shape for h in found] == [(3, 4, 4, widths[0]), (3, 8, 8, widths[1])]
    for ours, theirs in zip(found, wanted, strict=True):
        assert np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_prediction_equals_numpy(predicting, params, latents, predict):
    given = frames(2, 3, C)
    wanted, _ = reference.generator(params, latents, LABELS, predicting.model.num_frames, conditioning=given)
    np.testing.assert_allclose(predict(latents, given), wanted, atol=2e-3)


def test_given_frames_reach_their_own_video_from_its_first_frame_on(params, predict, latents):
    """Permuting them permutes the videos; without them every frame of a video is another."""
    given, order = frames(2, 3, C), [1, 0, 2]  # no rotation: a shift of the batch would commute with it
    video = np.asarray(predict(latents, given))
    np.testing.assert_allclose(predict(latents[order], given[order]), video[order], atol=1e-4)
    blind = np.asarray(predict(latents, np.zeros_like(given)))
    assert (np.abs(video - blind).max((2, 3, 4)) > 1e-2).all()


def test_the_order_of_given_frames_counts(latents, predict):
    given = frames(2, 3, C)
    assert np.abs(predict(latents, given) - predict(latents, given[:, ::-1])).max((1, 2, 3, 4)).min() > 1e-2


@pytest.mark.parametrize(("name", "resolution"), [("bair_fp_64x64_1to15", 64), ("kinetics600_fp_64x64_5to11", 64)])
def test_states_line_up_with_their_convgrus_at_the_papers_size(name, resolution):
    """B.4: 4, 8, 16, 32 pixels, each as wide as its ConvGRU; and the encoder's parameters, counted from B.2 and B.4."""
    model = dataclasses.replace(experiments.get(name, "paper").model, num_frames=2)
    c, ch = model.conditioning_frames, 128
    z, y = jnp.zeros((1, 120)), jnp.zeros(1, jnp.int32)
    given = jnp.zeros((1, c, resolution, resolution, 3))
    init = lambda: Generator(model).init(jax.random.key(0), z, y, conditioning=given)  # noqa: E731
    params = jax.eval_shape(init)["params"]
    states = [params[f"gru_{i}"]["candidate_bias"].shape for i in range(4)]
    kernels = [params["encoder"][f"to_state_{i}"]["kernel"].shape for i in range(4)]
    assert states == [(8 * ch,), (8 * ch,), (8 * ch,), (4 * ch,)]
    # From the blocks that end at 4 (the last one), 8, 16 and 32 pixels; [2, 4, 8, 16, 16] times ch channels a frame.
    features = [16, 8, 4, 2]
    assert kernels == [(3, 3, c * f * ch, *state) for f, state in zip(features, states, strict=True)]

    count, c_in = 0, 3
    for i, constant in enumerate([2, 4, 8, 16, 16]):
        out = constant * ch
        count += 9 * c_in * out + out + 9 * out * out + out + (c_in * out + out if i < 4 else 0)
        c_in = out
    count += sum(9 * c * f * ch * state + state for f, (state,) in zip(features, states, strict=True))
    assert count == sum(leaf.size for leaf in jax.tree.leaves(params["encoder"]))


def test_d_s_never_sees_the_given_frames_and_d_t_sees_them_all(predicting, state):
    """B.4: "we do not sample the first C frames for D_S on real or generated data"."""
    module, video = DualDiscriminator(predicting.model), frames(3, 3, C + 3)
    scores = jax.jit(lambda v, key: module.apply({"params": state.d_params}, v, LABELS, key))
    changed, later = video.copy(), video.copy()
    changed[:, :C] += 0.5
    later[:, C:] += 0.5
    for seed in range(8):
        key = jax.random.key(seed)
        before, after = scores(video, key), scores(changed, key)
        np.testing.assert_array_equal(before["spatial"], after["spatial"])
        assert np.abs(before["temporal"] - after["temporal"]).min() > 1e-3
        assert np.abs(before["spatial"] - scores(later, key)["spatial"]).min() > 1e-3


# --- Training ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tiny):
    """The same of 8x8, for what compiles whole updates."""
    return from_two(tiny)


@pytest.fixture(scope="module")
def updates(trained):
    """Compiled once for all tests here."""
    updates = Updates(trained)
    updates.compile()
    return updates


@pytest.fixture(scope="module")
def start(updates):
    return jax.device_get(updates.init(np.uint32(0)))


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(4)
    return rng.integers(0, 256, (2, C + 3, 8, 8, 3), np.uint8), np.array([5, 7], np.int32)


def test_d_judges_the_given_frames_with_what_g_made_of_them(updates, start, batch):
    video, _ = batch
    given = from_pixels(jnp.asarray(video[:, :C]))
    latents, labels = updates._draw(jax.random.key(0))
    fake = np.asarray(jax.jit(updates._fake)(start.g_params, latents, labels, given))
    assert fake.shape == video.shape
    np.testing.assert_array_equal(fake[:, :C], given)
    np.testing.assert_array_equal(labels, 0)


def test_classes_of_the_data_have_no_effect(updates, start, batch):
    """B.4: "setting the class id of all samples to 0"; 5 and 7 aren't even in the embedding."""
    video, labels = batch

    def update(labels):
        arguments = jax.device_put((video, labels), updates.split)
        return updates.update_d(jax.device_put(start, updates.replicated), *arguments, np.int32(0))[1]

    with_classes, without = update(labels), update(np.zeros_like(labels))
    assert np.isfinite(list(with_classes.values())).all()
    assert with_classes == without


def test_the_encoder_learns_and_is_averaged_with_g(updates, start, batch):
    after, given = jax.device_put(start, updates.replicated), jax.device_put(batch[0][:, :C], updates.split)
    for _ in range(3):  # the average starts after step 2
        after, metrics = updates.update_g(after, given)
    assert np.isfinite(metrics["g_loss"])
    after = jax.device_get(after)
    encoder = after.g_params["encoder"]
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), encoder, start.g_params["encoder"])
    assert min(jax.tree.leaves(moved)) > 0, moved
    lag = jax.tree.map(lambda a, b: np.abs(a - b).max(), after.ema["encoder"], encoder)
    assert max(jax.tree.leaves(lag)) > 0
    assert any(path.startswith("encoder/block_0/") for path in after.g_vectors), "spectral norm reaches the encoder"


def test_a_run_trains_exports_and_predicts(trained, updates, tmp_path, monkeypatch):
    """All classes of the data, one in the model; the exported generator goes on from test clips."""
    monkeypatch.setattr(training, "Updates", lambda _: updates)
    source = training_data.load_source(trained)
    assert len(source.class_names) > 1
    short = dataclasses.replace(trained, training=dataclasses.replace(trained.training, steps=2, sample_every=2))
    path = training.train(short, tmp_path, progress=False)
    assert list((path.parent / "samples").iterdir())
    assert load_generator(path).experiment.model == trained.model
    given = training_data.given_frames(trained, training_data.load_source(trained, "test"), 4)
    assert given.shape == (4, C, 8, 8, 3)
    assert sampling.sample(path, 4, conditioning=given).shape == (4, C + 3, 8, 8, 3)


# --- Sampling ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generator(predicting, params):
    clips = np.random.default_rng(5).integers(0, 256, (3, C, 16, 16, 3), np.uint8)
    standing = sampling.standing_statistics(predicting, params, conditioning=clips)
    return TrainedGenerator(predicting, params, standing, {}, path="")


def test_a_prediction_begins_with_the_given_frames(generator, predicting):
    given = np.random.default_rng(6).integers(0, 256, (3, C, 16, 16, 3), np.uint8)
    videos = sampling.sample(generator, 3, seed=5, conditioning=given)
    assert videos.shape == (3, C + 3, 16, 16, 3)
    np.testing.assert_array_equal(videos[:, :C], given)
    latents, labels = sampling.draw(predicting.model, 3, 1.0, (5,))
    wanted, _ = reference.generator(
        generator.params, latents, labels, 3, generator.standing, np.asarray(given, np.float64) / 127.5 - 1.0
    )
    difference = np.abs(videos[:, C:].astype(int) - np.round((wanted + 1) * 127.5).astype(int))
    assert difference.max() <= 1  # rounding to whole pixels
    assert (difference == 0).mean() > 0.95
    # Another future of the same frames.
    assert np.abs(videos[:, C:].astype(int) - sampling.sample(generator, 3, seed=6, conditioning=given)[:, C:]).max() > 5


@pytest.mark.parametrize(
    ("shape", "dtype", "sentence"),
    [
        (None, None, r"needs the first 2 frames"),
        ((2, C, 16, 16, 3), np.uint8, r"must be uint8 \[3, 2, 16, 16, 3\]; got uint8 \[2, 2, 16, 16, 3\]"),
        ((3, C + 3, 16, 16, 3), np.uint8, r"got uint8 \[3, 5, 16, 16, 3\]"),
        ((3, C, 16, 16, 3), np.float32, r"got float32"),
    ],
)
def test_given_frames_that_do_not_fit_are_refused(generator, shape, dtype, sentence):
    given = None if shape is None else np.zeros(shape, dtype)
    with pytest.raises(ValueError, match=sentence) as error:
        sampling.sample(generator, 3, conditioning=given)
    assert "\n" not in str(error.value)


def test_synthesis_refuses_given_frames(tiny_16, tiny_16_state):
    generator = TrainedGenerator(tiny_16, tiny_16_state.g_params, {}, {}, path="")
    with pytest.raises(ValueError, match="this model makes whole videos"):
        sampling.sample(generator, 1, conditioning=np.zeros((1, 1, 16, 16, 3), np.uint8))
