"""What an update changes and what it must leave alone, the moving average, and the draws."""

import dataclasses
import itertools
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh

from dvdgan_lib import configuration, data, devices, discriminators, layers, spectral_norm, training, training_data
from dvdgan_lib.checkpoints import CheckpointError
from dvdgan_lib.discriminators import DualDiscriminator
from dvdgan_lib.run_record import check_configuration, record_configuration
from dvdgan_lib.updates import State, Updates

METRICS_OF_D = {f"{d}_{of}" for d in ("spatial", "temporal") for of in ("real", "fake", "accuracy")} | {
    *("d_loss", "d_gradient_norm", "d_singular_value"),
}


@pytest.fixture(scope="module")
def batch(tiny):
    m, b = tiny.model, tiny.training.batch_size
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (b, m.num_frames, m.resolution, m.resolution, 3), np.uint8)
    return video, rng.integers(0, m.num_classes, b, np.int32)


@pytest.fixture(scope="module")
def update_d(tiny_updates, batch):
    """A function of a state in NumPy."""

    def update(state, number=0):
        return jax.device_get(tiny_updates.update_d(state, *batch, np.int32(number)))

    return update


@pytest.fixture(scope="module")
def update_g(tiny_updates):
    return lambda state: jax.device_get(tiny_updates.update_g(state))


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


@pytest.fixture(scope="module")
def beyond(tiny_state):
    """A state in which D's scores are far above the hinge's margins, so that only fakes pull at D.

    In the initial one real clips and fakes often pull at D's last bias alike, up and down: its gradient is then zero.
    """
    raised = lambda path, x: x + 100.0 if "score']['bias" in jax.tree_util.keystr(path) else x  # noqa: E731
    return tiny_state._replace(d_params=jax.tree_util.tree_map_with_path(raised, tiny_state.d_params))


def test_every_weight_has_a_gradient(tiny_state, beyond, update_d, update_g):
    of_d = second_moments(update_d(beyond)[0].d_opt)
    of_g = second_moments(update_g(tiny_state)[0].g_opt)
    assert len(of_d) == len(jax.tree.leaves(tiny_state.d_params))
    assert len(of_g) == len(jax.tree.leaves(tiny_state.g_params))
    dead = {path for path, nu in (of_d | of_g).items() if not nu.max() > 0}
    assert dead == set()
    # It is more than rounding, but for the biases in front of a batch norm, which takes them away again: those of conv_1,
    # and in both blocks of the last resolution those that reach the final norm along shortcuts.
    last = max(path.split("'")[1] for path in of_g if "block_" in path).rpartition("_")[0] + "_"
    behind_norm = lambda path: "conv_1" in path or (last in path and "conv_" in path)  # noqa: E731
    weak = {path for path, nu in of_g.items() if nu.max() < 1e-16}
    assert {path for path in weak if not (path.endswith("['bias']") and behind_norm(path))} == set()
    assert {path for path, nu in of_d.items() if nu.max() < 1e-16} == set()


def power_iteration(params, vectors):
    """Weight's path -> (v' W u' , u') after one step from u, in double precision (Miyato et al. 2018, algorithm 1)."""
    moved = {}
    for path, weight in flatten_dict(params, sep="/").items():
        if path.endswith("kernel") or "projection" in path:
            matrix = np.float64(weight).reshape(-1, weight.shape[-1])
            v = matrix @ vectors[path]
            u = matrix.T @ (v / np.linalg.norm(v))
            moved[path] = np.linalg.norm(u), u / np.linalg.norm(u)
    return moved


