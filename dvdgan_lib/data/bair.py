"""BAIR robot pushing's raw files: TFRecords of 30 frames of 64x64, read without TensorFlow.

Ebert, Finn, Lee, Levine: Self-Supervised Visual Planning with Temporal Skip Connections, 2017. The archive
`bair_robot_pushing_dataset_v0.tar` (32 GB; `fetch.py`) holds `softmotion30_44k/{train,test}/traj_*.tfrecords`. It is read
unpacked or as it is: a tar file stores its members whole, one after the other.

A TFRecord file is, for each record (tensorflow/core/lib/io/record_writer.h):

    uint64 length, uint32 masked CRC-32C of the length, the bytes, uint32 masked CRC-32C of the bytes    (little-endian)

and the bytes are a `tf.train.SequenceExample` whose context maps "0/image_main/encoded" to the raw pixels of frame 0, and
so on. Protocol buffers are few rules, so `protocol_buffers` is all that it takes.
"""

from __future__ import annotations

import os
import re
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dvdgan_lib.data.raw import RawSplit
from dvdgan_lib.data.video import DataError, VideoError
from dvdgan_lib.protocol_buffers import fields, masked_crc

FRAMES = 30
SHAPE = (64, 64, 3)
SIZES = {"train": 43264, "test": 256}
_FOLDER = "softmotion30_44k"
_RECORD_BYTES = 1 << 26  # a record has about 0.75 MB; a longer one is a damaged length that passed its check by chance


@dataclass(frozen=True)
class Trajectory:
    """One video, where it is: `size` bytes from `offset` on in a file.

    Attributes:
      key: such as "train/traj_0_to_255.tfrecords:17", the file and the record's number in it.
      path: the TFRecord file, or the tar file that it is in.
      offset: of the record's bytes, after their length.
      size: how many bytes.
      label: always 0; the data set has one class.
    """

    key: str
    path: Path
    offset: int
    size: int
    label: int = 0


def _records(file, end: int) -> Iterator[tuple[int, int]]:
    """(offset, size) of each record up to byte `end`; VideoError, with the byte, where the chain of lengths breaks."""
    while (at := file.tell()) < end:
        head = file.read(min(12, end - at))
        if len(head) < 12:
            raise VideoError(f"cut off at byte {at}: {len(head)} bytes where a record's head takes 12")
        size, check = struct.unpack("<QI", head)
        if masked_crc(head[:8]) != check:
            raise VideoError(f"damaged at byte {at}: the record's length does not match its checksum")
        if size > _RECORD_BYTES or at + 12 + size + 4 > end:
            raise VideoError(f"cut off at byte {at}: a record of {size} bytes is announced, {end - at - 12} are left")
        yield at + 12, size
        file.seek(at + 12 + size + 4)


def _members(path: Path, split: str) -> tuple[list[tuple[str, Path, int, int]], list[tuple[str, str]]]:
    """(name, path, offset, end) of the split's TFRecord files, in a folder or a tar file, and what could not be listed."""
    expected = f"expected {_FOLDER}/{split}/traj_*.tfrecords of bair_robot_pushing_dataset_v0.tar, unpacked or not"
    found, refused = [], []
    if path.is_dir():
        for folder in (path / _FOLDER / split, path / split):
            for file in sorted(folder.glob("*.tfrecords")):
                if file.is_file():
                    found.append((f"{split}/{file.name}", file, 0, file.stat().st_size))
                else:
                    refused.append((os.fspath(file), "not a file: a broken link, or a pipe or device"))
            if found:
                break
    else:
        try:
            with tarfile.open(path, "r:") as archive:  # not compressed: positions in it are positions in the members
                total = path.stat().st_size
                try:
                    for member in archive:
                        parts = member.name.split("/")
                        if not (member.isreg() and parts[-2:-1] == [split] and parts[-1].endswith(".tfrecords")):
                            continue
                        end = min(member.offset_data + member.size, total)
                        found.append((f"{split}/{parts[-1]}", path, member.offset_data, end))
                        if member.issparse():
                            refused.append((f"{path}: {found.pop()[0]}", "stored as a sparse file; unpack the archive"))
                except tarfile.ReadError as error:  # what came before it is good
                    refused.append((os.fspath(path), f"the archive is cut off or damaged: {error}"))
        except (OSError, tarfile.TarError) as error:
            raise DataError(f"{path} cannot be read ({error}): {expected}.") from error
    if not found:
        raise DataError(f"There is no TFRecord of BAIR's {split} split in {path}: {expected}.")
    return sorted(found), refused


