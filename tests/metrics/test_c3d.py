"""C3D and its Inception Scores: against Chainer and OpenCV (their values are written down here), SciPy and plain loops."""

import itertools
import math

import jax
import numpy as np
import pytest
from scipy import ndimage

from dvdgan_lib.data import fetch
from dvdgan_lib.metrics import C3DInceptionScoreResult, WeightsError, c3d, c3d_inception_score
from dvdgan_lib.metrics.c3d_inception_score import (
    PROTOCOLS,
    bicubic_matrix,
    bilinear_matrix,
    preprocess,
    tgan_score,
    tganv2_score,
)

WIDTHS = {"conv1a": 2, "conv2a": 3, "conv3a": 4, "conv3b": 3, "conv4a": 5, "conv4b": 4, "conv5a": 3, "conv5b": 2}
POOLS = {"conv1a": (1, 2, 2), "conv2a": (2, 2, 2), "conv3b": (2, 2, 2), "conv4b": (2, 2, 2), "conv5b": (2, 2, 2)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Nothing is read from, or left in, the user's own cache folder."""
    monkeypatch.setenv("DVDGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def shrink(monkeypatch):
    """Makes C3D tiny: few channels, 12 hidden units, so many classes, and what its last pool leaves."""

    def shrunken(classes, pooled):
        small = {name: (width, POOLS.get(name)) for name, width in WIDTHS.items()}
        monkeypatch.setattr(c3d, "_CONVOLUTIONS", small)
        monkeypatch.setattr(c3d, "_HIDDEN", 12)
        monkeypatch.setattr(c3d, "NUM_CLASSES", classes)
        monkeypatch.setattr(c3d, "_POOLED", pooled)

    return shrunken


def chainer_arrays(rng, classes, positions):
    """Weights of a tiny C3D as Chainer names and orders them; `rng` is a RandomState, whose stream never changes."""
    arrays, channels = {}, 3
    layers = {name: (width, (3, 3, 3)) for name, width in WIDTHS.items()}
    layers |= {"fc6": (12, ()), "fc7": (12, ()), "fc8": (classes, ())}
    for name, (width, window) in layers.items():
        channels *= positions if name == "fc6" else 1
        scale = np.sqrt(2 / (channels * math.prod(window)))
        arrays[f"{name}/W"] = (rng.standard_normal((width, channels, *window)) * scale).astype(np.float32)
        arrays[f"{name}/b"] = (rng.standard_normal(width) * 0.1).astype(np.float32)
        channels = width
    return arrays


def write(path, arrays):
    np.savez(path, **arrays)
    return path


def pool_by_loops(x, window):
    """Max of every window of [C, T, H, W], of the incomplete ones at the ends too."""
    sizes = [math.ceil(size / step) for size, step in zip(x.shape[1:], window, strict=True)]
    out = np.empty((len(x), *sizes), x.dtype)
    for place in itertools.product(*map(range, sizes)):
        index = tuple(slice(i * step, (i + 1) * step) for i, step in zip(place, window, strict=True))
        out[(slice(None), *place)] = x[(slice(None), *index)].max(axis=(1, 2, 3))
    return out


def by_scipy(arrays, x):
    """Logits of one clip [3, T, H, W], in float64."""
    for name in WIDTHS:
        kernel, bias = arrays[f"{name}/W"].astype(np.float64), arrays[f"{name}/b"]
        planes = [sum(ndimage.correlate(c, k, mode="constant") for c, k in zip(x, ks, strict=True)) for ks in kernel]
        x = np.maximum(np.stack(planes) + bias[:, None, None, None], 0)
        x = pool_by_loops(x, POOLS[name]) if name in POOLS else x
    x = x.reshape(-1)
    for name in ("fc6", "fc7"):
        x = np.maximum(arrays[f"{name}/W"] @ x + arrays[f"{name}/b"], 0)
    return arrays["fc8/W"] @ x + arrays["fc8/b"]


def test_network_against_chainer_and_scipy(tmp_path, shrink):
    # 40x70 is pooled to 20x35, 10x18, 5x9, 3x5, 2x3: incomplete windows on both axes, and no two sizes alike.
    shrink(classes=5, pooled=(1, 2, 3))
    rng = np.random.RandomState(5)
    arrays = chainer_arrays(rng, 5, 6)
    x = rng.standard_normal((2, 3, 16, 40, 70))
    x += rng.standard_normal((2, 3, 4, 4, 7)).repeat(4, 2).repeat(10, 3).repeat(10, 4) * 2
    x = x.astype(np.float32)
    params = c3d.load_params(write(tmp_path / "weights.npz", arrays))
    logits = jax.jit(c3d.c3d.__wrapped__)(params, x.transpose(0, 2, 3, 4, 1))
    # Chainer 7.8.1: convolution_nd, max_pooling_nd, linear and relu in the order of TGAN's c3d_ft.py, on these arrays.
    by_chainer = [
        [-1.4839526, 2.2729752, 6.0996766, 0.73880327, -0.7402103],
        [-1.4302225, 2.8494377, 6.9466457, 0.01392917, -0.6895177],
    ]
    np.testing.assert_allclose(logits, by_chainer, atol=2e-5)
    np.testing.assert_allclose(logits[0], by_scipy(arrays, x[0].astype(np.float64)), atol=2e-5)


@pytest.mark.parametrize(
    ("shape", "window"), [((2, 7, 7), (2, 2, 2)), ((3, 5, 8), (2, 2, 2)), ((3, 5, 7), (1, 2, 2)), ((1, 4, 6), (2, 2, 2))]
)
def test_pool_covers_all(shape, window):
    x = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype(np.float32) - 9  # Padding with 0 would show.
    pooled = np.asarray(c3d.max_pool(x, window))
    expected = [pool_by_loops(clip, window) for clip in x.transpose(0, 4, 1, 2, 3)]
    np.testing.assert_array_equal(pooled.transpose(0, 4, 1, 2, 3), np.stack(expected))


def test_full_size():
    shapes = c3d.expected_shapes()
    layout = {"conv1a/W": (64, 3, 3, 3, 3), "conv5b/b": (512,), "fc6/W": (4096, 8192), "fc8/W": (101, 4096), "fc8/b": (101,)}
    assert {name: shapes[name] for name in layout} == layout
    assert len(shapes) == 22
    # 27 C_in C_out + C_out for each convolution; 512 * 1 * 4 * 4 features after the last pool.
    widths = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = sum(27 * a * b + b for a, b in itertools.pairwise(widths))
    full = sum(a * b + b for a, b in itertools.pairwise([8192, 4096, 4096, 101]))
    assert sum(map(math.prod, shapes.values())) == convolutions + full == 78_409_573
    params = {}
    for name, shape in shapes.items():
        layer = name.split("/")[0]
        order = (2, 3, 4, 1, 0) if len(shape) == 5 else (1, 0) if len(shape) == 2 else (0,)
        params.setdefault(layer, []).append(jax.ShapeDtypeStruct(tuple(shape[i] for i in order), np.float32))
    x = jax.ShapeDtypeStruct((5, 16, 112, 112, 3), np.float32)
    out = jax.eval_shape(c3d.c3d.__wrapped__, {name: tuple(pair) for name, pair in params.items()}, x)
    assert (out.shape, out.dtype) == ((5, 101), np.float32)


def test_full_size_file(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {name: np.ones(shape, np.float32) for name, shape in c3d.expected_shapes().items()}
    arrays["conv2a/W"] = rng.normal(size=(128, 64, 3, 3, 3)).astype(np.float32)
    arrays["fc6/W"][7] = rng.normal(size=8192)
    params = c3d.load_params(write(tmp_path / c3d.WEIGHTS_FILE, arrays))
    assert list(params) == ["conv1a", *list(WIDTHS)[1:], "fc6", "fc7", "fc8"]
    kernel, bias = params["conv2a"]
    assert kernel.dtype == bias.dtype == np.float32
    assert kernel[2, 0, 1, 63, 127] == arrays["conv2a/W"][127, 63, 2, 0, 1]
    # Feature c of position (h, w): 16c + 4h + w there, 512 (4h + w) + c here.
    assert params["fc6"][0][512 * (4 * 3 + 1) + 200, 7] == arrays["fc6/W"][7, 16 * 200 + 4 * 3 + 1]


# Chainer 7.8.1 and OpenCV 4.11 in the steps of TGAN's calc_inception.py and TGANv2's c3d_ucf101.py, on the clip below.
PUBLISHED_INPUTS = {
    "tgan": [
        ((0, 0, 0), [-163.400, -46.727, 33.073]),
        ((15, 111, 111), [-61.598, -61.682, 35.651]),
        ((3, 40, 77), [66.344, 10.031, -201.267]),
        ((9, 111, 5), [138.278, -10.394, 150.264]),
    ],
    "tganv2": [
        ((0, 0, 0), [-222.581, -47.361, 106.121]),
        ((15, 111, 111), [-11.091, 31.296, 10.131]),
        ((3, 40, 77), [-208.718, -0.805, -42.040]),
        ((9, 111, 5), [-84.533, 38.549, 40.241]),
    ],
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_preprocessing_against_chainer_and_opencv(protocol, tmp_path):
    rng = np.random.RandomState(7)
    videos = rng.randint(0, 256, (1, 16, 48, 60, 3)).astype(np.uint8)
    mean = (rng.rand(3, 16, 128, 171) * 255).astype(np.float32)
    mean = c3d.load_mean(write(tmp_path / c3d.MEAN_FILE, {"mean": mean}))
    frames = np.asarray(preprocess(videos, mean, protocol))
    assert (frames.shape, frames.dtype) == ((1, 16, 112, 112, 3), np.float32)
    for place, value in PUBLISHED_INPUTS[protocol]:
        np.testing.assert_allclose(frames[0][place], value, atol=1.5e-3)
    statistics = {"tgan": (-0.2804393, 97.0406113), "tganv2": (-0.3273204, 88.6440964)}[protocol]
    assert (frames.mean(dtype=np.float64), frames.std(dtype=np.float64)) == pytest.approx(statistics, abs=1e-4)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_preprocessing_by_hand(protocol):
    # One colour: no resize changes it. The mean says where it was cut out, and in which order its channels are.
    videos = np.broadcast_to(np.array([250, 100, 30], np.uint8), (1, 16, 20, 30, 3))
    mean = np.arange(16 * 128 * 171 * 3, dtype=np.float32).reshape(16, 128, 171, 3) / 4096
    left = {"tgan": 21 + 8, "tganv2": 8}[protocol]
    expected = np.array([30, 100, 250]) - mean[:, 8:120, left : left + 112]
    np.testing.assert_allclose(preprocess(videos, mean, protocol)[0], expected, atol=1e-3)


def test_frames_of_the_right_size_stay_as_they_are():
    rng = np.random.default_rng(0)
    no_mean = np.zeros((16, 128, 171, 3), np.float32)
    videos = rng.integers(0, 256, (1, 16, 128, 128, 3), dtype=np.uint8)
    expected = videos[..., 8:120, 8:120, ::-1]
    np.testing.assert_allclose(preprocess(videos, no_mean, "tgan"), expected, atol=1e-4)
    np.testing.assert_allclose(preprocess(expected, no_mean, "tganv2"), expected[..., ::-1], atol=1e-4)


@pytest.mark.parametrize(("size_in", "size_out"), [(5, 12), (12, 5), (7, 7), (3, 8), (64, 128), (171, 128)])
def test_resizes_by_their_formulas(size_in, size_out):
    row = np.random.default_rng(size_in).normal(size=size_in)
    a = -0.75
    for i in range(size_out):
        t = (i + 0.5) * size_in / size_out - 0.5
        cubic = 0.0
        for k in range(math.floor(t) - 1, math.floor(t) + 3):
            s = abs(t - k)
            weight = (a + 2) * s**3 - (a + 3) * s**2 + 1 if s <= 1 else a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a
            cubic += weight * row[min(max(k, 0), size_in - 1)]
        assert bicubic_matrix(size_in, size_out)[i] @ row == pytest.approx(cubic, abs=1e-9)
        t = i * (size_in - 1) / (size_out - 1)
        linear = np.interp(t, np.arange(size_in), row)
        assert bilinear_matrix(size_in, size_out)[i] @ row == pytest.approx(linear, abs=1e-9)


def test_scores_by_their_definitions():
    rng = np.random.default_rng(0)
    # So confident that the epsilon decides: at 1e-7 it is most of log(p + epsilon), at 1e-20 nothing.
    probabilities = rng.dirichlet(np.full(101, 0.01), size=30)
    probabilities[0] = np.eye(101)[3]
    marginal = [sum(row[y] for row in probabilities) / 30 for y in range(101)]
    tgan = tganv2 = exact = 0.0
    for row in probabilities:
        for p, q in zip(row, marginal, strict=True):
            tgan += p * math.log(p + 1e-7) - p * math.log(q + 1e-7)
            tganv2 += (p + 1e-20) * (math.log(p + 1e-20) - math.log(q + 1e-20))
            exact += p * math.log(p / q) if p > 0 else 0
    assert tgan_score(probabilities) == pytest.approx(math.exp(tgan / 30), rel=1e-12)
    assert tganv2_score(probabilities) == pytest.approx(math.exp(tganv2 / 30), rel=1e-12)
    assert tganv2_score(probabilities) == pytest.approx(math.exp(exact / 30), rel=1e-12)
    assert tgan_score(probabilities) != pytest.approx(math.exp(exact / 30), rel=1e-8)
    # Four certain classes out of 101: the epsilon of TGAN adds log((1 + 1e-7) / (1/4 + 1e-7)) - log 4 = -3e-7.
    certain = np.eye(101)[np.arange(80) % 4]
    assert tgan_score(certain) == pytest.approx(4 * (1 + 1e-7) / (1 + 4e-7), rel=1e-12)
    assert tganv2_score(certain) == pytest.approx(4, rel=1e-12)


@pytest.fixture
def tiny_files(tmp_path, shrink):
    """The weights and mean of a tiny C3D that sees 112x112."""
    shrink(classes=7, pooled=(1, 4, 4))
    rng = np.random.RandomState(4)
    arrays = chainer_arrays(rng, 7, 16)
    arrays["fc8/W"] *= 0.2  # The inputs are hundreds: no class shall be certain.
    mean = (rng.rand(1, 3, 16, 128, 171) * 99).astype(np.float32)
    return arrays, write(tmp_path / "weights.npz", arrays), write(tmp_path / "mean.npz", {"mean": mean})


def blocks(seed, count, size=8):
    """Clips of coarse noise, so that the network tells them apart."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 16, 2, 2, 3), dtype=np.uint8).repeat(size // 2, 2).repeat(size // 2, 3)


def test_score_of_videos(tiny_files):
    arrays, weights, mean = tiny_files
    videos = blocks(0, 5)
    result = c3d_inception_score(videos, "tgan", weights, mean, batch_size=2, progress=False)
    inputs = np.asarray(preprocess(videos, c3d.load_mean(mean), "tgan"))
    logits = np.stack([by_scipy(arrays, clip.transpose(3, 0, 1, 2).astype(np.float64)) for clip in inputs])
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert 1.2 < result.value == pytest.approx(tgan_score(probabilities), rel=1e-4)
    assert (float(result), result.deviation, result.num_videos, result.num_splits) == (result.value, 0, 5, 1)
    assert isinstance(result, C3DInceptionScoreResult)
    # Channels swapped, another protocol: another score.
    swapped = c3d_inception_score(videos[..., ::-1], "tgan", weights, mean, batch_size=2, progress=False)
    other = c3d_inception_score(videos, "tganv2", weights, mean, batch_size=2, progress=False)
    assert len({round(r.value, 4) for r in (result, swapped, other)}) == 3


def test_sets_are_streamed_and_scored_apart(tiny_files):
    _, weights, mean = tiny_files
    options = {"protocol": "tganv2", "weights": weights, "mean": mean, "batch_size": 2, "progress": False}
    sets = [blocks(0, 4), blocks(1, 3), blocks(2, 4)]
    alone = [c3d_inception_score(videos, **options).value for videos in sets]
    held = []

    def clip_by_clip(videos):
        for clip in videos:
            held.append(clip)
            yield clip

    draws = iter([sets[0], clip_by_clip(sets[1]), iter([sets[2][:3], sets[2][3:]])])  # an array, clips, batches
    result = c3d_inception_score(draws, **options)
    assert result.scores == pytest.approx(alone)
    assert len(held) == 3
    assert result.value == pytest.approx(sum(alone) / 3)
    assert result.deviation == pytest.approx(math.sqrt(sum((score - result.value) ** 2 for score in alone) / 3))
    assert (result.clips, result.num_videos, result.num_splits, result.clip_shape) == ((4, 3, 4), 11, 3, (16, 8, 8))
    text = str(result)
    for part in (
        f"IS (C3D-UCF101, TGANv2) = {result.value:.2f} +- {result.deviation:.2f} over 3 sets",
        "3 sets of 4 and 3 clips 16x8x8",
        c3d.sha256(weights)[:12],
        "112x112",
        "NOT THE PROTOCOL'S SIZE, which is 10 sets of 2,048 clips: biased downwards",
    ):
        assert part in text


@pytest.mark.parametrize(("protocol", "sets", "clips"), [("tgan", 4, 9984), ("tganv2", 10, 2048)])
def test_the_protocols_own_size_is_not_flagged(protocol, sets, clips):
    def text(sets, clips):
        return str(C3DInceptionScoreResult("IS", (2.0,) * sets, (clips,) * sets, (16, 64, 64), "C3D", protocol))

    assert "NOT" not in text(sets, clips)
    assert "biased" in text(sets, clips - 1)
    for other in (text(sets, clips + 1), text(sets - 1, clips)):
        assert "NOT THE PROTOCOL'S SIZE" in other
        assert "biased" not in other


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        (blocks(0, 2)[:, :15], "exactly 16 frames, got 15"),
        (blocks(0, 2).repeat(2, 1), "exactly 16 frames, got 32"),
        (blocks(0, 2) / 255, r"uint8 \[16, H, W, 3\], 0 to 255, got float64"),
        (blocks(0, 1)[0], "one uint8 array"),
        (blocks(0, 2)[:0], "no videos in set 1"),
        ([], "no sets"),
        (list(blocks(0, 2)), r"a list of their own, \[clips\]"),
        ([[blocks(0, 1)[0], blocks(0, 1, size=6)[0]]], "Every video must have the same shape"),
        ([blocks(0, 1), blocks(0, 1, size=6)], "Every set must have videos of the same shape"),
    ],
)
def test_other_videos_are_refused(videos, message, tiny_files):
    _, weights, mean = tiny_files
    with pytest.raises(ValueError, match=message):
        c3d_inception_score(videos, weights=weights, mean=mean, progress=False)


def test_values_that_are_not_finite_are_refused(tiny_files):
    arrays, weights, mean = tiny_files
    large = {"fc7/W": arrays["fc7/W"] * np.float32(1e30), "fc8/W": arrays["fc8/W"] * np.float32(1e30)}
    write(weights, arrays | large)
    with pytest.raises(ValueError, match="not finite"):
        c3d_inception_score(blocks(0, 1), weights=weights, mean=mean, progress=False)


def test_there_is_no_such_protocol():
    with pytest.raises(ValueError, match="no protocol 'tgan3'; there are tgan, tganv2"):
        c3d_inception_score(blocks(0, 1), "tgan3")


@pytest.mark.parametrize("load", [c3d.load_params, c3d.load_mean, c3d.sha256])
def test_missing_files(load, tmp_path):
    with pytest.raises(WeightsError) as error:
        load()
    for part in (
        "conv3d_deepnetA_ucf.npz",
        "mean2.npz",
        "github.com/rezoo/tgan2/releases (v1.0",
        "github.com/pfnet-research/tgan/releases, v1.0.0",
        f"put them into {tmp_path / 'cache' / 'c3d'}",
        "c3d.download()",
    ):
        assert part in str(error.value)


def spoiled(arrays, **changes):
    changes = {name.replace("__", "/"): array for name, array in changes.items()}
    return {name: array for name, array in (arrays | changes).items() if array is not None}


def test_wrong_weights_are_refused(tiny_files):
    arrays, path, _ = tiny_files
    assert c3d.load_params(write(path, arrays | {"persistent": np.zeros(3)})).keys() == c3d.load_params(path).keys()
    for changed, message in [
        (spoiled(arrays, fc8__W=None, conv3b__b=None), "lacks conv3b/b, fc8/W"),
        (spoiled(arrays, fc8__W=np.ones((9, 12), np.float32)), r"fc8/W of shape \(9, 12\), where \(7, 12\) is expected"),
        (spoiled(arrays, conv4a__b=np.full(5, np.nan)), "values in conv4a/b that are not finite"),
        (spoiled(arrays, conv4a__b=np.ones(5, int)), "int64 numbers, not floats, as conv4a/b"),
        (spoiled(arrays, conv2a__W=arrays["conv2a/W"] * 0), "all of conv2a/W is 0"),
        (spoiled(arrays, conv2a__W=np.array([None])), "refused"),
    ]:
        write(path, changed)
        with pytest.raises(WeightsError, match=message) as error:
            c3d.load_params(path)
        # What was expected: every name with its shape.
        assert str(path) in str(error.value)
        assert "conv1a/W (2, 3, 3, 3, 3), conv1a/b (2,)" in str(error.value)
        assert "fc8/b (7,)" in str(error.value)


def test_wrong_means_are_refused(tmp_path):
    path = tmp_path / "mean.npz"
    sound = np.full((3, 16, 128, 171), 90, np.float32)
    sound[2] += 1
    for shape in [(3, 16, 128, 171), (3, 1, 16, 128, 171), (1, 3, 16, 128, 171)]:
        loaded = c3d.load_mean(write(path, {"mean": sound.reshape(shape).astype(np.float64)}))
        assert (loaded.shape, loaded.dtype) == ((16, 128, 171, 3), np.float32)
        np.testing.assert_array_equal(loaded[5, 6, 7], [90, 90, 91])
    for arrays, message in [
        ({"average": sound}, "lacks mean, and has average"),
        ({"mean": sound.reshape(16, 3, 128, 171)}, r"mean of shape \(16, 3, 128, 171\)"),
        ({"mean": sound - 128}, "-38 to -37, are no pixel values"),
        ({"mean": sound * 3}, "270 to 273, are no pixel values"),
    ]:
        write(path, arrays)
        with pytest.raises(WeightsError, match=message) as error:
            c3d.load_mean(path)
        assert "Expected is an .npz with pixel values of shape (3, 16, 128, 171) as `mean`" in str(error.value)


def test_damaged_files_are_refused(tiny_files):
    _, weights, mean = tiny_files
    whole = weights.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 255  # NumPy's zip has a checksum for each array.
    for data in (whole[: len(whole) // 2], bytes(flipped), b"", b"<!DOCTYPE html><html></html>"):
        weights.write_bytes(data)
        with pytest.raises(WeightsError, match="refused"):
            c3d.load_params(weights)
    np.save(mean.with_suffix(".npy"), np.zeros(3))
    with pytest.raises(WeightsError, match=r"one array, not an \.npz"):
        c3d.load_mean(mean.with_suffix(".npy"))
    with pytest.raises(WeightsError, match="cannot be read"):
        c3d.load_mean(mean.parent)


def test_download(tiny_files, monkeypatch):
    arrays, weights, mean = tiny_files
    asked = []

    def transfer(source, path):
        asked.append(source.url)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((mean if "mean" in source.file else weights).read_bytes())
        return path

    monkeypatch.setattr(fetch, "download", transfer)
    places = c3d.download()
    assert asked == [
        "https://github.com/rezoo/tgan2/releases/download/v1.0/conv3d_deepnetA_ucf.npz",
        "https://github.com/rezoo/tgan2/releases/download/v1.0/mean2.npz",
    ]
    assert places == (c3d.default_folder() / "conv3d_deepnetA_ucf.npz", c3d.default_folder() / "mean2.npz")
    # What lies there is what is taken when no path is given.
    assert c3d_inception_score(blocks(0, 2), progress=False).value > 1
    write(weights, spoiled(arrays, fc8__W=None))
    with pytest.raises(WeightsError, match="lacks fc8/W"):
        c3d.download()
