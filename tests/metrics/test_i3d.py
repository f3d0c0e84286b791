"""I3D with its real weights: published FVDs, real clips, TensorFlow's resize, and what `features` promises."""

import dataclasses
from pathlib import Path

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dvdgan_lib.metrics import (
    concatenated,
    features,
    features_cached,
    frechet,
    frechet_inception_distance,
    frechet_video_distance,
    i3d,
    i3d_features,
    inception_score,
    kernel_video_distance,
)

CLIPS = Path(__file__).resolve().parents[2].parent / "shared" / "clips"
TOP_1 = {
    "kinetics/R6llTwEh07w.mp4": "using segway",
    "kinetics/SOX5yA1l24A.mp4": "using segway",
    "kinetics/mmaction2_demo.mp4": "arm wrestling",
    "kinetics/flipping_a_pancake.mkv": "flipping pancake",
    "ucf101/v_ApplyEyeMakeup_g01_c01.avi": "filling eyebrows",
    "ucf101/v_Archery_g01_c01.avi": "archery",
    "ucf101/v_BabyCrawling_g04_c01.avi": "crawling baby",
    "ucf101/v_CricketShot_g04_c01_rgb.gif": "playing cricket",
    "ucf101/v_SoccerJuggling_g23_c01.avi": "juggling soccer ball",
}