@pytest.mark.parametrize("which", ["d", "g"])
def test_u_moves_by_one_power_iteration_an_update_however_many_frames(which, tiny, tiny_state, update_d, update_g):
    """Of the weights as they were before: ConvGRUs, which run once a frame, are no exception."""
    assert tiny.model.num_frames > 1
    # Of initial, orthogonal weights every u is a singular vector: any number of iterations would give the same.
    rng = np.random.default_rng(0)
    noisy = lambda params: jax.tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape).astype(p.dtype), params)  # noqa: E731
    state = tiny_state._replace(g_params=noisy(tiny_state.g_params), d_params=noisy(tiny_state.d_params))
    for _ in range(2):
        before, (state, _) = state, {"d": update_d, "g": update_g}[which](state)
        old, new = getattr(before, f"{which}_vectors"), getattr(state, f"{which}_vectors")
        moved = power_iteration(getattr(before, f"{which}_params"), old)
        assert old.keys() == new.keys() == moved.keys()
        for path, (_, u) in moved.items():
            np.testing.assert_allclose(new[path], u, atol=1e-4, err_msg=path)
            assert len(u) == 1 or np.abs(u - old[path]).max() > 1e-3, f"{path}: u that stays proves nothing"


def test_average_follows_its_recursion_from_the_start_step_on(tiny, steps):
    """A copy of the weights up to and with step 2, then decay 0.9."""
    assert (tiny.training.ema_start, tiny.training.ema_decay) == (2, 0.9)
    average = steps[0].ema
    for number, state in enumerate(steps[1:], start=1):
        keep = 0.0 if number <= 2 else 0.9
        average = jax.tree.map(lambda a, w, keep=keep: keep * a + (1 - keep) * w, average, state.g_params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), state.ema, average)
    assert "ema" in changed(steps[4], steps[4]._replace(ema=steps[4].g_params)), "the average lags behind"


def test_first_step_of_adam_is_the_learning_rate_against_the_gradients_sign(tiny, beyond, update_d):
    """With b1 = 0 and bias correction, the first step is lr * g / |g|: B.3's 1e-4 and 5e-4 enter as they are."""
    head = lambda state: state.d_params["spatial"]["head"]["score"]["bias"]  # noqa: E731
    # Scores of fakes are to fall, and with them this bias.
    moved = np.float64(head(update_d(beyond)[0])) - np.float64(head(beyond))
    assert moved == pytest.approx(-tiny.training.d_learning_rate, rel=0.02)  # float32 at 100 has steps of 8e-6


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


def with_options(experiment, **changes):
    """The experiment with another training configuration."""
    return dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, **changes))


def test_number_of_devices_and_pieces_of_weights_change_nothing(float64, monkeypatch, tiny, tiny_state, batch):
    """Batch norm's statistics, the losses and the gradients are those of the whole batch, however it is split.

    And whether each of the devices has all weights or a piece of each. In double precision: with b1 = 0, Adam would make
    steps of rounding noise.
    """
    found = []
    for count, sharding in ((1, "replicated"), (2, "replicated"), (2, "sharded")):
        monkeypatch.setattr(devices, "mesh", lambda _, count=count: Mesh(np.array(jax.devices()[:count]), ("data",)))
        updates = Updates(with_options(tiny, sharding=sharding))
        state = jax.tree.map(lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, tiny_state)
        where = jax.tree.map(lambda leaf: leaf.sharding, updates.abstract_state)
        state = jax.device_put(state, where)
        state, d_metrics = updates.update_d(state, *jax.device_put(batch, updates.split), 0)
        state, g_metrics = updates.update_g(state)
        found.append(jax.device_get((state, d_metrics | g_metrics)))
        assert {len(leaf.devices()) for leaf in jax.tree.leaves(state)} == {count}
        # Weights, Adam's moments and the average still lie in pieces, where they can.
        share = lambda leaf: leaf.addressable_shards[0].data.size / leaf.size  # noqa: E731
        leaves = jax.tree.leaves(state)
        split = [sharding == "sharded" and leaf.ndim > 1 and any(n % 2 == 0 for n in leaf.shape) for leaf in leaves]
        assert [share(leaf) for leaf in leaves] == [0.5 if halved else 1.0 for halved in split]
        assert (sharding == "sharded") == (sum(split) > 100)
    for other in found[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), found[0], other)


