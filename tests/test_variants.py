"""Every variant of the model trains: finite losses, and a gradient in every weight (appendices A, B.4, C, D)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dvdgan_lib import configuration, updates
from dvdgan_lib.discriminators import DualDiscriminator
from dvdgan_lib.generator import Generator
from dvdgan_lib.updates import Updates

# Together they have every choice of every field; what doesn't touch each other shares a program to compile.
VARIANTS = {
    "batch norm over time, crop, k = 1": {"norm": "batch_over_time", "phi": "crop", "k": 1},
    "group norm, identity, separable attention": {
        "norm": "group",
        "phi": "identity",
        "attention": "separable",
        "attention_size": 8,
        "resolution": 16,
    },
    "layer norm, no final one, 4x4 pool, k = T": {"norm": "layer", "final_norm": False, "phi": "pool4", "k": 2},
    "instance norm, no D_S": {"norm": "instance", "spatial_discriminator": False},
    "no norm, full attention, no D_T": {
        "norm": "none",
        "attention": "full",
        "attention_size": 8,
        "resolution": 16,
        "temporal_discriminator": False,
    },
    "prediction, BigGAN-deep, no block norm, crop": {
        "conditioning_frames": 1,
        "num_classes": 1,
        "blocks": "biggan_deep",
        "block_norm": False,
        "phi": "crop",
    },
}


def test_the_variants_cover_every_choice():
    for field, choices in (
        ("phi", configuration.PHIS),
        ("norm", configuration.NORMS),
        ("blocks", configuration.BLOCKS),
        ("attention", configuration.ATTENTIONS),
        ("final_norm", (True, False)),
        ("block_norm", (True, False)),
        ("spatial_discriminator", (True, False)),
        ("temporal_discriminator", (True, False)),
    ):
        default = getattr(configuration.ModelConfig(), field)
        assert {default} | {changes.get(field, default) for changes in VARIANTS.values()} == set(choices)


@pytest.fixture(autouse=True)
def for_an_accelerator(monkeypatch):
    """What is compiled for a TPU or GPU: one scan and plain convolutions, which compile in a third of the time."""
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    monkeypatch.setattr(updates, "compiler_options", lambda experiment: {"xla_backend_optimization_level": 0})


def weights(shapes, seed=1):
    """Random weights; compiling the orthogonal ones of the library would take longer than the updates themselves."""
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        if path[-1].key.endswith(("kernel", "embedding")):  # a u of the spectral norm has the path of its weight
            return rng.normal(size=leaf.shape).astype(leaf.dtype)
        return np.full(leaf.shape, path[-1].key == "gain" and leaf.ndim == 1, leaf.dtype)  # biases, attention's gain: 0

    return jax.tree_util.tree_map_with_path(fill, shapes)


def start(variant):
    """A state to train from."""
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), variant.abstract_state)
    filled = {name: weights(getattr(zeros, name)) for name in ("g_params", "d_params", "g_vectors", "d_vectors")}
    return zeros._replace(**filled, ema=filled["g_params"])


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_variant_trains(tiny, changes):
    experiment = configuration.check(
        dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, ch=4, num_frames=2, **changes))
    )
    m, variant = experiment.model, Updates(experiment)
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (2, m.clip_frames, m.resolution, m.resolution, 3), np.uint8)
    labels = rng.integers(0, m.num_classes, 2, np.int32)
    # Where they will lie: for a state that lies elsewhere the updates would be compiled once more.
    variant.compile()
    video, labels = jax.device_put((video, labels), variant.split)
    given = [video[:, : m.conditioning_frames]] if m.conditioning_frames else []

    state, found = jax.device_put(start(variant), variant.replicated), []
    for _ in range(3):
        state, d_metrics = variant.update_d(state, video, labels, np.int32(0))
        state, g_metrics = variant.update_g(state, *given)
        found += [*d_metrics.values(), *g_metrics.values()]
    assert np.isfinite(found).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    # Adam's second moments are zero exactly where no gradient ever was.
    for optimizer, params in ((state.g_opt, state.g_params), (state.d_opt, state.d_params)):
        moments = jax.tree_util.tree_leaves_with_path(optimizer[0].nu)
        assert len(moments) == len(jax.tree.leaves(params))
        dead = {jax.tree_util.keystr(path) for path, nu in moments if not nu.max() > 0}
        # While real and fake all lie within the hinge's margin, what adds the same to every score has no gradient.
        assert {path for path in dead if not path.endswith("['score']['bias']")} == set()


def shapes_of(model):
    """Parameters of G and D as shapes."""
    z, y, key = jnp.ones((2, model.latent_dim)), jnp.array([0, 2]), jax.random.key(0)
    video = jnp.zeros((2, model.num_frames, model.resolution, model.resolution, 3))
    g = jax.eval_shape(Generator(model).init, key, z, y)["params"]
    return g, jax.eval_shape(DualDiscriminator(model).init, key, video, y, key)["params"]


@pytest.mark.parametrize("blocks", configuration.BLOCKS)
def test_remat_does_not_change_the_tree(tiny, blocks):
    trees = [shapes_of(dataclasses.replace(tiny.model, blocks=blocks, remat=remat)) for remat in (False, True)]
    assert jax.tree.structure(trees[0]) == jax.tree.structure(trees[1])
    assert jax.tree.leaves(trees[0]) == jax.tree.leaves(trees[1])


def test_remat_changes_no_value(tiny):
    """Features computed again in the backward pass are the same features."""
    z, y, key = np.ones((2, tiny.model.latent_dim), np.float32), np.array([0, 2]), jax.random.key(0)
    found = []
    for remat in (False, True):
        model = dataclasses.replace(tiny.model, num_frames=2, ch=4, remat=remat)
        g, d = (weights(shapes) for shapes in shapes_of(model))

        def score(g, d, model=model):
            video = Generator(model).apply({"params": g}, z, y, mutable=["batch_stats"])[0]
            return sum(s.sum() for s in DualDiscriminator(model).apply({"params": d}, video, y, key).values())

        gradient = jax.value_and_grad(score, (0, 1))
        traced = str(jax.make_jaxpr(gradient)(g, d))
        assert ("remat" in traced or "checkpoint" in traced) == remat
        found.append(jax.jit(gradient, compiler_options={"xla_backend_optimization_level": 0})(g, d))
    scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(found[0]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * scale), *found)
