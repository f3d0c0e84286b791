"""From a video file to frames: decode, resize the short side, choose a window, crop a square (appendix B.1).

PyAV decodes and Pillow resizes. Pillow, because its bilinear filter is the same to the bit on every platform, does not
wrap round at borders, and is antialiased: when shrinking it averages over the pixels that an output pixel covers.
(FFmpeg's own scaler differs between builds; TensorFlow's and OpenCV's bilinear skip pixels, and what flickers is then
taken for motion.) The paper says "bilinear resize" and no more: that it is antialiased is our reading.

Files are not trusted. They are taken for what their bytes are, whatever their names; a playlist, which could lead to other
files or addresses, is no video; pictures of absurd size are refused before memory is allotted. What a decoder in C does
beyond that is bounded by `raw.check` and by preparation, which decode in processes of their own (`decoder_process`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

# FFmpeg's names of containers. Those that refer to other files (HLS, DASH, concat, image sequences) are not among them.
FORMATS = "mov,matroska,avi,gif,flv,mpeg,mpegts,mpegvideo,ogg,asf"
MAX_PIXELS = 8192 * 4320  # the largest film format; FFmpeg itself would allot 16,000 x 16,000
MAX_ASPECT = 16  # the longer side over the shorter; resized to a short side of 128, a line of 8192 x 2 is 200 MB a frame
MORE_SECONDS = 2  # a clip that was cut out without encoding it again is a little longer than it should be
MAX_IDLE_PACKETS = 1000  # packets in a row without a picture; decoders hold back a few dozen


_ERRORS = (av.FFmpegError, OSError, ValueError, MemoryError, OverflowError)  # what a damaged file may cause


class DataError(Exception):
    """A data set that cannot be used; the message says what is wrong, where, and what would be right."""


class VideoError(Exception):
    """A video file that cannot be used; the message is the reason."""


class VideoFacts(NamedTuple):
    """What a file, or the part of it that counts, holds.

    Attributes:
      frames: how many there are, by decoding them.
      height: in pixels, upright.
      width: in pixels, upright.
      fps: frames a second, on average; 0.0 where the file does not say.
      corrupt: how many of the frames the decoder patched up.
    """

    frames: int
    height: int
    width: int
    fps: float
    corrupt: int


def resized_size(height: int, width: int, resolution: int) -> tuple[int, int]:
    """(height, width) with the smaller one mapped to `resolution` and the aspect ratio kept to the nearest pixel."""
    short = min(height, width)
    return tuple(max(resolution, (2 * side * resolution + short) // (2 * short)) for side in (height, width))


def resize_short_side(frame: np.ndarray, resolution: int) -> np.ndarray:
    """Antialiased bilinear resize of one frame, uint8 [H, W, 3] -> uint8 [H', W', 3] with min(H', W') = resolution."""
    height, width = resized_size(*frame.shape[:2], resolution)
    if frame.shape[:2] == (height, width):
        return frame
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))


def crop_square(video: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """A square of the short side: uint8 [T, H, W, 3] -> [T, S, S, 3], centred, or at random along the longer side."""
    height, width = video.shape[1:3]
    short = min(height, width)
    spare = max(height, width) - short
    start = spare // 2 if rng is None else int(rng.integers(spare + 1))
    return video[:, start : start + short] if height > width else video[:, :, start : start + short]


def window_span(num_frames: int, stride: int) -> int:
    """How many frames of a video a clip of every stride-th frame reaches over."""
    return (num_frames - 1) * stride + 1


def window_start(total: int, num_frames: int, stride: int, rng: np.random.Generator | None = None) -> int:
    """First frame of a window of a video of `total` frames: the middle window, or a random one."""
    spare = total - window_span(num_frames, stride)
    if spare < 0:
        raise VideoError(f"too short: {total} frames of the {window_span(num_frames, stride)} needed")
    return spare // 2 if rng is None else int(rng.integers(spare + 1))


def _open(video: str | os.PathLike | bytes) -> av.container.InputContainer:
    pixels = {"max_pixels": str(MAX_PIXELS)}
    limits = {"format_whitelist": FORMATS, "protocol_whitelist": "file", **pixels}
    if isinstance(video, bytes):
        container = av.open(io.BytesIO(video), options=limits)
    elif os.path.isfile(video):
        # "file:", or a name with a colon in it is taken for an address.
        container = av.open(f"file:{os.fspath(video)}", options=limits)
    else:  # a pipe or a device could keep us waiting for ever
        raise FileNotFoundError(video)
    for stream in container.streams.video:
        if stream.codec_context is None:
            raise VideoError("a codec that is not known here")
        stream.codec_context.thread_count = 1  # the loader's threads share the cores already
        stream.codec_context.options = pixels  # the options above hold only for the decoder that looks at the first frames
    return container


def _part(container: av.container.InputContainer, seconds: tuple[float, float] | None) -> tuple[float, float] | None:
    """The part that counts if it is a part: None if the file is no longer than that, being the part itself."""
    if seconds is None:
        return None
    if not container.duration:
        raise VideoError("its length is not known, so seconds cannot be picked from it")
    start, stop = seconds
    duration = container.duration / av.time_base
    if duration <= stop - start + MORE_SECONDS:
        return None
    if duration < stop - 0.5:
        raise VideoError(
            f"{duration:.1f} s long: neither the {stop - start:g} s clip nor a video with second {stop:g} in it"
        )
    return start, stop


def is_whole(path: str | os.PathLike, length: float) -> bool:
    """Whether a file is a longer video than a clip of `length` seconds; VideoError if it cannot be opened or told."""
    try:
        with _open(path) as container:
            return _part(container, (0.0, length)) is not None
    except _ERRORS as error:
        raise VideoError(f"unreadable after 0 frames ({type(error).__name__})") from error


def _timed(
    container: av.container.InputContainer, part: tuple[float, float] | None, seek: bool
) -> Iterator[tuple[float, av.VideoFrame]]:
    """(seconds since the file's start, frame), from the key frame before the part on, to the part's end."""
    stream = container.streams.video[0]
    origin = container.start_time / av.time_base if container.start_time is not None else 0.0
    rate = float(stream.average_rate or 0) or 25.0
    count = idle = 0
    if seek:
        container.seek(int((part[0] + origin) / stream.time_base), stream=stream)
    for packet in container.demux(stream):
        idle += 1
        for frame in packet.decode():
            # Without a clock, counting tells the time, but only from the first frame on.
            counted = float("inf") if seek else count / rate
            time = counted if frame.time is None else frame.time - origin
            if part and time >= part[1] - 1e-6:
                return
            if max(frame.width, frame.height) > MAX_ASPECT * min(frame.width, frame.height):
                raise VideoError(f"a picture of {frame.width}x{frame.height} pixels, longer than {MAX_ASPECT} to 1")
            yield time, frame
            count += 1
            idle = 0
        if idle > MAX_IDLE_PACKETS:
            raise VideoError(f"no picture in {MAX_IDLE_PACKETS} packets after {count} frames")


def _decoded(
    video: str | os.PathLike | bytes,
    seconds: tuple[float, float] | None = None,
    exactly: tuple[float, float] | None = None,
) -> Iterator[tuple[float, av.VideoFrame]]:
    """(time, frame) as the decoder leaves them; VideoError where it cannot go on.

    The times are seconds from the beginning of the file. With `seconds`, only that part of a file that is longer; with
    `exactly`, that part.
    """
    count = 0
    try:
        for seek in (True, False):
            with _open(video) as container:
                if not container.streams.video:
                    raise VideoError("no video in it")
                part = exactly or _part(container, seconds)
                seek = seek and part is not None and part[0] > 0
                for time, frame in _timed(container, part, seek):
                    if part and time < part[0] - 1e-6:
                        seek = False  # the key frame lies before the part, as it must
                        continue
                    if seek and time > part[0] + 1e-6:
                        break  # landed too late, or just at the part's first frame: only the way from the start tells
                    seek = False
                    yield time, frame
                    count += 1
            if not seek:
                return
    except _ERRORS as error:
        raise VideoError(f"unreadable after {count} frames ({type(error).__name__})") from error


def _upright_rgb(frame: av.VideoFrame) -> np.ndarray:
    """uint8 [H, W, 3]. A phone held upright stores a lying picture and the angle to turn it by, anticlockwise."""
    try:
        rgb = frame.to_ndarray(format="rgb24")
        return np.rot90(rgb, round(frame.rotation / 90)) if frame.rotation else rgb
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise VideoError(f"its pictures ({frame.format.name}) cannot be made RGB ({type(error).__name__})") from error


def read_frames(
    video: str | os.PathLike | bytes,
    resolution: int,
    start: int = 0,
    stop: int | None = None,
    step: int = 1,
    seconds: tuple[float, float] | None = None,
    rate: float | None = None,
) -> np.ndarray:
    """Decodes frames start, start + step, ... before `stop`, each resized to the short side as soon as it is there.

    Frames are counted from the file's first, decoding everything before (seeking is not exact in all formats), but only
    wanted frames are converted to RGB, one at a time, so no more than one frame is ever held in full size.

    Args:
      video: the file, or its bytes.
      resolution: of the short side.
      start: the first frame's number.
      stop: one more than the last one's can be; None for the end.
      step: of every how many frames one is taken.
      seconds: (from, to): only that part of a longer file counts, and its first frame is number 0.
      rate: says that frame i is shown at second i / rate exactly, as in what `decoder_process.encode` writes; then
        decoding begins at the key frame before `start`.

    Returns:
      uint8 [T, H, W, 3] with min(H, W) = resolution. VideoError if the file ends before the last of a finite range.
    """
    frames = []
    wanted = None if stop is None else len(range(start, stop, step))
    window = (start / rate, float("inf") if stop is None else stop / rate) if rate else None
    for i, (_, frame) in enumerate(_decoded(video, seconds, window), start if rate else 0):
        if wanted is not None and len(frames) == wanted:
            break
        if i >= start and (i - start) % step == 0:
            frames.append(resize_short_side(np.ascontiguousarray(_upright_rgb(frame)), resolution))
            if frames[-1].shape != frames[0].shape:
                raise VideoError("the picture's size changes within the video")
    if not frames or (wanted is not None and len(frames) < wanted):
        raise VideoError(f"ended after {len(frames)} of the {wanted or 'many'} frames asked for")
    return np.stack(frames)


def probe(
    path: str | os.PathLike,
    seconds: tuple[float, float] | None = None,
    visit: Callable[[np.ndarray], None] | None = None,
) -> VideoFacts:
    """Decodes the whole file, or its part `seconds`; VideoError if that is unreadable or has been cut off.

    `visit` is called with each frame in turn, uint8 [H, W, 3].

    A cut-off file decodes without complaint in some formats: then its header promises more than there is. The header's
    number of frames, or where it has none its duration, is a little off in good files, hence the tolerance. In MP4 and
    MOV either may be off by far: frames before the point that a cut chose are counted and not shown, and frames
    may be shown for long. There, a file is whole that keeps one of the two.
    """
    count, corrupt, last, size, first = 0, 0, 0.0, None, None
    for time, frame in _decoded(path, seconds):
        if size is None:
            size, first = (frame.width, frame.height), _upright_rgb(frame).shape
        elif (frame.width, frame.height) != size:
            raise VideoError("the picture's size changes within the video")
        if visit:
            visit(_upright_rgb(frame))
        count, corrupt, last = count + 1, corrupt + frame.is_corrupt, time
    if count == 0:
        raise VideoError("no frames in it")
    with _open(path) as container:
        stream = container.streams.video[0]
        part = _part(container, seconds)
        rate = float(stream.average_rate or 0)
        own = float(stream.duration * stream.time_base) if stream.duration else 0.0  # the pictures', without the sound's
        promised, duration = stream.frames, own or (container.duration or 0) / av.time_base
        tells_both, is_gif = "mov" in container.format.name, container.format.name == "gif"
    if part:
        promised, duration, last = 0, part[1] - part[0], last - part[0]
    few = count < 0.9 * promised - 2
    early = bool(duration and rate) and last + 1 / rate < 0.9 * duration - 2 / rate
    if (few and (early or not tells_both)) or (early and not promised):
        raise VideoError(f"truncated: {count} of {promised or round(duration * rate)} frames")
    if is_gif:  # promises nothing, but ends in a semicolon
        with open(path, "rb") as file:
            file.seek(-min(16, os.path.getsize(path)), os.SEEK_END)
            if not file.read().rstrip(b"\0\r\n").endswith(b";"):
                raise VideoError(f"truncated after {count} frames")
    return VideoFacts(count, first[0], first[1], round(rate, 3), corrupt)
