"""From raw files to a data set that training reads: ArrayRecord files that TFDS knows, made once, in parallel, restartably.

    splits = {split: ucf101.find("UCF-101", "lists.zip", split) for split in ("train", "test")}
    preparation.prepare("ucf101", splits, "data/ucf101")

What is stored of a video depends on the data set, and loses nothing but where asked to:

    UCF-101, your own folder    the file's bytes as they are
    Kinetics-600                the clip encoded again at a short side of your choice (`decoder_process.encode`)
    BAIR robot pushing          the raw pixels, uint8 [30, 64, 64, 3]

Videos are taken in the order of their list, some to a shard. A shard appears under its name when it is whole, with a file
beside it that says what is in it, so that a killed preparation goes on with the shards that are missing, and ends with the
same bytes. `tfds.builder_from_directory(folder)` reads the result, and neither side needs TensorFlow.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.data import bair, decoder_process
from dvdgan_lib.data.fetch import alone
from dvdgan_lib.data.prepared_metadata import (
    FINISHED,
    Shard,
    check_folder,
    check_plan,
    features,
    make_plan,
    make_report,
    stored_as,
    utf8,
    write_metadata,
)
from dvdgan_lib.data.raw import Decoder, RawSplit, run_in_each
from dvdgan_lib.data.video import DataError, VideoError

SHARD_VIDEOS = 256
SAMPLE = 8  # videos that are encoded to estimate the size of all
SPARE = 0.1  # of the estimate, to be free beside it
_SHARD_OPTIONS = "group_size:1,uncompressed"  # one record is read at a time, and video doesn't shrink
_RECORD_BYTES = 2_000_000_000  # a protocol buffer ends at 2 GiB

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimate:
    """What preparation will need.

    Attributes:
      videos: how many are left to do.
      bytes: how many the data set will have on the disk in all.
      missing: of those, how many are not there yet.
      free: bytes on the disk.
    """

    videos: int
    bytes: int
    missing: int
    free: int

    def __str__(self) -> str:
        """For reading."""
        return (
            f"{self.videos:,} videos to do; {self.bytes / 1e9:.2f} GB in all, {self.missing / 1e9:.2f} GB of them still to "
            f"be written, {self.free / 1e9:.1f} GB free"
        )


def _shards(splits: Mapping[str, RawSplit], shard_videos: int) -> list[Shard]:
    shards = []
    for split, raw in splits.items():
        starts = range(0, len(raw.videos), shard_videos)
        shards += [Shard(split, i, len(starts), raw.videos[at : at + shard_videos]) for i, at in enumerate(starts)]
    return shards


def estimate(
    splits: Mapping[str, RawSplit],
    folder: str | os.PathLike,
    short_side: int | None = None,
    crf: int = decoder_process.CRF,
    shard_videos: int = SHARD_VIDEOS,
) -> Estimate:
    """How much space it takes: the files' sizes, or that of a few videos, encoded; arguments as for `prepare`."""
    folder = Path(folder)
    shards = _shards(splits, shard_videos)
    stored = stored_as(splits, short_side)
    left = [video for shard in shards if not shard.file(folder).exists() for video in shard.videos]
    done = sum(shard.file(folder).stat().st_size for shard in shards if shard.file(folder).exists())
    if stored == "frames":
        missing = len(left) * bair.FRAMES * int(np.prod(bair.SHAPE))
    elif stored == "original":
        missing = sum(video.path.stat().st_size for video in left if video.path.is_file())
    else:
        sample = [left[i] for i in np.linspace(0, len(left) - 1, min(SAMPLE, len(left))).astype(int)]
        decoder = Decoder()
        try:
            sizes = [len(answer[1]) for video in sample if not isinstance(answer := decoder(video, (short_side, crf)), str)]
        finally:
            decoder.close()
        missing = int(np.mean(sizes or [0]) * len(left))
    exists = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return Estimate(len(left), done + missing, missing, shutil.disk_usage(exists).free)


