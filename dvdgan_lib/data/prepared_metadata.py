"""What makes shards a data set: the plan, the features of a record, the report, the index, TFDS's metadata."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.data import bair, decoder_process
from dvdgan_lib.data.raw import RawSplit
from dvdgan_lib.data.video import DataError

FORMAT = 1  # raised when what is stored changes
# Shards are called by this and not by the folder: TFDS takes only some names, and folders are renamed.
NAME = "videos"
FINISHED = "dataset_info.json"  # TFDS's; written last of all


@dataclass(frozen=True)
class Shard:
    """Some videos of a split, in one ArrayRecord file; it is shard `number` (from 0) of `of`."""

    split: str
    number: int
    of: int
    videos: tuple

    def file(self, folder: Path) -> Path:
        """TFDS's name for it."""
        return folder / f"{NAME}-{self.split}.array_record-{self.number:05}-of-{self.of:05}"

    def facts(self, folder: Path) -> Path:
        """What is in the shard, written before it."""
        return folder / "shards" / f"{self.split}-{self.number:05}.json"


def utf8(name: str) -> str:
    r"""A file's or folder's name as text that can be stored: a byte of it that is not UTF-8 becomes \udcff, say."""
    return name.encode(errors="backslashreplace").decode()


def stored_as(splits: Mapping[str, RawSplit], short_side: int | None) -> str:
    """ "frames" (raw pixels), "encoded" or "original": what is stored of a video."""
    if any(isinstance(video, bair.Trajectory) for raw in splits.values() for video in raw.videos[:1]):
        return "frames"
    return "original" if short_side is None else "encoded"


def make_plan(splits: Mapping[str, RawSplit], short_side: int | None, crf: int, shard_videos: int) -> dict:
    """Everything that decides what the result's bytes are, but the files' content."""

    def listing(raw: RawSplit) -> str:
        lines = [json.dumps([video.key, video.label, getattr(video, "seconds", None)]) for video in raw.videos]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    stored = stored_as(splits, short_side)
    encoded = {"short_side": short_side, "crf": crf, "rate": decoder_process.RATE} if stored == "encoded" else {}
    return {
        "format": FORMAT,
        "stored": stored,
        **encoded,
        "shard_videos": shard_videos,
        "class_names": [utf8(name) for name in next(iter(splits.values())).class_names],
        "splits": {
            split: {"name": utf8(raw.name), "videos": len(raw.videos), "listing": listing(raw)}
            for split, raw in splits.items()
        },
    }


