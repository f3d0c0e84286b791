"""D_S and D_T against NumPy, and what each can and cannot see."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpy_reference as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dvdgan_lib import configuration, discriminators, experiments
from dvdgan_lib.discriminators import (
    DualDiscriminator,
    SpatialDiscriminator,
    TemporalDiscriminator,
    phi,
    sample_frames,
)

LABELS = np.array([2, 0], np.int32)
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def params(tiny_16_state):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), tiny_16_state.d_params)


@pytest.fixture(scope="module")
def spatial(tiny_16, params):
    return jax.jit(lambda frames, y: SpatialDiscriminator(tiny_16.model).apply({"params": params["spatial"]}, frames, y))


@pytest.fixture(scope="module")
def temporal(tiny_16, params):
    return jax.jit(lambda video, y: TemporalDiscriminator(tiny_16.model).apply({"params": params["temporal"]}, video, y))


def clips(*shape, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, size=shape).astype(np.float32)


def test_d_s_equals_numpy(params, spatial):
    frames = clips(2, 2, 16, 16, 3)
    wanted = reference.spatial_discriminator(params["spatial"], frames, LABELS)
    np.testing.assert_allclose(spatial(frames, LABELS), wanted, rtol=1e-3, atol=1e-2)


def test_d_s_is_the_sum_over_frames_in_any_order(spatial):
    frames = clips(2, 2, 16, 16, 3)
    scores = np.asarray(spatial(frames, LABELS))
    each = [np.asarray(spatial(frames[:, i : i + 1], LABELS)) for i in range(2)]
    np.testing.assert_allclose(scores, sum(each), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(spatial(frames[:, ::-1], LABELS), scores, rtol=1e-4, atol=1e-3)
    assert np.abs(each[0] - each[1]).min() > 1e-2


@pytest.mark.parametrize("frames", [4, 5])
def test_d_t_equals_numpy(params, temporal, frames):
    """5 frames, too, whose last one has no partner to be pooled with, and which leave 2 scores to average."""
    video = clips(2, frames, 8, 8, 3)
    wanted = reference.temporal_discriminator(params["temporal"], video, LABELS)
    np.testing.assert_allclose(temporal(video, LABELS), wanted, rtol=1e-3, atol=1e-2)


def test_d_t_sees_the_order_of_frames(temporal):
    video = clips(2, 3, 8, 8, 3)
    assert np.abs(temporal(video, LABELS) - temporal(video[:, [1, 0, 2]], LABELS)).min() > 1e-2


def test_the_class_enters_by_projection(params, spatial, temporal):
    """The score's part that depends on y is h . e(y), for one h a clip: exactly linear in the embedding (Miyato)."""
    video = clips(2, 3, 8, 8, 3)
    table = params["temporal"]["head"]["projection"]["embedding"]
    scores = np.stack([np.asarray(temporal(video, np.full(2, y, np.int32))) for y in range(3)])
    assert np.abs(scores[0] - scores[1]).min() > 1e-2
    # Three scores, unknown h: least squares over embeddings' differences must leave nothing.
    differences = table[1:] - table[0]
    h, *_ = np.linalg.lstsq(differences, scores[1:] - scores[0], rcond=None)
    np.testing.assert_allclose(differences @ h, scores[1:] - scores[0], rtol=1e-3, atol=1e-3)
    changed = np.array([1, 0], np.int32)
    np.testing.assert_allclose(temporal(video, changed)[1], temporal(video, LABELS)[1], rtol=1e-5)