def constant_features(frames, seen):
    """Of eight black videos and eight white ones, alike in all: the network sees so many of each, in one batch."""
    zeros = np.zeros((seen, frames, 64, 64, 3), np.uint8)
    found = [features(videos, batch_size=seen, progress=False) for videos in (zeros, zeros + 255)]
    return [concatenated([of_some] * (8 // seen)) for of_some in found]


@pytest.fixture(scope="module")
def constant_10():
    return constant_features(10, seen=4)


def decode(path, frames=64, short_side=256, crop=224):
    """The clip's first frames, uint8 [frames, crop, crop, 3]: the short side resized, the centre cropped."""
    images = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            scale = short_side / min(frame.width, frame.height)
            size = {"width": round(frame.width * scale), "height": round(frame.height * scale)}
            image = frame.reformat(**size, format="rgb24", interpolation="BILINEAR").to_ndarray()
            top, left = (image.shape[0] - crop) // 2, (image.shape[1] - crop) // 2
            images.append(image[top : top + crop, left : left + crop])
            if len(images) == frames:
                return np.stack(images)
    raise ValueError(f"{path} has only {len(images)} frames.")


def test_fvd_of_zeros_and_ones_at_30_frames():
    """The check of TensorFlow's original FVD: 151.392."""
    result = frechet_video_distance(*constant_features(30, seen=1))
    assert result.value == pytest.approx(151.39, abs=0.05)
    assert result.small_sample


def test_fvd_of_zeros_and_ones_at_10_frames(constant_10):
    """569.23 by StyleGAN-V's port, listed in JunyaoHu/common_metrics_on_video_quality."""
    assert frechet_video_distance(*constant_10).value == pytest.approx(569.23, rel=0.01)
    # Videos all alike have no spread: the distance is that of the means.
    difference = constant_10[0].pool[0].astype(np.float64) - constant_10[1].pool[0]
    assert frechet_inception_distance(*constant_10).value == pytest.approx((difference**2).sum(), rel=1e-5)


def test_top_1_of_real_clips():
    if not CLIPS.is_dir():
        pytest.skip(f"the folder {CLIPS} is absent")
    names = (CLIPS / "labels" / "label_map_400.txt").read_text().splitlines()
    computed = features((decode(CLIPS / clip) for clip in TOP_1), progress=False)
    assert [names[i] for i in computed.logits.argmax(axis=1)] == list(TOP_1.values())
    assert computed.clip_shape == (64, 224, 224)
    assert (computed.probabilities.max(axis=1) > 0.2).all()


def test_features_do_not_depend_on_the_batch(constant_10):
    del constant_10  # Only asked for so that this shape has been compiled.
    clips = np.random.default_rng(0).integers(0, 256, (6, 10, 64, 64, 3), np.uint8)
    whole = features(clips, batch_size=4, progress=False)  # A full batch and a padded one.
    shifted = features(iter(clips[2:]), batch_size=4, progress=False)  # Without knowing how many will come.
    assert len(whole) == 6
    assert whole.logits.dtype == whole.pool.dtype == np.float32
    np.testing.assert_allclose(whole[2:].logits, shifted.logits, atol=1e-4)
    np.testing.assert_allclose(whole[2:].pool, shifted.pool, atol=1e-5)
    assert np.abs(np.diff(whole.pool, axis=0)).max() > 1e-3  # The clips do differ.
    np.testing.assert_allclose(whole.probabilities.sum(axis=1), 1, rtol=1e-9)
    np.testing.assert_allclose(whole.probabilities, jax.nn.softmax(whole.logits), rtol=1e-4, atol=1e-9)


def test_nine_frames_are_enough():
    logits, _ = i3d.i3d(i3d.load_params(), jnp.zeros((1, i3d.MIN_FRAMES, 32, 32, 3)))  # Small, to be fast.
    assert np.isfinite(logits).all()


def test_features_of_kinetics_600(tmp_path, monkeypatch):
    """Features, names and numbers follow the network; a head of 600 classes on pixels stands for it, to be quick."""
    clip = np.random.default_rng(0).integers(0, 256, (2, i3d.MIN_FRAMES, 32, 32, 3), np.uint8)
    place = tmp_path / "i3d-kinetics-600.tar.gz"
    kernel, bias = np.random.default_rng(1).normal(size=(1024, 600)).astype(np.float32), np.arange(600, dtype=np.float32)
    asked = []

    def pretend(network, path):
        asked.append((network, path))
        return {"Logits": (kernel, bias)}

    def run(params, x):
        pool = x[:, 0].reshape(len(x), -1)[:, :1024]
        return pool @ params["Logits"][0] + params["Logits"][1], pool

    monkeypatch.setattr(i3d_features, "load_params", pretend)
    monkeypatch.setattr(i3d_features, "weights_variant", lambda network, path: "0123456789ab")
    monkeypatch.setattr(i3d_features, "i3d", run)
    monkeypatch.setattr(i3d_features, "weights_sha256", lambda network, path: "2" * 64)
    monkeypatch.setattr(frechet, "frechet_distance", lambda *_: 0.0)  # which takes seconds at 1024 dimensions
    computed = features(clip, network="I3D-K600", weights=place, progress=False)
    assert asked == [("I3D-K600", place)]
    assert computed.network == computed[:1].network == "I3D-K600"
    np.testing.assert_allclose(computed.logits, computed.pool @ kernel + bias, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(computed.probabilities.sum(axis=1), 1)
    results = {
        "FVD (I3D-K600 logits)": frechet_video_distance(computed, computed),
        "FID (I3D-K600 avgpool)": frechet_inception_distance(computed, computed),
        "IS (I3D-K600)": inception_score(computed),
        "KVD (I3D-K600 logits)": kernel_video_distance(computed, computed),
    }
    for name, result in results.items():
        assert str(result).startswith(f"{name} = ")
        assert "network I3D-K600" in str(result)
        assert "to 224x224, weights 0123456789ab" in str(result)
    assert "features 600 logits" in str(results["FVD (I3D-K600 logits)"])
    assert "class probabilities" in str(results["IS (I3D-K600)"])
    one = i3d_features.I3DFeatures(computed.logits[:, :400], computed.pool, computed.clip_shape)
    with pytest.raises(ValueError, match="use one network"):
        frechet_video_distance(one, computed)
    with pytest.raises(ValueError, match=r"different weights of I3D-K600 \(0123456789ab and those"):
        frechet_video_distance(computed, dataclasses.replace(computed, weights=""))
    cached = [features_cached(clip, tmp_path, "key", network="I3D-K600", weights=place) for _ in range(2)]
    assert [c.weights for c in cached] == ["0123456789ab"] * 2
    assert len(asked) == 2


def test_features_fit_their_network():
    pool = np.zeros((2, 1024), np.float32)
    with pytest.raises(ValueError, match=r"Features of I3D-K600 are logits \[N, 600\] .* got .*400"):
        i3d_features.I3DFeatures(np.zeros((2, 400), np.float32), pool, (12, 8, 8), "I3D-K600")
    clip = np.zeros((1, 12, 8, 8, 3), np.uint8)
    for call in (features, lambda *arguments, **options: features_cached(*arguments, "nowhere", "key", **options)):
        with pytest.raises(ValueError, match="no network 'K600'; there are I3D-K400, I3D-K600"):
            call(clip, network="K600")


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        (np.zeros((2, 8, 64, 64, 3), np.uint8), "at least 9 frames, got 8"),
        (np.zeros((2, 12, 64, 64, 3), np.float32), "must be uint8 .* got float32"),
        (np.full((2, 12, 64, 64, 3), np.nan), "must be uint8 .* got float64"),
        (np.zeros((2, 12, 64, 64, 1), np.uint8), r"must be uint8 \[T, H, W, 3\]"),
        (np.zeros((12, 64, 64, 3), np.uint8), r"one uint8 array \[N, T, H, W, 3\]"),
        (np.zeros((0, 12, 64, 64, 3), np.uint8), "no videos"),
        ([np.zeros((12, 64, 64, 3), np.uint8), np.zeros((12, 32, 64, 3), np.uint8)], "same shape"),
        ([np.uint8(0)], "must be uint8"),
    ],
)
def test_what_is_no_video(videos, message):
    for call in (features, lambda videos, **kwargs: frechet_video_distance(videos, videos, **kwargs)):
        with pytest.raises(ValueError, match=message) as error:
            call(videos, progress=False)
        assert str(error.value).count(".") == 1  # One sentence.
        assert str(error.value).endswith(".")


def resize_by_loops(image, height, width):
    """tensorflow/core/kernels/resize_bilinear_op.cc, align_corners and half_pixel_centers false, a pixel at a time."""
    rows, columns, channels = image.shape
    out = np.empty((height, width, channels))
    for i in range(height):
        y = i * rows / height
        top = int(np.floor(y))
        bottom = min(top + 1, rows - 1)
        for j in range(width):
            x = j * columns / width
            left = int(np.floor(x))
            right = min(left + 1, columns - 1)
            for c in range(channels):
                above = image[top, left, c] + (image[top, right, c] - image[top, left, c]) * (x - left)
                below = image[bottom, left, c] + (image[bottom, right, c] - image[bottom, left, c]) * (x - left)
                out[i, j, c] = above + (below - above) * (y - top)
    return out


@pytest.mark.parametrize(
    ("size", "target"), [((5, 7), (16, 16)), ((19, 16), (8, 6)), ((8, 8), (8, 8)), ((6, 3), (3, 6)), ((1, 2), (4, 5))]
)
def test_resize_is_tensorflow_1s(size, target):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    ours = i3d.resize_bilinear_tf1(images, *target)
    assert ours.dtype == jnp.float32
    expected = np.stack([resize_by_loops(image.astype(np.float64), *target) for image in images])
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_preprocess_squashes_to_the_input_range():
    videos = np.zeros((1, 2, 30, 60, 3), np.uint8)
    videos[:, 1] = 255
    out = np.asarray(i3d.preprocess(videos))
    assert out.shape == (1, 2, 224, 224, 3)
    assert (out[:, 0] == -1).all()
    np.testing.assert_allclose(out[:, 1], 1, atol=1e-6)


@pytest.mark.parametrize(("window", "strides"), [((3, 3, 3), (1, 1, 1)), ((1, 3, 2), (1, 1, 1)), ((2, 2, 2), (2, 2, 2))])
def test_max_pool_is_the_native_one(window, strides):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 1, 4, 3)) - 5, jnp.float32)
    native = lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), "SAME")
    np.testing.assert_array_equal(i3d.max_pool(x, window, strides), native)