def check_folder(folder: Path) -> None:
    """Refuses a folder that holds something else than a preparation; hidden files don't count."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: name a new folder.")
    names = {file.name for file in folder.iterdir() if not file.name.startswith(".")} if folder.exists() else set()
    if names - {"shards"} and "preparation.json" not in names:
        raise DataError(f"{folder} is not empty and no preparation of ours: name a new folder.")


def check_plan(folder: Path, plan: dict) -> None:
    """Refuses to go on with something else than was begun in a folder, once a shard is there; notes a new plan."""
    file = folder / "preparation.json"
    try:
        before = json.loads(file.read_text()) if file.exists() else None
    except ValueError as error:
        raise DataError(f"{file} is damaged ({error}): name a new folder.") from error
    if before == plan:
        return
    if before is None or not any(folder.glob("*.array_record-*")):
        write_atomically(file, json.dumps(plan, indent=1))
        return
    videos = lambda plan: ", ".join(f"{split} {facts['videos']}" for split, facts in plan["splits"].items())  # noqa: E731
    said = {
        "splits": f"other raw files or lists (videos: {videos(before)} then, {videos(plan)} now)",
        "class_names": "other classes",
    }
    changed = [
        said.get(key) or f"{key} {before.get(key)} instead of {plan.get(key)}"
        for key in sorted(before.keys() | plan.keys())
        if before.get(key) != plan.get(key)
    ]
    raise DataError(
        f"The preparation in {folder} was begun with {'; '.join(changed)}: go on as it was, or name a new folder."
    )


def features(stored: str, class_names: tuple[str, ...]):
    """The TFDS features of a record, see the module for `stored`."""
    import tensorflow_datasets as tfds  # takes seconds

    f = tfds.features
    if stored == "frames":  # as bytes: else a pixel is stored as a 64-bit integer, in up to two bytes
        video = f.Tensor(shape=(bair.FRAMES, *bair.SHAPE), dtype=np.uint8, encoding="bytes")
    else:  # tfds.features.Video needs TensorFlow: a file's bytes are a tensor of objects
        video = f.Tensor(shape=(), dtype=np.object_)
    return f.FeaturesDict(
        {
            "key": f.Text(),
            "label": f.ClassLabel(names=list(class_names)),
            "video": video,
            "frames": f.Scalar(np.int32),
            "fps": f.Scalar(np.float32),
        }
    )


def make_report(splits: Mapping[str, RawSplit], shards: Sequence[Shard], folder: Path, plan: dict) -> tuple[dict, dict]:
    """(the report, {split: columns of all records})."""
    report = {**{k: v for k, v in plan.items() if k not in ("class_names", "splits")}, "splits": {}}
    index = {}
    for split, raw in splits.items():
        own = [shard for shard in shards if shard.split == split]
        parts = [json.loads(shard.facts(folder).read_text()) for shard in own]
        columns = {key: np.array([x for part in parts for x in part[key]]) for key in ("label", "frames", "fps", "bytes")}
        index[split] = {"labels": columns["label"].astype(np.int32), "frames": columns["frames"].astype(np.int32)}
        counts = np.bincount(index[split]["labels"], minlength=len(raw.class_names))
        frames, fps = columns["frames"].astype(np.int64), columns["fps"].astype(float)
        skipped = [*raw.skipped, *(pair for part in parts for pair in part["skipped"])]
        report["splits"][split] = {
            "name": utf8(raw.name),
            "clips": int(counts.sum()),
            "clips_per_class": dict(zip(plan["class_names"], counts.tolist(), strict=True)),
            "frames": int(frames.sum()),
            "frames_per_clip": {"min": min(frames.tolist(), default=0), "max": max(frames.tolist(), default=0)},
            "seconds": round(float((frames[fps > 0] / fps[fps > 0]).sum()), 1),  # of clips that say their rate
            "bytes": int(columns["bytes"].astype(np.int64).sum()),
            "shard_lengths": [len(part["label"]) for part in parts],
            "shard_bytes": [shard.file(folder).stat().st_size for shard in own],
            "skipped": [[utf8(what), why] for what, why in skipped],
        }
    return report, index


def write_metadata(folder: Path, plan: dict, report: dict, index: dict) -> None:
    """Writes what makes the shards a data set: the index, the report, and TFDS's metadata last."""
    import tensorflow_datasets as tfds

    for split, arrays in index.items():
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_atomically(folder / f"index-{split}.npz", buffer.getvalue())
    write_atomically(folder / "report.json", json.dumps(report, indent=1))
    partial = folder / "shards" / "metadata"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    template = tfds.core.ShardedFileTemplate(data_dir=partial, dataset_name=NAME, filetype_suffix="array_record")
    infos = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=facts["shard_lengths"],
            num_bytes=facts["bytes"],
            filename_template=template.replace(split=split),
        )
        for split, facts in report["splits"].items()
    ]
    # Beside, then moved, dataset_info.json last: its presence says that the data set is finished.
    shards = {name for info in infos for name in info.filenames}
    for name in shards:
        (partial / name).touch()  # TFDS looks for them
    tfds.folder_dataset.write_metadata(
        data_dir=partial,
        features=features(plan["stored"], tuple(plan["class_names"])),
        split_infos=infos,
        filename_template=template,
        check_data=False,
        description="; ".join(facts["name"] for facts in report["splits"].values()),
    )
    written = sorted(file for file in partial.iterdir() if file.name not in shards)
    for file in sorted(written, key=lambda file: file.name == FINISHED):
        os.replace(file, folder / file.name)
    shutil.rmtree(folder / "shards", ignore_errors=True)


def summary(report: dict, examples: int = 3) -> str:
    """The report in a few lines for reading."""
    lines = []
    for split, facts in report["splits"].items():
        counts = facts["clips_per_class"].values()
        lines.append(
            f"{split}: {facts['clips']:,} clips of {sum(c > 0 for c in counts)} of {len(counts)} classes "
            f"({min(counts):,} to {max(counts):,} each), {facts['frames']:,} frames, {facts['seconds'] / 3600:.2f} h, "
            f"{facts['bytes'] / 1e6:,.1f} MB"
        )
        raw = RawSplit("", (), (), tuple(tuple(pair) for pair in facts["skipped"]))
        lines += raw.summary(examples).splitlines()[1:]
    return "\n".join(lines)
