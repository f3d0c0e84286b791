"""The raw files of a data set: what is there, what is missing and why, and whether each can be decoded.

`ucf101.find`, `kinetics.find` and `bair.find` say which files make up a split; `check` decodes them all once. Nothing is
left out silently: what a data set lists and a disk lacks, what a disk holds and no list names, and what a decoder refuses
are all in `RawSplit.skipped`, with the reason.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm.auto import tqdm

from dvdgan_lib.data import decoder_process
from dvdgan_lib.data.video import VideoFacts

EXTENSIONS = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".flv", ".3gp", ".gif")  # the first is preferred
SECONDS_A_FILE = 60.0
BYTES_A_FILE = 2 << 30

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawVideo:
    """A clip as the data set knows it.

    Attributes:
      key: unique in the split, and the same on every machine: what the data set itself calls the clip.
      label: index into the split's class names.
      path: the file.
      start: where the clip begins, in seconds of a file that may be a longer video (see `video.read_frames`); None
        where the file is the clip.
      stop: where it ends.
    """

    key: str
    label: int
    path: Path
    start: float | None = None
    stop: float | None = None

    @property
    def seconds(self) -> tuple[float, float] | None:
        """(start, stop) for `video.read_frames` and `video.probe`."""
        return None if self.start is None else (self.start, self.stop)


@dataclass(frozen=True)
class RawSplit:
    """The clips of a split, in an order that does not depend on the disk.

    Attributes:
      name: for reports, such as "UCF-101 train (split 1)".
      class_names: a label is an index into them.
      videos: RawVideo, or for BAIR `bair.Trajectory`.
      skipped: (file, row or key, reason) of everything that was left out.
    """

    name: str
    class_names: tuple[str, ...]
    videos: tuple
    skipped: tuple[tuple[str, str], ...] = ()

    def summary(self, examples: int = 3) -> str:
        """A few lines: how many clips and classes, and how many were left out for which reason, with examples."""
        classes = len({video.label for video in self.videos})
        lines = [f"{self.name}: {len(self.videos):,} clips of {classes} of {len(self.class_names)} classes"]
        # Reasons with numbers in them ("truncated: 12 of 40 frames") are alike up to the colon.
        kind = [(what, reason.split(":")[0]) for what, reason in self.skipped]
        for reason, count in Counter(reason for _, reason in kind).most_common():
            named = [what for what, other in kind if other == reason][:examples]
            lines.append(f"  {count:,} left out, {reason}: {', '.join(named)}{', ...' if count > len(named) else ''}")
        return "\n".join(lines)


def video_files(folder: str | os.PathLike) -> tuple[list[Path], list[tuple[str, str]]]:
    """All video files below a folder, and (path, reason) of what looks like one and is none; both sorted by path.

    Links are followed, each folder is visited once however many links lead to it (or round in circles); hidden files and
    folders are passed over.
    """
    files, refused, seen, left = [], [], set(), [os.fspath(folder)]
    while left:
        current = left.pop()
        try:
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError as error:
            refused.append((current, f"cannot be listed: {error.strerror}"))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # a link that leads to itself
                is_folder = is_file = False
            if is_folder:
                left.append(entry.path)
            elif entry.name.lower().endswith(EXTENSIONS):
                if is_file:
                    files.append(Path(entry.path))
                else:
                    refused.append((entry.path, "not a file: a broken link, or a pipe or device"))
    return sorted(files), sorted(refused)


class Decoder:
    """A process that decodes one file at a time, and that a file may hang or crash without harm to others.

    Not `multiprocessing`: its workers start the notebook's or script's main module again, or are forks of a process that
    runs JAX's threads. And decoder_process.py is run as a file, not as a module: importing its package would load JAX.
    """

    def __init__(self, seconds: float = SECONDS_A_FILE, memory: int = BYTES_A_FILE):
        """How long a file may take, and how many bytes, where the system can hold to that (Linux)."""
        self.seconds, self.memory, self.process = seconds, memory, None
        self.lock = threading.Lock()

    def _start(self) -> None:
        command = [sys.executable, "-P", decoder_process.__file__, str(self.memory)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"The process that decodes does not start; to see why, run: {' '.join(command)}")

    def __call__(self, video: RawVideo, encoding: tuple[int, int] | None = None) -> tuple[VideoFacts, bytes] | str:
        """What `video.probe` says of the file, or why it is of no use.

        Args:
          video: the file.
          encoding: (short side, CRF), to get the video too as `decoder_process.encode` writes it; otherwise b"".
        """
        if self.process is None:
            self._start()
        process, late = self.process, threading.Event()

        def stop():
            late.set()
            process.kill()

        timer = threading.Timer(self.seconds, stop)
        timer.start()
        try:
            process.stdin.write(json.dumps([os.fspath(video.path), video.seconds, encoding]).encode() + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if answer.endswith(b"\n"):
                answer = json.loads(answer)
                if isinstance(answer, str):
                    return answer
                *facts, size = answer
                data = process.stdout.read(size)
                if len(data) == size:
                    return VideoFacts(*facts), data
        except BrokenPipeError:
            pass
        finally:
            timer.cancel()
        self.close()
        if late.is_set():
            return f"too slow: not decoded within {self.seconds:g} s"
        return f"the decoder crashed: exit code {process.returncode}"

    def close(self) -> None:
        """Ends the process."""
        with self.lock:
            if self.process is not None:
                self.process.kill()
                self.process.wait()
                self.process.stdin.detach().close()  # without writing what is left to a process that is gone
                self.process.stdout.close()
                self.process = None


def run_in_each(decoders: Sequence[Decoder], work: Callable[[Decoder, threading.Event], None]) -> None:
    """Runs `work(decoder, stopped)` in a thread for each decoder, and closes them all.

    Where one raises, or this thread is interrupted, `stopped` is set and the decoders are closed at once: nobody waits for
    what is being decoded.
    """
    stopped = threading.Event()

    def guarded(decoder: Decoder) -> None:
        try:
            work(decoder, stopped)
        except BaseException:
            stopped.set()  # the others would go on to the end
            raise

    try:
        with ThreadPoolExecutor(len(decoders)) as pool:
            tasks = [pool.submit(guarded, decoder) for decoder in decoders]
            try:
                for task in tasks:
                    task.result()
            except BaseException:
                stopped.set()
                for decoder in decoders:
                    decoder.close()
                raise
    finally:
        for decoder in decoders:
            decoder.close()


def probe_all(
    videos: Sequence[RawVideo],
    *,
    seconds: float = SECONDS_A_FILE,
    memory: int = BYTES_A_FILE,
    workers: int | None = None,
) -> list[VideoFacts | str]:
    """Decodes every video once: what is in it, or why it is of no use, in the videos' order.

    Args:
      videos: the clips.
      seconds: how long one may take.
      memory: how many bytes one may take, where the system can hold to that (Linux).
      workers: how many are decoded at a time, each in a process of its own; None takes one a core.
    """
    found: list[VideoFacts | str] = [""] * len(videos)
    decoders = [Decoder(seconds, memory) for _ in range(min(workers or os.cpu_count() or 1, max(len(videos), 1)))]
    left: Iterator[int] = iter(range(len(videos)))  # shared: a thread takes the next when it has done one
    bar = tqdm(total=len(videos), desc="checking videos", unit="video", disable=len(videos) < 50, leave=False)

    def work(decoder: Decoder, stopped: threading.Event) -> None:
        for index in left:
            if stopped.is_set():
                return
            answer = decoder(videos[index])
            found[index] = answer if isinstance(answer, str) else answer[0]
            bar.update()

    with bar:
        run_in_each(decoders, work)
    return found


def check(split: RawSplit, **limits) -> tuple[RawSplit, tuple[VideoFacts, ...]]:
    """The split without the videos that cannot be decoded, and what is in each of the others.

    Args:
      split: of `ucf101.find` or `kinetics.find`.
      **limits: as for `probe_all`.
    """
    found = probe_all(split.videos, **limits)
    pairs = list(zip(split.videos, found, strict=True))
    bad = tuple((os.fspath(video.path), answer) for video, answer in pairs if isinstance(answer, str))
    if bad:
        logger.warning("%s: %d of %d videos cannot be used", split.name, len(bad), len(pairs))
    good = [(video, answer) for video, answer in pairs if not isinstance(answer, str)]
    usable = replace(split, videos=tuple(video for video, _ in good), skipped=split.skipped + bad)
    return usable, tuple(facts for _, facts in good)