def find(path: str | os.PathLike, split: str = "train", *, verify: bool = False) -> RawSplit:
    """The videos of a split; reads only the records' lengths, so a disk's worth takes seconds.

    Args:
      path: the folder that holds `softmotion30_44k` (or that folder itself), or the tar file.
      split: "train" or "test".
      verify: read and check every video as well, which takes minutes.

    Returns:
      The videos are `Trajectory`s, for `read`. Where a file is damaged, what comes before is kept and `skipped` says
      from which byte on the rest is lost. DataError if there is no file of the split.
    """
    if split not in SIZES:
        raise ValueError(f"BAIR robot pushing has no split {split!r}: there are train, test.")
    found, skipped = _members(Path(path), split)
    videos: list[Trajectory] = []
    for name, file_path, start, end in found:
        before = len(videos)
        where = os.fspath(file_path) if start == 0 else f"{file_path}: {name}"
        try:
            with open(file_path, "rb") as file:
                file.seek(start)
                for offset, size in _records(file, end):
                    videos.append(Trajectory(f"{name}:{len(videos) - before}", file_path, offset, size))
        except (VideoError, OSError) as error:
            skipped.append((where, f"{error}; the {len(videos) - before} records before it are kept"))
        # traj_0_to_255.tfrecords holds 256.
        bounds = re.search(r"_(\d+)_to_(\d+)\.tfrecords$", name)
        promised = int(bounds[2]) - int(bounds[1]) + 1 if bounds else 0
        if len(videos) - before < promised and not (skipped and skipped[-1][0] == where):
            skipped.append((where, f"fewer records than its name says: {len(videos) - before} of {promised}"))
    if verify:
        good = []
        for video in videos:
            try:
                read(video)
                good.append(video)
            except VideoError as error:
                skipped.append((video.key, str(error)))
        videos = good
    if len(videos) < SIZES[split]:
        skipped.append((os.fspath(path), f"fewer videos than the data set has: {len(videos)} of {SIZES[split]}"))
    return RawSplit(f"BAIR robot pushing {split}", ("robot pushing",), tuple(videos), tuple(skipped))


def _parts(message: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """A message's fields that hold bytes or messages; numbers are of no use here, whatever a damaged record says."""
    return ((number, value) for number, value in fields(message) if not isinstance(value, int))


def parse(record: bytes, feature: str = "image_main/encoded") -> np.ndarray:
    """A `SequenceExample` (or `Example`: its features have the context's field number) -> uint8 [30, 64, 64, 3].

    VideoError if it is no such message, or lacks a frame, or a frame has another size.
    """
    frames: dict[bytes, bytes | memoryview] = {}
    try:
        for number, features in _parts(memoryview(record)):
            for _, entry in _parts(features) if number == 1 else ():  # 1: context, a map
                parts = dict(_parts(entry))  # 1: key, 2: Feature
                key = bytes(parts.get(1, b""))
                if key.endswith(f"/{feature}".encode()):
                    lists = dict(_parts(parts[2]))  # 1: BytesList
                    frames[key] = dict(_parts(lists[1]))[1]  # 1: value
    except (ValueError, IndexError, KeyError) as error:
        raise VideoError(f"not a SequenceExample of bytes: {error}") from error
    video = np.empty((FRAMES, *SHAPE), np.uint8)
    for i in range(FRAMES):
        pixels = frames.get(f"{i}/{feature}".encode())
        if pixels is None or len(pixels) != video[i].size:
            has = "is missing" if pixels is None else f"has {len(pixels)} bytes"
            raise VideoError(f"frame {i}/{feature} {has}; {video[i].size} bytes of raw pixels are expected")
        video[i] = np.frombuffer(pixels, np.uint8).reshape(SHAPE)
    return video


def read(video: Trajectory) -> np.ndarray:
    """The frames of one of `find`'s videos, uint8 [30, 64, 64, 3]; VideoError, with file and byte, if it is damaged."""
    where = f"{video.path}, byte {video.offset}"
    try:
        with open(video.path, "rb") as file:
            file.seek(video.offset)
            data = file.read(video.size + 4)
    except OSError as error:
        raise VideoError(f"{where}: {error.strerror}") from error
    if len(data) < video.size + 4:
        raise VideoError(f"{where}: the file ends within the record")
    record = data[: video.size]
    if masked_crc(record) != struct.unpack("<I", data[video.size :])[0]:
        raise VideoError(f"{where}: damaged, the record does not match its checksum")
    try:
        return parse(record)
    except VideoError as error:
        raise VideoError(f"{where}: {error}") from error