def test_a_batch_in_parts_has_the_gradients_of_the_whole(float64, tiny, batch):
    """Where nothing sees the batch (no batch norm, all frames shown to D_S), parts one after another change nothing."""
    model = dataclasses.replace(tiny.model, norm="none", num_frames=2, k=2)
    video, labels = batch
    found = []
    for parts in (1, 2):
        updates = Updates(with_options(dataclasses.replace(tiny, model=model), accumulation=parts))
        state = jax.tree.map(lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, updates.init(np.uint32(0)))
        state, d_metrics = updates.update_d(state, video[:, :2], labels, 0)
        state, g_metrics = updates.update_g(state)
        found.append(jax.device_get((state, d_metrics | g_metrics)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), *found)


def test_parts_of_a_batch_must_be_equal(tiny):
    with pytest.raises(configuration.UnknownExperimentError, match="accumulation must divide it"):
        configuration.check(with_options(tiny, accumulation=3))


def test_bfloat16_features_give_nearly_the_same_gradients_to_float32_weights(tiny, tiny_state, after_d, update_g, batch):
    """With b1 = 0 Adam's first moment is the gradient."""
    updates = Updates(with_options(tiny, compute_dtype="bfloat16"))
    again = lambda: jax.tree.map(jnp.array, tiny_state)  # noqa: E731
    of_d, d_metrics = jax.device_get(updates.update_d(again(), *batch, 0))
    of_g, g_metrics = jax.device_get(updates.update_g(again()))
    exact_g, exact_g_metrics = update_g(tiny_state)
    for state in (of_d, of_g):
        assert jax.tree.map(lambda leaf: leaf.dtype, state) == jax.tree.map(lambda leaf: leaf.dtype, tiny_state)
    for found, exact in ((of_d.d_opt, after_d[0].d_opt), (of_g.g_opt, exact_g.g_opt)):
        a, b = (np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(opt[0].mu)]) for opt in (found, exact))
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        # A ReLU in a hundred that rounding turns is a tenth of a gradient; G's has thirty of them in a row.
        assert 0.95 < cosine < 1.0 - 1e-7, "close, and not the same program"
        assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(b), rel=0.2)
    found, exact = d_metrics | g_metrics, after_d[1] | exact_g_metrics
    for name in ("d_loss", "g_loss", "spatial_real", "spatial_fake", "temporal_real", "temporal_fake"):
        assert found[name].dtype == np.float32
        assert found[name] == pytest.approx(exact[name], abs=0.1)  # sums of features that are a 256th off


def test_runs_from_before_the_options_go_on_as_they_were(tiny, tmp_path):
    """Their records lack the fields: what these default to is what the runs did. Another choice is refused."""
    record_configuration(epath.Path(tmp_path), tiny, 0, ["a commit"], 1, None)
    file = tmp_path / "experiment.json"
    record = json.loads(file.read_text())
    for name in ("compute_dtype", "sharding", "accumulation", "evaluate_by", "export"):
        del record["experiment"]["training"][name]
    file.write_text(json.dumps(record))
    check_configuration(epath.Path(tmp_path), tiny, 1)
    with pytest.raises(CheckpointError, match=r"training\.compute_dtype: float32 then, bfloat16 now"):
        check_configuration(epath.Path(tmp_path), with_options(tiny, compute_dtype="bfloat16"), 1)


def test_initial_weights_are_orthogonal(tiny_state):
    """B.3; G's class embedding among them. Orthonormal are a matrix's columns, or its rows where those are fewer."""
    count = 0
    for path, weight in flatten_dict({"g": tiny_state.g_params, "d": tiny_state.d_params}, sep="/").items():
        if weight.ndim > 1:
            matrix, count = weight.reshape(-1, weight.shape[-1]), count + 1
            product = matrix @ matrix.T if len(matrix) < matrix.shape[1] else matrix.T @ matrix
            np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-4, err_msg=path)
    assert count == len(tiny_state.g_vectors) + len(tiny_state.d_vectors) + 1