def test_cache_computes_once_and_again_when_it_must(tmp_path, monkeypatch):
    computed = []

    def pretend(videos, **options):
        computed.append(options)
        random = np.random.default_rng(len(computed))
        network = options.get("network", "I3D-K400")
        sizes = (len(videos), i3d.NETWORKS[network]), (len(videos), i3d.NUM_POOL_FEATURES)
        arrays = (random.normal(size=size).astype(np.float32) for size in sizes)
        return i3d_features.I3DFeatures(*arrays, videos.shape[1:4], network)

    monkeypatch.setattr(i3d_features, "features", pretend)
    folder = tmp_path / "new" / "cache"
    videos = np.zeros((3, 12, 8, 8, 3), np.uint8)
    first = features_cached(videos, folder, "ucf101/train set", batch_size=2)
    again = features_cached(videos, folder, "ucf101/train set", batch_size=2)
    assert computed == [{"batch_size": 2}]
    np.testing.assert_array_equal(again.logits, first.logits)
    np.testing.assert_array_equal(again.pool, first.pool)
    assert again.clip_shape == first.clip_shape == (12, 8, 8)
    (file,) = folder.iterdir()  # One file, nothing temporary left.
    assert file.name.startswith("ucf101_train_set-I3D-K400-")

    # Where the cache has nothing, shipped ones are read, and nothing is written.
    (elsewhere := tmp_path / "other").mkdir()
    given = features_cached(videos, elsewhere, "ucf101/train set", shipped=folder)
    np.testing.assert_array_equal(given.pool, first.pool)
    assert not list(elsewhere.iterdir())
    assert len(computed) == 1

    features_cached(videos + 1, folder, "ucf101/train set", shipped=folder)
    features_cached(videos.reshape(3, 12, 16, 4, 3), folder, "ucf101/train set")
    features_cached(videos, folder, "another key")
    assert len(computed) == 4

    intact = file.read_bytes()
    for damaged in (b"", intact[:1000], intact[:3000] + bytes([intact[3000] ^ 1]) + intact[3001:], b"no zip file"):
        file.write_bytes(damaged)
        repaired = features_cached(videos, folder, "ucf101/train set")
        np.testing.assert_array_equal(features_cached(videos, folder, "ucf101/train set").logits, repaired.logits)
    assert len(computed) == 8

    # Another network, and other weights of the same one.
    hashes = {"a.tar.gz": "1" * 64, "b.tar.gz": "2" * 64}
    monkeypatch.setattr(i3d_features, "weights_sha256", lambda network, path: hashes[path])
    other = features_cached(videos, folder, "ucf101/train set", network="I3D-K600", weights="a.tar.gz")
    features_cached(videos, folder, "ucf101/train set", network="I3D-K600", weights="b.tar.gz")
    assert len(computed) == 10
    hashes["moved.tar.gz"] = hashes["a.tar.gz"]
    again = features_cached(videos, folder, "ucf101/train set", network="I3D-K600", weights="moved.tar.gz")
    assert len(computed) == 10
    np.testing.assert_array_equal(again.logits, other.logits)
    assert again.network == "I3D-K600"
    assert len(list(folder.glob("ucf101_train_set-I3D-K600-*.npz"))) == 2


