"""Appendix B.1: the short side becomes the resolution, a square is cropped, a window of frames is taken."""

import subprocess

import av
import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dvdgan_lib.data.video import (
    VideoError,
    crop_square,
    probe,
    read_frames,
    resize_short_side,
    resized_size,
    window_start,
)


def bilinear_weights(size: int, out: int) -> np.ndarray:
    """[out, size]: the triangle filter, widened by the scale when shrinking, normalised at the borders."""
    scale = size / out
    reach = max(scale, 1.0)
    middle = (np.arange(out) + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(size) + 0.5 - middle[:, None]) / reach)
    return weights / weights.sum(1, keepdims=True)


def write_video(path, num_frames, height=24, width=32, codec="mpeg4"):
    """Frame i is grey of level 10 * i."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 10 * i % 250, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("height", "width", "resolution", "wanted"),
    [
        (256, 340, 64, (64, 85)),
        (240, 426, 64, (64, 114)),
        (240, 426, 128, (128, 227)),
        (240, 320, 128, (128, 171)),
        (426, 240, 64, (114, 64)),
        (272, 640, 32, (32, 75)),
        (64, 64, 64, (64, 64)),
        (48, 50, 96, (96, 100)),
        (5, 7, 2, (2, 3)),
    ],
)
def test_sizes(height, width, resolution, wanted):
    assert resized_size(height, width, resolution) == wanted
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    resized = resize_short_side(frame, resolution)
    assert resized.shape == (*wanted, 3)
    assert crop_square(resized[None]).shape == (1, resolution, resolution, 3)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 64), st.integers(0, 99))
def test_resize_is_the_bilinear_formula(height, width, resolution, seed):
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    out = resize_short_side(frame, resolution)
    assert min(out.shape[:2]) == resolution
    wanted = np.einsum(
        "yh,xw,hwc->yxc",
        bilinear_weights(height, out.shape[0]),
        bilinear_weights(width, out.shape[1]),
        frame.astype(float),
    )
    assert np.abs(out - wanted).max() <= 1.01  # rounded after each of the two passes


@pytest.mark.parametrize(("height", "width"), [(6, 13), (13, 6), (6, 6)])
def test_crops_reach_every_position_along_the_longer_side(height, width):
    rows, columns = np.mgrid[:height, :width]
    video = np.stack([rows, columns, rows * 0], -1)[None].astype(np.uint8)
    rng = np.random.default_rng(0)
    corners = {tuple(crop_square(video, rng)[0, 0, 0, :2]) for _ in range(200)}
    assert corners == {(y, x) for y in range(height - 5) for x in range(width - 5)}
    middle = crop_square(video)
    assert middle.shape == (1, 6, 6, 3)
    assert tuple(middle[0, 0, 0, :2]) == ((height - 6) // 2, (width - 6) // 2)


def test_windows():
    rng = np.random.default_rng(0)
    assert {window_start(10, 4, 2, rng) for _ in range(200)} == {0, 1, 2, 3}
    assert window_start(10, 4, 2) == 1
    assert window_start(7, 4, 2) == 0
    with pytest.raises(VideoError, match="too short: 6 frames of the 7 needed"):
        window_start(6, 4, 2)


def test_the_frames_asked_for_are_read(tmp_path):
    write_video(tmp_path / "v.mp4", 20)
    assert probe(tmp_path / "v.mp4").frames == 20
    video = read_frames(tmp_path / "v.mp4", 12, start=5, stop=12, step=3)
    assert video.shape == (3, 12, 16, 3)
    assert video.dtype == np.uint8
    np.testing.assert_allclose(video.mean((1, 2, 3)), [50, 80, 110], atol=3)
    assert len(read_frames(tmp_path / "v.mp4", 12)) == 20
    with pytest.raises(VideoError, match="ended after 2 of the 3"):
        read_frames(tmp_path / "v.mp4", 12, start=18, stop=21)


@pytest.mark.parametrize("name", ["v.avi", "v.mkv", "v.mp4", "v.mov", "v.webm", "v.gif"])
def test_cut_off_files_are_noticed(tmp_path, name):
    path = tmp_path / name
    if name == "v.gif":
        noise = np.random.default_rng(0).integers(0, 256, (40, 24, 32), np.uint8)
        first, *others = (Image.fromarray(frame) for frame in noise)
        first.save(path, save_all=True, append_images=others, duration=100)
    else:
        write_video(path, 40, codec="libvpx" if name == "v.webm" else "mpeg4")
    assert probe(path).frames == 40
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match=r"truncated|unreadable"):
        probe(path)


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_a_video_held_upright_is_turned_as_ffmpeg_does(tmp_path, degrees):
    ramp = np.arange(24 * 48, dtype=np.uint8).reshape(24, 48, 1) // 8 + np.zeros(3, np.uint8)
    with av.open(str(tmp_path / "lying.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 24, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(ramp, format="rgb24")))
        container.mux(stream.encode())
    ffmpeg, turned = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"], str(tmp_path / "turned.mp4")
    turn = ["-display_rotation", str(degrees), "-i", str(tmp_path / "lying.mp4"), "-c", "copy", turned]
    subprocess.run(ffmpeg + turn, check=True)
    raw = subprocess.run([*ffmpeg, "-i", turned, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True)
    video = read_frames(turned, 24)
    assert video.shape == ((1, 24, 48, 3) if degrees == 180 else (1, 48, 24, 3))
    np.testing.assert_allclose(video.astype(int).ravel(), np.frombuffer(raw.stdout, np.uint8), atol=2)


def test_files_without_video_are_refused(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.avi").write_text("not a video\n" * 50)
    for name in ("empty.mp4", "text.avi", "absent.mp4"):
        with pytest.raises(VideoError, match="unreadable after 0 frames"):
            probe(tmp_path / name)
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(VideoError, match="no video"):
        probe(tmp_path / "sound.mkv")