def test_initial_state(tiny, tiny_state):
    assert tiny_state.step == 0
    assert changed(tiny_state, tiny_state._replace(ema=tiny_state.g_params)) == set()
    assert set(tiny_state.d_params) == {"spatial", "temporal"}
    assert not np.array_equal(
        tiny_state.d_params["spatial"]["head"]["score"]["kernel"],
        tiny_state.d_params["temporal"]["head"]["score"]["kernel"],
    )


# --- What goes where, with toys in the place of G and D: of one weight each, and with a record of what they are given ----


class Toy:
    """Remembers the weights and inputs of each `apply`, though a gradient is taken of it."""

    def __init__(self, function):
        self.function, self.calls = function, []

    def apply(self, variables, *inputs, **_):
        inputs = inputs[:2]  # (latents, labels) of G, (video, labels) of D
        jax.debug.callback(lambda *seen: self.calls.append(jax.device_get(seen)), variables["params"], *inputs)
        return self.function(variables["params"]["toy"]["kernel"], *inputs)


@pytest.fixture
def toys(tiny):
    """(updates, state): a fake is tanh(z W), one colour; scores are a clip's mean colour times W, and a tenth of y."""
    shape = (2, 3, 8, 8, 3)

    def make(kernel, latents, labels):
        return jnp.broadcast_to(jnp.tanh(latents @ kernel)[:, None, None, None], shape), {}

    def judge(kernel, video, labels):
        scores = video.mean((1, 2, 3)) @ kernel + 0.1 * labels[:, None]
        return {"spatial": scores[:, 0], "temporal": scores[:, 1]}

    updates, rng = Updates(tiny), np.random.default_rng(0)
    updates.generator, updates.discriminator = Toy(make), Toy(judge)
    params = {d: {"toy": {"kernel": np.float32(rng.normal(size=size))}} for d, size in (("g", (8, 3)), ("d", (3, 2)))}
    vectors = {d: spectral_norm.init_spectral_vectors(p, jax.random.key(0)) for d, p in params.items()}
    state = State(
        step=jnp.int32(0),
        g_params=params["g"],
        d_params=params["d"],
        g_vectors=vectors["g"],
        d_vectors=vectors["d"],
        g_opt=updates.g_optimizer.init(params["g"]),
        d_opt=updates.d_optimizer.init(params["d"]),
        ema=params["g"],
        seed=jnp.uint32(0),
    )
    # Not jitted: that would compile for longer than it runs, and what is passed is to be seen.
    updates.update_d, updates.update_g = updates._update_d, updates._update_g
    return updates, jax.device_get(state)


def seen(toy):
    jax.effects_barrier()
    (call,) = toy.calls
    return call


def as_it_is(params, vectors):
    """The weights over sigma = |W u|, without an iteration."""
    weight, u = np.float64(params["toy"]["kernel"]), np.float64(vectors["toy/kernel"])
    return weight / np.linalg.norm(weight @ u)


def iterated(params, vectors):
    return params["toy"]["kernel"] / power_iteration(params, vectors)["toy/kernel"][0]


def test_d_judges_real_clips_and_fakes_each_under_its_own_label(toys, batch):
    """And the scores come back under the right names: d_loss is the hinge of NumPy's."""
    (updates, state), (video, _) = toys, batch
    labels = np.array([2, 1], np.int32)
    _, metrics = updates.update_d(state, video, labels, 0)
    g_weights, latents, fake_labels = seen(updates.generator)
    d_weights, judged, judged_labels = seen(updates.discriminator)
    real = np.float64(video) / 127.5 - 1.0
    fake = np.tanh(latents @ g_weights["toy"]["kernel"])
    assert judged.shape == (4, 3, 8, 8, 3)
    pairs = [(*clip.mean((0, 1, 2)), y) for clip, y in zip(judged, judged_labels, strict=True)]
    wanted = [(*clip.mean((0, 1, 2)), y) for clip, y in zip(real, labels, strict=True)]
    wanted += [(*colour, y) for colour, y in zip(fake, fake_labels, strict=True)]
    np.testing.assert_allclose(sorted(pairs), sorted(wanted), atol=1e-4)
    assert all(np.abs(judged - clip).max((1, 2, 3, 4)).min() < 1e-5 for clip in real), "the pixels themselves"

    loss = 0.0
    for i, d in enumerate(("spatial", "temporal")):
        on = {
            "real": real.mean((1, 2, 3)) @ d_weights["toy"]["kernel"][:, i] + 0.1 * labels,
            "fake": fake @ d_weights["toy"]["kernel"][:, i] + 0.1 * fake_labels,
        }
        for kind, sign in (("real", 1.0), ("fake", -1.0)):
            np.testing.assert_allclose(metrics[f"{d}_{kind}"], on[kind].mean(), atol=1e-4)
            loss += np.maximum(0.0, 1.0 - sign * on[kind]).mean()
    np.testing.assert_allclose(metrics["d_loss"], loss, atol=1e-4)


