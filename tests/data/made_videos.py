"""Small videos, made, for tests of preparation and of reading; and what their frames are, by PyAV alone."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

from dvdgan_lib.data import decoder_process, video
from dvdgan_lib.data.raw import RawSplit, RawVideo


def pictures(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [T, H, W, 3]: soft coloured waves that move, no two frames alike."""
    rng = np.random.default_rng(seed)
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    video = np.zeros((frames, height, width, 3))
    for _ in range(4):
        speed, *slope = rng.uniform(-0.5, 0.5, 3) * [1, 0.8, 0.8]
        wave = np.sin(speed * t + slope[0] * y + slope[1] * x + rng.uniform(0, 6))
        video += wave[..., None] * rng.uniform(-1, 1, 3)
    return np.uint8(np.clip(128 + 50 * video, 0, 255))


def write(path: Path, frames=12, height=24, width=32, codec="mpeg4", pix_fmt="yuv420p", seed=0, fps=10, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=options.pop("format", None)) as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for picture in pictures(frames, height, width, seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)))
        container.mux(stream.encode())
    return path


def decoded(source) -> np.ndarray:
    """uint8 [T, H, W, 3]: all frames of a file or of a file's bytes."""
    with av.open(str(source) if isinstance(source, Path) else source) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def shrunk(frames: np.ndarray, resolution: int) -> np.ndarray:
    """Appendix B.1's resize, in other words than `video.resize_short_side`: halves of a pixel are rounded up."""
    height, width = frames.shape[1:3]
    scale = resolution / min(height, width)
    size = (int(width * scale + 0.5), int(height * scale + 0.5))
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BILINEAR)) for f in frames])


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Decibels, of all pixels together."""
    return 10 * np.log10(255**2 / max(np.mean((np.float64(one) - other) ** 2), 1e-9))


def split_of(paths: dict[str, int], folder: Path, class_names=("a", "b", "c"), name="made", skipped=()) -> RawSplit:
    """A split of the files (name -> label) below `folder`."""
    return RawSplit(name, class_names, tuple(RawVideo(key, label, folder / key) for key, label in paths.items()), skipped)


def contents(folder: Path) -> dict[str, bytes]:
    """{relative path: bytes} of all files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class DecoderHere:
    """What `raw.Decoder` answers, without a process of its own, whose start takes a second."""

    def __init__(self, *limits):
        pass

    def __call__(self, item, encoding=None):
        try:
            if encoding:
                return decoder_process.encode(item.path, item.seconds, *encoding)
            return video.probe(item.path, item.seconds), b""
        except video.VideoError as error:
            return str(error)

    def close(self):
        pass
