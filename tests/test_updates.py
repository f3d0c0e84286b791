"""What an update changes and what it must leave alone, the moving average, and the draws."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from dvdgan_lib import devices
from dvdgan_lib.updates import Updates

METRICS_OF_D = {"d_loss", "spatial_real", "spatial_fake", "temporal_real", "temporal_fake"}


@pytest.fixture(scope="module")
def batch(tiny):
    m, b = tiny.model, tiny.training.batch_size
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (b, m.num_frames, m.resolution, m.resolution, 3), np.uint8)
    return video, rng.integers(0, m.num_classes, b, np.int32)


@pytest.fixture(scope="module")
def update_d(tiny_updates, batch):
    """A function of a state in NumPy: donation takes its copy."""

    def update(state, number=0):
        return jax.device_get(tiny_updates.update_d(jax.tree.map(jnp.array, state), *batch, number))

    return update


@pytest.fixture(scope="module")
def update_g(tiny_updates):
    return lambda state: jax.device_get(tiny_updates.update_g(jax.tree.map(jnp.array, state)))


@pytest.fixture(scope="module")
def after_d(update_d, tiny_state):
    return update_d(tiny_state)


@pytest.fixture(scope="module")
def steps(update_g, after_d):
    """The states after 0, 1, ... 4 updates of G that follow one of D."""
    states = [after_d[0]]
    for _ in range(4):
        state, metrics = update_g(states[-1])
        assert np.isfinite(metrics["g_loss"])
        states.append(state)
    return states


def changed(before, after):
    """Which fields of the state differ."""
    differ = set()
    for name, old, new in zip(before._fields, before, after, strict=True):
        assert jax.tree.structure(old) == jax.tree.structure(new)
        if any(not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)):
            differ.add(name)
    return differ


def test_update_of_d_changes_only_d(tiny_state, after_d):
    state, metrics = after_d
    assert changed(tiny_state, state) == {"d_params", "d_vectors", "d_opt"}
    assert metrics.keys() == METRICS_OF_D
    assert np.isfinite(list(metrics.values())).all()


def test_update_of_g_changes_only_g_its_average_and_the_step(steps):
    for before, after in itertools.pairwise(steps):
        assert changed(before, after) == {"g_params", "g_vectors", "g_opt", "ema", "step"}
        assert after.step == before.step + 1


def second_moments(opt):
    """Adam's: after one update from zero they are zero exactly where the gradient was."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(opt[0].nu)}


def test_every_weight_has_a_gradient(tiny_state, after_d, update_g):
    of_d = second_moments(after_d[0].d_opt)
    of_g = second_moments(update_g(tiny_state)[0].g_opt)
    assert len(of_d) == len(jax.tree.leaves(tiny_state.d_params))
    assert len(of_g) == len(jax.tree.leaves(tiny_state.g_params))
    dead = {path for path, nu in (of_d | of_g).items() if not nu.max() > 0}
    assert dead == set()
    # It is more than rounding, but for the biases in front of a batch norm, which takes them away again: those of conv_1,
    # and where the last block ends those that the final norm follows.
    last = max(path.split("'")[1] for path in of_g if "block_" in path)
    behind_norm = lambda path: "conv_1" in path or (last in path and "conv_" in path)  # noqa: E731
    weak = {path for path, nu in of_g.items() if nu.max() < 1e-16}
    assert {path for path in weak if not (path.endswith("['bias']") and behind_norm(path))} == set()
    assert {path for path, nu in of_d.items() if nu.max() < 1e-16} == set()


def test_average_follows_its_recursion_from_the_start_step_on(tiny, steps):
    """A copy of the weights up to and with step 2, then decay 0.9."""
    assert (tiny.training.ema_start, tiny.training.ema_decay) == (2, 0.9)
    average = steps[0].ema
    for number, state in enumerate(steps[1:], start=1):
        keep = 0.0 if number <= 2 else 0.9
        average = jax.tree.map(lambda a, w, keep=keep: keep * a + (1 - keep) * w, average, state.g_params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), state.ema, average)
    assert "ema" in changed(steps[4], steps[4]._replace(ema=steps[4].g_params)), "the average lags behind"


def test_first_step_of_adam_is_the_learning_rate_against_the_gradients_sign(tiny, tiny_state, after_d):
    """With b1 = 0 and bias correction, the first step is lr * g / |g|: B.3's 1e-4 and 5e-4 enter as they are."""
    rate = tiny.training.d_learning_rate
    head = lambda tree: tree["spatial"]["head"]["score"]["bias"]  # noqa: E731
    assert np.abs(head(after_d[0].d_params) - head(tiny_state.d_params)) == pytest.approx(rate, rel=1e-3)


def test_same_seed_same_update(tiny_state, after_d, update_d):
    state, metrics = update_d(tiny_state)
    assert changed(state, after_d[0]) == set()
    assert metrics == after_d[1]


@pytest.mark.parametrize("what", ["update", "step", "seed"])
def test_every_update_step_and_seed_draws_anew(what, tiny_state, after_d, update_d):
    """The same weights and real clips, yet other latents and labels."""
    if what == "update":
        _, metrics = update_d(tiny_state, 1)
    else:
        _, metrics = update_d(tiny_state._replace(**{what: getattr(tiny_state, what) + 1}))
    for name in ("spatial_fake", "temporal_fake"):
        assert metrics[name] != after_d[1][name], name
    # D_T sees all frames of the real clips, whatever is drawn.
    np.testing.assert_allclose(metrics["temporal_real"], after_d[1]["temporal_real"], rtol=1e-5)


def test_every_update_draws_other_frames(tiny_state, update_d):
    """Of 3 frames, D_S sees 2: one choice of nine for the two real clips."""
    assert len({float(update_d(tiny_state, number)[1]["spatial_real"]) for number in range(5)}) > 1


def test_latents_are_standard_normal_and_labels_uniform(tiny, tiny_updates):
    draws = [tiny_updates._draw(jax.random.key(i)) for i in range(100)]
    latents, labels = (np.concatenate(parts) for parts in zip(*draws, strict=True))
    assert latents.shape == (200, tiny.model.latent_dim)
    assert abs(latents.mean()) < 0.1
    assert abs(latents.std() - 1.0) < 0.1
    assert set(labels) == {0, 1, 2}
    assert np.bincount(labels).min() > 40


def test_number_of_devices_changes_nothing(float64, monkeypatch, tiny, batch):
    """Batch norm's statistics, the losses and the gradients are those of the whole batch, however it is split.

    In double precision: with b1 = 0, Adam would make steps of rounding noise.
    """
    found = []
    for count in (1, 2):
        monkeypatch.setattr(devices, "mesh", lambda _, count=count: Mesh(np.array(jax.devices()[:count]), ("data",)))
        updates = Updates(tiny)
        state = jax.tree.map(lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, updates.init(0))
        state = jax.device_put(state, updates.replicated)
        state, d_metrics = updates.update_d(state, *jax.device_put(batch, updates.split), 0)
        state, g_metrics = updates.update_g(state)
        found.append(jax.device_get((state, d_metrics | g_metrics)))
        assert {len(leaf.devices()) for leaf in jax.tree.leaves(state)} == {count}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), *found)


def test_initial_state(tiny, tiny_state):
    assert tiny_state.step == 0
    assert changed(tiny_state, tiny_state._replace(ema=tiny_state.g_params)) == set()
    assert set(tiny_state.d_params) == {"spatial", "temporal"}
    assert not np.array_equal(
        tiny_state.d_params["spatial"]["head"]["score"]["kernel"],
        tiny_state.d_params["temporal"]["head"]["score"]["kernel"],
    )