def _record(video, stored: str, encoding: tuple[int, int] | None, decoder: Decoder) -> dict | str:
    """A video's record, before TFDS makes bytes of it, or why there is none."""
    if stored == "frames":
        try:
            data = bair.read(video)
        except VideoError as error:
            return str(error)
        frames, fps = len(data), 0.0  # the data set does not say its rate
    else:
        answer = decoder(video, encoding)
        if isinstance(answer, str):
            return answer
        facts, data = answer
        frames, fps = facts.frames, facts.fps
        if stored == "original":
            try:
                with open(video.path, "rb") as file:
                    data = file.read(_RECORD_BYTES + 1)
            except OSError as error:
                return f"cannot be read: {error.strerror}"
        if len(data) > _RECORD_BYTES:
            return f"too large: a record holds {_RECORD_BYTES / 1e9:g} GB"
    return {"key": utf8(video.key), "label": video.label, "video": data, "frames": frames, "fps": fps}


def _write_shard(
    shard: Shard,
    folder: Path,
    stored: str,
    encoding: tuple[int, int] | None,
    described,
    decoder: Decoder,
    bar: tqdm,
    stopped: threading.Event,
) -> None:
    """Makes one shard; nothing of it is there if it is stopped."""
    from array_record.python import array_record_module

    file, facts = shard.file(folder), shard.facts(folder)
    partial = folder / "shards" / f"{file.name}.partial"
    kept, skipped = [], []
    writer = array_record_module.ArrayRecordWriter(os.fspath(partial), _SHARD_OPTIONS)
    try:
        for video in shard.videos:
            record = _record(video, stored, encoding, decoder)
            if isinstance(record, str) and "crashed" in record and not stopped.is_set():
                record = _record(video, stored, encoding, decoder)  # was it killed for want of memory, not by the file?
            if stopped.is_set():
                return
            if isinstance(record, str):
                skipped.append((video.key if stored == "frames" else os.fspath(video.path), record))
            else:
                writer.write(described.serialize_example(record))
                size = record["video"].nbytes if stored == "frames" else len(record["video"])
                kept.append({key: record[key] for key in ("label", "frames", "fps")} | {"bytes": size})
            bar.update()
    finally:
        try:
            writer.close()
        except RuntimeError as error:  # it says here what went wrong in writing, a full disk, say
            raise OSError(str(error)) from error
    if _num_records(partial) != len(kept):
        raise OSError(f"{partial} holds {_num_records(partial)} of {len(kept)} records")
    if skipped and not any(video.path.exists() for video in shard.videos):
        # Else a disk that goes away would leave a data set that is finished and has next to nothing in it.
        raise OSError(f"{shard.videos[0].path} and what was listed with it is gone: is its disk still there?")
    columns = {key: [row[key] for row in kept] for key in ("label", "frames", "fps", "bytes")}
    write_atomically(facts, json.dumps(columns | {"skipped": skipped}))
    for path in (facts, partial):
        with open(path, "rb+") as opened:
            os.fsync(opened.fileno())
    partial.rename(file)


def _num_records(file: Path) -> int:
    from array_record.python import array_record_module

    reader = array_record_module.ArrayRecordReader(os.fspath(file))
    try:
        return reader.num_records()
    finally:
        reader.close()


def _write_missing(shards: list[Shard], folder: Path, plan: dict, workers: int | None, seconds: float) -> None:
    stored = plan["stored"]
    encoding = (plan["short_side"], plan["crf"]) if stored == "encoded" else None
    described = features(stored, tuple(plan["class_names"]))
    missing = [shard for shard in shards if not shard.file(folder).exists()]
    total = sum(len(shard.videos) for shard in shards)
    bar = tqdm(
        total=total, initial=total - sum(len(s.videos) for s in missing), desc=folder.name, unit="video", disable=total < 50
    )
    decoders = [Decoder(seconds) for _ in range(min(workers or os.cpu_count() or 1, max(len(missing), 1)))]
    left = iter(missing)

    def work(decoder: Decoder, stopped: threading.Event) -> None:
        for shard in left:
            _write_shard(shard, folder, stored, encoding, described, decoder, bar, stopped)
            if stopped.is_set():
                return

    with bar:
        run_in_each(decoders, work)