def test_g_is_judged_under_the_labels_it_was_given(toys):
    updates, state = toys
    _, metrics = updates.update_g(state)
    g_weights, latents, labels = seen(updates.generator)
    d_weights, judged, judged_labels = seen(updates.discriminator)
    np.testing.assert_array_equal(judged_labels, labels)
    fake = np.tanh(latents @ g_weights["toy"]["kernel"])
    np.testing.assert_allclose(judged[:, 0, 0, 0], fake, atol=1e-5)
    scores = fake @ d_weights["toy"]["kernel"] + 0.1 * labels[:, None]
    np.testing.assert_allclose(metrics["g_loss"], -scores.mean(0).sum(), atol=1e-4)


def test_sigma_is_of_the_new_u_in_the_own_step_and_of_u_as_it_is_in_the_others(toys, batch):
    """B.3 with Miyato et al. 2018: one iteration an update of the network's own, none by the other's."""
    updates, state = toys
    weights = {}
    for which, arguments in (("d", (*batch, 0)), ("g", ())):
        after, _ = getattr(updates, f"update_{which}")(state, *arguments)
        for name, toy in (("g", updates.generator), ("d", updates.discriminator)):
            weights[name] = seen(toy)[0]["toy"]["kernel"]
            toy.calls.clear()
            form = iterated if name == which else as_it_is
            wanted = form(getattr(state, f"{name}_params"), getattr(state, f"{name}_vectors"))
            np.testing.assert_allclose(weights[name], wanted, rtol=1e-4)
            moved = not np.array_equal(
                getattr(after, f"{name}_vectors")["toy/kernel"], getattr(state, f"{name}_vectors")["toy/kernel"]
            )
            assert moved == (name == which)
    both = (state.g_params, state.g_vectors), (state.d_params, state.d_vectors)
    assert all(np.abs(as_it_is(*one) - iterated(*one)).max() > 1e-3 for one in both), "the two forms are to be told apart"


def replaced(updates, **changes):
    """The same toys with another training configuration."""
    experiment = updates.experiment
    other = Updates(dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, **changes)))
    other.generator, other.discriminator = updates.generator, updates.discriminator
    other.update_d, other.update_g = other._update_d, other._update_g
    return other


def test_average_lags_behind_large_steps_as_its_recursion_says(toys):
    """A copy of the weights after each update up to and with step 2, then 0.9 of the old and 0.1 of the new."""
    updates, state = toys
    updates, average = replaced(updates, g_learning_rate=0.1), None
    for step in range(1, 6):
        before, (state, _) = state.g_params["toy"]["kernel"], updates.update_g(state)
        weight = np.asarray(state.g_params["toy"]["kernel"])
        assert np.abs(weight - before).max() > 0.01
        average = weight if step <= 2 else 0.9 * average + 0.1 * weight
        np.testing.assert_allclose(state.ema["toy"]["kernel"], average, rtol=1e-5)
        assert (np.abs(average - weight).max() > 0.01) == (step > 2)