@pytest.mark.parametrize("size", [(64, 64), (300, 260)])
def test_half_pixel_resize_against_its_formula(size):
    """What ports do: output i reads (i + 0.5) * in / out - 0.5, the border repeated, no antialiasing."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    out = np.asarray(i3d.preprocess(image[None, None], "half_pixel"))[0, 0]

    def matrix(size_in):
        position = np.clip((np.arange(224) + 0.5) * size_in / 224 - 0.5, 0, size_in - 1)
        lower = np.floor(position).astype(int)
        weights = np.zeros((224, size_in))
        weights[np.arange(224), lower] += 1 - (position - lower)
        weights[np.arange(224), np.minimum(lower + 1, size_in - 1)] += position - lower
        return weights

    wanted = np.einsum("ph,hwc,qw->pqc", matrix(size[0]), image.astype(float), matrix(size[1]), optimize=True)
    np.testing.assert_allclose(out, 2 * wanted / 255 - 1, atol=1e-4)


def test_centre_crop_takes_the_middle_square():
    video = np.zeros((1, 1, 224, 300, 3), np.uint8)
    video[:, :, :, 38:262] = np.random.default_rng(0).integers(0, 256, (224, 224, 3))
    out = np.asarray(i3d.preprocess(video, "centre_crop"))
    np.testing.assert_allclose(out, video[:, :, :, 38:262] / 127.5 - 1, atol=1e-5)