def prepare(
    splits: Mapping[str, RawSplit],
    folder: str | os.PathLike,
    *,
    short_side: int | None = None,
    crf: int = decoder_process.CRF,
    shard_videos: int = SHARD_VIDEOS,
    workers: int | None = None,
    seconds: float = 60.0,
) -> dict:
    """Makes the data set, or goes on making it; where it is finished, only reads its report.

    Args:
      splits: name ("train", "test", "val") -> of `ucf101.find`, `kinetics.find`, `bair.find` or `video_folder.find`.
      folder: a new one on a local disk, or one where this preparation was begun.
      short_side: of what is stored, in pixels, for videos that are encoded again; None stores files as they are.
      crf: of that encoding, 0 (lossless) to 51.
      shard_videos: how many listed videos go to one shard.
      workers: how many shards are made at a time, each with a process that decodes; None takes one a core.
      seconds: how long decoding and encoding one video may take.

    Returns:
      The report (also in report.json): for each split clips, clips per class, frames, seconds, bytes, and what was left
      out with the reason.

    Raises:
      DataError: too little space, a folder of something else, or nothing usable; what is done is kept.
    """
    if re.match(r"\w{2,}:/", os.fspath(folder)):
        bucket = re.sub(r":/+", "://", os.fspath(folder), count=1)  # pathlib makes gs:/ of gs://
        raise DataError(
            f"{bucket} is not on a local disk: prepare on one, then copy the folder (`gcloud storage cp -r FOLDER "
            f"{bucket}`); training reads it there."
        )
    folder = Path(folder).absolute()
    if not splits or not all(raw.videos for raw in splits.values()):
        raise DataError(f"There is nothing to prepare in {', '.join(splits) or 'no split'}.")
    if len({raw.class_names for raw in splits.values()}) > 1:
        raise DataError("The splits differ in their classes; pass the same class names to each `find`.")
    plan = make_plan(splits, short_side, crf, shard_videos)
    parts = [raw.name for raw in splits.values() if any(getattr(v, "start", None) is not None for v in raw.videos)]
    if plan["stored"] == "original" and parts:
        raise DataError(f"{parts[0]} has clips that are parts of longer files, so they must be encoded: give a short_side.")
    if plan["stored"] == "encoded":
        if not (16 <= short_side <= 1080 and 0 <= crf <= 51):
            raise DataError(f"A short side of {short_side} pixels is not 16 to 1080, or a CRF of {crf} not 0 to 51.")
        decoder_process.check_encoder()
    check_folder(folder)
    try:
        return _prepare(splits, folder, plan, workers, seconds)
    except OSError as error:
        raise DataError(
            f"The preparation of {folder} stopped ({error}). The shards that are whole are kept: put that right, then start "
            "the same preparation again."
        ) from error


def _prepare(splits: Mapping[str, RawSplit], folder: Path, plan: dict, workers: int | None, seconds: float) -> dict:
    parts = folder / "shards"
    if (folder / FINISHED).exists():
        check_plan(folder, plan)
        shutil.rmtree(parts, ignore_errors=True)
        return json.loads((folder / "report.json").read_text())
    parts.mkdir(parents=True, exist_ok=True)
    with alone(parts / "lock", DataError(f"Another process prepares {folder}; wait for it, or end it.")):
        for partial in (*parts.glob("*.partial"), *folder.glob(".*.partial")):  # of a process that was killed
            partial.unlink()
        check_plan(folder, plan)
        needed = estimate(splits, folder, plan.get("short_side"), plan.get("crf", 0), plan["shard_videos"])
        logger.info("%s: %s", folder.name, needed)
        if needed.missing * (1 + SPARE) > needed.free:
            raise DataError(f"Too little space for {folder}: {needed}. Make room, or name a folder on another disk.")
        shards = _shards(splits, plan["shard_videos"])
        _write_missing(shards, folder, plan, workers, seconds)
        report, index = make_report(splits, shards, folder, plan)
        for split, facts in report["splits"].items():
            if not facts["clips"]:
                examples = "; ".join(": ".join(pair) for pair in facts["skipped"][:3])
                raise DataError(
                    f"No video of {split} can be used ({examples}); {folder} is left unfinished. Remove it when that is put "
                    "right, then prepare again."
                )
        write_metadata(folder, plan, report, index)
    return report