def test_frames_are_drawn_uniformly_without_replacement_and_for_each_video_anew():
    t, k, videos = 5, 3, 3000
    numbered = np.broadcast_to(
        np.arange(videos)[:, None] * t + np.arange(t), (videos, t)
    )  # frame f of video v holds v * t + f
    drawn = np.asarray(sample_frames(numbered[..., None, None, None], k, jax.random.key(0)))[..., 0, 0, 0]
    assert drawn.shape == (videos, k)
    np.testing.assert_array_equal(drawn // t, np.arange(videos)[:, None].repeat(k, 1))
    frames = drawn % t
    assert (np.diff(np.sort(frames, 1), axis=1) > 0).all(), "a frame was drawn twice"
    subsets, counts = np.unique(np.sort(frames, 1), axis=0, return_counts=True)
    assert len(subsets) == 10  # 5 over 3
    assert stats.chisquare(counts).pvalue > 1e-3
    other = np.asarray(sample_frames(numbered[..., None, None, None], k, jax.random.key(1)))[..., 0, 0, 0]
    assert (drawn != other).any()


def test_phi_pools_by_averaging():
    video, key = clips(2, 3, 8, 8, 3), jax.random.key(0)
    for kind, size in (("pool2", 2), ("pool4", 4)):
        wanted = np.stack([reference.pool(clip, size) for clip in video])
        np.testing.assert_allclose(phi(video, kind, key), wanted, atol=1e-6)
    np.testing.assert_array_equal(phi(video, "identity", key), video)


def test_phi_crops_one_window_a_video_anywhere():
    n, t, size = 1500, 2, 8
    rows, columns = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    frame = np.stack([rows, columns, np.zeros_like(rows)], -1)
    video = np.broadcast_to(frame, (n, t, size, size, 3)).copy()
    video[..., 2] = np.arange(n)[:, None, None, None]
    found = np.asarray(phi(video, "crop", jax.random.key(0)))
    assert found.shape == (n, t, 4, 4, 3)
    tops = found[:, 0, 0, 0, :2]
    wanted = np.stack([v[:, y : y + 4, x : x + 4] for v, (y, x) in zip(video, tops, strict=True)])
    np.testing.assert_array_equal(found, wanted)
    _, counts = np.unique(tops, axis=0, return_counts=True)
    assert len(counts) == 25  # corners from 0 to 4, each way
    assert stats.chisquare(counts).pvalue > 1e-3


def test_phi_crops_another_window_for_the_next_key():
    video = np.broadcast_to(np.arange(64.0).reshape(8, 8, 1), (50, 1, 8, 8, 1))
    one, same, other = (np.asarray(phi(video, "crop", jax.random.key(i)))[:, 0, 0, 0, 0] for i in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.5


@pytest.fixture
def what_each_sees(monkeypatch):
    """A function of (model, video, key): the arrays that D_S and D_T are handed, in place of their scores."""
    for name in ("SpatialDiscriminator", "TemporalDiscriminator"):
        monkeypatch.setattr(discriminators, name, lambda config, name: lambda seen, labels: seen)
    return lambda model, video, key: DualDiscriminator(model).apply({"params": {}}, video, LABELS, key)


@pytest.mark.parametrize("kind", configuration.PHIS)
def test_d_t_sees_exactly_phi_and_d_s_whole_frames(tiny_16, what_each_sees, kind):
    video = clips(2, 3, 16, 16, 3)
    seen = what_each_sees(dataclasses.replace(tiny_16.model, phi=kind), video, KEY)
    if kind == "crop":
        corners = [(y, x) for y in range(9) for x in range(9)]
        for clip, small in zip(video, seen["temporal"], strict=True):
            assert small.shape == (3, 8, 8, 3)
            assert sum(np.array_equal(small, clip[:, y : y + 8, x : x + 8]) for y, x in corners) == 1
    else:
        size = {"pool2": 2, "pool4": 4, "identity": 1}[kind]
        wanted = np.stack([reference.pool(clip, size) for clip in video])
        np.testing.assert_allclose(seen["temporal"], wanted, atol=1e-6)
    assert seen["spatial"].shape == (2, 2, 16, 16, 3)
    for clip, frames in zip(video, seen["spatial"], strict=True):
        which = [[np.array_equal(frame, f) for f in clip].index(True) for frame in frames]
        assert len(set(which)) == 2


@pytest.fixture(scope="module")
def both(tiny_16, params):
    return jax.jit(lambda video: DualDiscriminator(tiny_16.model).apply({"params": params}, video, LABELS, KEY))


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_pixels_permuted_inside_2x2_cells_change_d_s_and_not_d_t(both, seed):
    """Section 3.1, of any permutation: another one in every cell of every frame."""
    video = clips(2, 3, 16, 16, 3)
    cells = video.reshape(2, 3, 8, 2, 8, 2, 3).swapaxes(3, 4).reshape(2, 3, 8, 8, 4, 3)
    order = np.random.default_rng(seed).random(cells.shape[:-1]).argsort(-1)
    permuted = np.take_along_axis(cells, order[..., None], -2)
    permuted = permuted.reshape(2, 3, 8, 8, 2, 2, 3).swapaxes(3, 4).reshape(video.shape)
    before, after = both(video), both(permuted)
    np.testing.assert_allclose(after["temporal"], before["temporal"], rtol=1e-4, atol=1e-3)
    assert np.abs(after["spatial"] - before["spatial"]).max() > 1e-3


def test_d_t_is_blind_within_2x2_cells_unless_phi_is_the_identity(tiny_16, params):
    """Section 3.1: "unable to reflect ... the temporal evolution of pixels within a 2x2 window"."""
    video = clips(2, 3, 16, 16, 3)
    cells = video.reshape(2, 3, 8, 2, 8, 2, 3)
    shuffled = cells[:, :, :, ::-1].copy()
    shuffled[:, 1] = shuffled[:, 1][..., ::-1, :]  # differently at another time
    shuffled = shuffled.reshape(video.shape)
    for kind in ("pool2", "identity"):
        model = dataclasses.replace(tiny_16.model, phi=kind, spatial_discriminator=False)
        module, variables = DualDiscriminator(model), {"params": {"temporal": params["temporal"]}}
        score = jax.jit(lambda v, module=module, variables=variables: module.apply(variables, v, LABELS, KEY))
        difference = np.abs(score(video)["temporal"] - score(shuffled)["temporal"])
        assert difference.max() < 1e-3 if kind == "pool2" else difference.min() > 1e-2


def test_both_together_are_d_s_of_drawn_frames_and_d_t_of_phi(tiny_16, params, spatial, temporal):
    video = clips(2, 3, 16, 16, 3)
    scores = jax.jit(lambda v: DualDiscriminator(tiny_16.model).apply({"params": params}, v, LABELS, KEY))(video)
    pooled = np.stack([reference.pool(clip) for clip in video]).astype(np.float32)
    np.testing.assert_allclose(scores["temporal"], temporal(pooled, LABELS), rtol=1e-4, atol=1e-3)
    pairs = [(0, 1), (0, 2), (1, 2)]  # D_S is blind to order: three pairs of three frames
    possible = np.stack([np.asarray(spatial(video[:, list(pair)], LABELS)) for pair in pairs])
    assert (np.abs(possible - scores["spatial"]).min(0) < 1e-2).all()


def shapes_of(model, frames):
    video = jnp.zeros((1, frames, model.resolution, model.resolution, 3))
    arguments = (jax.random.key(0), video, jnp.zeros(1, jnp.int32), jax.random.key(0))
    return jax.eval_shape(DualDiscriminator(model).init_with_output, *arguments)


@pytest.mark.parametrize("kind", ["pool2", "pool4", "identity", "crop"])
@pytest.mark.parametrize("resolution", [8, 16, 32])
def test_every_phi_gives_one_score_a_video(tiny_16, kind, resolution):
    model = dataclasses.replace(tiny_16.model, phi=kind, resolution=resolution)
    scores, _ = shapes_of(model, 3)
    assert {d: s.shape for d, s in scores.items()} == {"spatial": (1,), "temporal": (1,)}


def test_ablations_lack_one_discriminator(tiny_16):
    for lost, kept in (("spatial", "temporal"), ("temporal", "spatial")):
        scores, variables = shapes_of(dataclasses.replace(tiny_16.model, **{f"{lost}_discriminator": False}), 3)
        assert scores.keys() == variables["params"].keys() == {kept}


def closed_form(ch, constants, classes, taps):
    """Parameters of one discriminator, counted from B.2; taps of the first two blocks' kernels: 9 in D_S, 27 in D_T."""
    total, c_in = 0, 3
    for i, constant in enumerate(constants):
        out, size = ch * constant, taps if i < 2 else 9
        total += size * c_in * out + out + size * out * out + out
        if i < len(constants) - 1 or c_in != out:  # BigGAN's last block does not downsample
            total += c_in * out + out
        c_in = out
    return total + classes * c_in + c_in + 1


@pytest.mark.parametrize(
    ("name", "ch", "constants"),
    [
        ("kinetics600_64x64_12f", 128, [2, 4, 8, 16, 16]),
        ("kinetics600_128x128_12f", 96, [1, 2, 4, 8, 16, 16]),
    ],
)
def test_number_of_parameters_at_the_papers_size(name, ch, constants):
    model = dataclasses.replace(experiments.get(name, "paper").model, k=2)
    params = shapes_of(model, 2)[1]["params"]
    count = {d: sum(leaf.size for leaf in jax.tree.leaves(params[d])) for d in params}
    assert count == {"spatial": closed_form(ch, constants, 600, 9), "temporal": closed_form(ch, constants, 600, 27)}
