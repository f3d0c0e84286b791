"""The process that decodes and encodes on behalf of `raw.Decoder`: what a damaged file does to a decoder in C stays in it.

It answers requests, a line of JSON each: [path, seconds, encoding], see `video.probe` and `encode`. The answer is a line
too: a reason why the file is of no use, or the facts and the number of bytes that follow.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import signal
import sys
from fractions import Fraction

import av
import numpy as np

if __package__:
    from dvdgan_lib.data import video as video_module
else:  # run as a file: importing the package would load JAX, which takes longer than most videos
    _spec = importlib.util.spec_from_file_location("video", os.path.join(os.path.dirname(__file__), "video.py"))
    video_module = importlib.util.module_from_spec(_spec)
    sys.modules["video"] = video_module  # where NamedTuple looks for its module
    _spec.loader.exec_module(video_module)

RATE = 25  # frames a second in what `encode` writes, whatever the video's own: frame i lies at second i / RATE
KEY_FRAMES = 12  # every so many frames one that decoding can begin with
CODEC = "libx264"
CRF = 14  # x264's constant rate factor: 0 is lossless, 51 the worst


def check_encoder() -> None:
    """DataError where PyAV was built without what `encode` needs."""
    try:
        av.Codec(CODEC, "w")
    except ValueError as error:  # UnknownCodecError is one
        raise video_module.DataError(
            f"PyAV's FFmpeg has no {CODEC}, so nothing can be encoded: install PyAV's own build (`pip install "
            "--force-reinstall av`), or give no short_side where files may be stored as they are."
        ) from error


def encode(
    path: str | os.PathLike, seconds: tuple[float, float] | None, short_side: int, crf: int = CRF
) -> tuple[video_module.VideoFacts, bytes]:
    """A video made small for training: the short side at most `short_side` pixels, H.264, for windows to be read out of.

    Colour has full resolution (4:4:4): after a video was halved, that is what its 4:2:0 held. No frame depends on a later
    one, and every KEY_FRAMES-th on none, so that a window is read by decoding little else; the entropy coding is the
    simple one (CAVLC): a tenth more bytes, a third less time to decode. One thread and algorithms that don't depend on
    the CPU: the bytes are the same every time. (Without the latter x264's weighted prediction came out otherwise in one
    of thirty encodings, by what was in memory before.)

    Args:
      path: the file.
      seconds: see `video.probe`.
      short_side: in pixels; smaller videos keep their size.
      crf: 0 to 51.

    Returns:
      What was in the file, and an MP4. VideoError as of `probe`, or where it can't be encoded.
    """
    buffer = io.BytesIO()
    container = av.open(buffer, "w", format="mp4")
    stream = None

    def add(frame: np.ndarray) -> None:
        nonlocal stream
        frame = video_module.resize_short_side(frame, min(short_side, *frame.shape[:2]))
        if stream is None:
            stream = container.add_stream(CODEC, rate=RATE)
            stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "yuv444p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, RATE)
            stream.thread_count = 1
            gop = {"g": KEY_FRAMES, "keyint_min": KEY_FRAMES, "sc_threshold": 0, "bf": 0}
            same = {"preset": "veryfast", "crf": str(crf), "x264-params": "cpu-independent=1:cabac=0"}
            stream.options = same | {k: str(v) for k, v in gop.items()}
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        container.mux(stream.encode(picture))

    try:
        facts = video_module.probe(path, seconds, add)
        container.mux(stream.encode())
        container.close()
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise video_module.VideoError(f"cannot be encoded ({type(error).__name__})") from error
    return facts, buffer.getvalue()


def serve() -> None:
    """Answers until there are no more requests.

    The first argument of the command is how many bytes of memory a file may take (where the system can hold to that).
    """
    for s in (signal.SIGINT, signal.SIGTERM):  # they reach whole groups: what died of them here would pass for a bad file
        signal.signal(s, signal.SIG_IGN)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
    except (ImportError, ValueError, OSError):
        pass  # no such limit here: the time limit remains
    out = sys.stdout.buffer
    out.write(b"ready\n")
    out.flush()
    for line in sys.stdin.buffer:
        path, seconds, encoding = json.loads(line)
        data = b""
        try:
            if encoding:
                facts, data = encode(path, seconds, *encoding)
            else:
                facts = video_module.probe(path, seconds)
            answer = [*facts, len(data)]
        except video_module.VideoError as error:
            answer = str(error)
        out.write(json.dumps(answer).encode() + b"\n" + data)
        out.flush()


if __name__ == "__main__":
    serve()
