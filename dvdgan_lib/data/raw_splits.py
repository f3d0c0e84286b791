"""Which raw files make up the splits of each data set: the one place that knows how each is laid out on a disk."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from dvdgan_lib.data import bair, kinetics, ucf101, video_folder
from dvdgan_lib.data.fetch import fetch
from dvdgan_lib.data.raw import RawSplit
from dvdgan_lib.data.video import DataError

NAMES = ("ucf101", "kinetics600", "bair", "folder")


def _ucf101(folder: Path, lists: Path) -> dict[str, RawSplit]:
    if folder.is_file():
        unpacked = folder.with_name(f"{folder.stem}_videos")
        folder = unpacked if unpacked.is_dir() else ucf101.extract(folder, unpacked)
    return {split: ucf101.find(folder, lists, split) for split in ("train", "test")}


def _kinetics600(folder: Path, lists: Path) -> dict[str, RawSplit]:
    if not lists.is_dir():
        raise DataError(
            f"{lists} is no folder: name the one that holds the official lists, train.csv and val.csv, and test.csv if you "
            f"have it ({kinetics.ANNOTATIONS})."
        )
    # The official files are called train.txt and val.txt, kinetics600_train.csv and the like, and are CSVs all the same.
    found = {
        split: sorted(p for p in lists.iterdir() if split in p.stem.lower() and p.suffix.lower() in (".csv", ".txt"))
        for split in ("train", "val", "test")
    }
    if unclear := [split for split, files in found.items() if len(files) > 1]:
        raise DataError(f"{lists} holds several lists of the split {unclear[0]}: keep one with {unclear[0]!r} in its name.")
    if not found["train"]:
        raise DataError(f"{lists} holds no list of the training clips, train.csv: get it from {kinetics.ANNOTATIONS}.")
    classes = kinetics.class_names(found["train"][0])
    splits = {}
    for split, files in found.items():
        # Copies keep splits in folders of their own, or everything in one.
        own = next((folder / name for name in kinetics.SPLITS[split] if (folder / name).is_dir()), folder)
        if files:
            splits[split] = kinetics.find(own, files[0], split, classes)
    return splits


def find(
    name: str, folder: str | os.PathLike, lists: str | os.PathLike = "", limit: int | None = None
) -> dict[str, RawSplit]:
    """The splits of a data set, for `preparation.prepare`.

    Args:
      name: "ucf101", "kinetics600", "bair", or "folder" for your own, one subfolder a class.
      folder: the raw files: see `ucf101.find`, `kinetics.find`, `bair.find` and `video_folder.find`. For UCF-101 also the
        archive, which is unpacked beside itself; for BAIR also the tar file, which is read as it is; Kinetics-600 may
        have folders train, val and test.
      lists: UCF-101's official lists (a folder or the zip); for Kinetics-600 the folder of train.csv and val.csv.
      limit: take only the first so many clips of each class and split, to try it, or for a laptop.

    Returns:
      "train", and "test" or "val", by name.

    Raises:
      DataError: something is missing; the sentence says what to fetch, from whom, and where to put it.
    """
    folder, lists_path = Path(folder), Path(lists)
    if name not in NAMES:
        raise DataError(f"There is no raw data set {name!r}: there are {', '.join(NAMES)}.")
    if name in ("ucf101", "kinetics600") and not os.fspath(lists):
        where = {"ucf101": ucf101.LISTS, "kinetics600": kinetics.ANNOTATIONS}[name]
        raise DataError(f"{name} needs its official lists, which say what each video shows: fetch {where}, and name them.")
    if name == "ucf101":
        splits = _ucf101(folder, lists_path)
    elif name == "kinetics600":
        splits = _kinetics600(folder, lists_path)
    elif name == "bair":
        splits = {split: bair.find(folder, split) for split in ("train", "test")}
    else:
        splits = {split: video_folder.find(folder, split) for split in ("train", "test")}
        splits = {split: raw for split, raw in splits.items() if raw.videos}
    return splits if limit is None else {split: _first(raw, limit) for split, raw in splits.items()}


def _first(raw: RawSplit, limit: int) -> RawSplit:
    if limit < 1:
        raise ValueError(f"At least 1 clip of each class is needed, not {limit}.")
    taken: dict[int, int] = {}
    videos = []
    for video in raw.videos:
        taken[video.label] = taken.get(video.label, 0) + 1
        if taken[video.label] <= limit:
            videos.append(video)
    return dataclasses.replace(raw, name=f"{raw.name}, the first {limit} clips of each class", videos=tuple(videos))


def download(name: str, folder: str | os.PathLike) -> tuple[Path, Path]:
    """Fetches what can be fetched of a data set: (raw files, lists) for `find`.

    FetchError says what must be fetched by hand, from whom, and where to put it.
    """
    folder = Path(folder)
    if name == "ucf101":
        return fetch("ucf101_zip", folder), fetch("ucf101_lists", folder)
    if name == "bair":
        return fetch("bair", folder), Path()
    if name == "kinetics600":
        lists = folder / "lists"
        lists.mkdir(parents=True, exist_ok=True)
        for split in ("train", "val"):
            fetch(f"kinetics600_{split}_csv", lists)
        raw = folder / "kinetics600"
        return (raw, lists) if raw.is_dir() else (fetch("kinetics600", folder), lists)
    raise DataError(f"{name!r} is nothing to download: there are ucf101, kinetics600 and bair.")