def test_each_optimizer_has_its_own_rate(toys, batch):
    """With b1 = 0 and bias correction, Adam's first step is the rate times the gradient's sign."""
    updates, state = toys
    updates = replaced(updates, g_learning_rate=0.02, d_learning_rate=0.03)
    after_d, _ = updates.update_d(state, *batch, 0)
    after_g, _ = updates.update_g(state)
    for before, after, rate in ((state.d_params, after_d.d_params, 0.03), (state.g_params, after_g.g_params, 0.02)):
        change = np.abs(after["toy"]["kernel"] - before["toy"]["kernel"])
        np.testing.assert_allclose(change, rate, rtol=1e-2)


def test_every_clip_and_update_has_a_random_crop_of_its_own_real_and_fake_alike(tiny, toys, monkeypatch):
    """Section 4.3: half of each side, the same window for all frames of a clip."""
    updates, state = toys
    rows, columns = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    numbered = np.stack([rows, columns, np.zeros_like(rows)], -1)
    video = np.broadcast_to(numbered, (2, 3, 16, 16, 3)).astype(np.uint8)
    fake = layers.from_pixels(jnp.asarray(video).at[..., 2].set(1))
    updates.generator = Toy(lambda *_: (fake, {}))
    handed = []

    def record(config, name):
        return lambda small, labels: handed.append(np.asarray(small)) or jnp.zeros(len(small))

    monkeypatch.setattr(discriminators, "TemporalDiscriminator", record)
    updates.discriminator = DualDiscriminator(dataclasses.replace(tiny.model, phi="crop", spatial_discriminator=False))
    windows = {}
    for number in range(4):
        updates.update_d(state, video, np.zeros(2, np.int32), number)
        pixels = np.rint((handed.pop() + 1.0) * 127.5).astype(int)
        assert pixels.shape == (4, 3, 8, 8, 3)
        corners = pixels[:, 0, 0, 0, :2]
        for clip, (y, x) in zip(pixels, corners, strict=True):
            inside = np.broadcast_to(numbered[y : y + 8, x : x + 8, :2], (3, 8, 8, 2))
            np.testing.assert_array_equal(clip[..., :2], inside)
        assert sorted(pixels[:, 0, 0, 0, 2]) == [0, 0, 1, 1], "two real clips and two fakes"
        windows[number] = [tuple(corner) for corner in corners]
        assert len(set(windows[number])) > 1
    assert len({tuple(corners) for corners in windows.values()}) == 4
    for i in range(4):
        assert len({corners[i] for corners in windows.values()}) > 1, "real and fake clips alike"


def test_the_d_updates_of_one_step_see_different_real_clips(tiny, tmp_path, monkeypatch):
    """The loop of `training.train`, with updates that only take notes; B.3's two updates of D for one of G."""
    notes, split = [], Updates(tiny).split

    class EnoughError(Exception):
        pass

    def update_d(state, video, labels, number):
        notes.append((int(number), np.asarray(video), np.asarray(labels)))
        return state, {"d_loss": 0.0}

    def update_g(state):
        notes.append("g")
        if notes.count("g") == 2:
            raise EnoughError
        return state, {"g_loss": 0.0}

    recorder = SimpleNamespace(
        split=split,
        abstract_state=None,
        compile=lambda: None,
        init=lambda seed: None,
        update_d=update_d,
        update_g=update_g,
    )
    monkeypatch.setattr(training, "Updates", lambda experiment: recorder)
    with pytest.raises(EnoughError):
        training.train(tiny, tmp_path, progress=False)
    assert [note if note == "g" else note[0] for note in notes] == [0, 1, "g", 0, 1, "g"]
    batches = data.batches(training_data.load_source(tiny), tiny.training.batch_size, 0, replicas=split.mesh.size)
    of_d = [note for note in notes if note != "g"]
    for (_, video, labels), wanted in zip(of_d, batches, strict=False):
        np.testing.assert_array_equal(video, wanted["video"])
        np.testing.assert_array_equal(labels, wanted["label"])
    for (_, one, _), (_, other, _) in itertools.combinations(of_d, 2):
        assert not np.array_equal(one, other)
