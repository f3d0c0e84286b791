"""Kinetics-600's raw files: clips of ten seconds, 600 classes, and the official CSVs that say what each shows.

Carreira et al.: A Short Note about Kinetics-600, 2018. The data set is a list of YouTube addresses; videos are withdrawn
all the time ("Kinetics is occasionally pruned and so we cannot give an exact size", section 2.3), so a listed clip without
a file is the rule: the copies that survive hold about 383,000 clips for training and 28,000 for validation.

A clip's file is `ID_000010_000020.mp4` (its YouTube id, first and last second) or `ID.mp4`, in class folders or not. The
latter may be the clip or the whole video that it was to be cut from: `RawVideo.start` and `.stop` then hold the row's
seconds, and count where the file is longer than the clip.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dvdgan_lib.data.raw import RawSplit, RawVideo, video_files
from dvdgan_lib.data.video import DataError, VideoError, is_whole

NUM_CLASSES = 600
ANNOTATIONS = "https://s3.amazonaws.com/kinetics/600/annotations/{train,val}.txt"
# What the columns are called in the CSVs of DeepMind, of ActivityNet and of the copies that go round.
COLUMNS = {
    "label": ("label", "label_name", "class", "class_name", "action"),
    "id": ("youtube_id", "video_id", "youtube_video_id", "ytid", "id"),
    "start": ("time_start", "start", "start_time"),
    "stop": ("time_end", "end", "stop", "end_time"),
    "split": ("split", "subset"),
}
# "validate" was a column's value in the first release.
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validate", "validation"), "test": ("test", "testing")}
_ID = r"[A-Za-z0-9_-]{11}"
_NAME = rf"({_ID})(?:_(\d+)_(\d+))?"


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # Excel puts a byte order mark first
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); fetch {ANNOTATIONS} again.") from error
    except OSError as error:
        raise DataError(f"There is no list {path} ({error.strerror}): fetch {ANNOTATIONS} and put it there.") from error


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str] | None]]:
    """(line, {column: value}) of each row, columns by the names that COLUMNS has; None for a row that is broken."""
    # A stray quote would swallow the lines after it, and no field of these lists holds a line end: a line is a row.
    lines = _text(path).splitlines()

    def fields(line: str) -> list[str]:
        return [
            field.strip().strip("\"'").strip() for field in next(csv.reader(io.StringIO(line), skipinitialspace=True), [])
        ]

    header = [re.sub(r"[ -]", "_", name.lower()) for name in (fields(lines[0]) if lines else [])]
    place = {ours: header.index(name) for ours, names in COLUMNS.items() for name in names[::-1] if name in header}
    missing = [ours for ours in ("label", "id", "start", "stop") if ours not in place]
    if missing:
        names = "; ".join(" or ".join(COLUMNS[ours][:3]) for ours in missing)
        raise DataError(
            f"{path}, line 1: its columns are {', '.join(header) or 'none'}, and there is no {names}. The official list "
            f"begins `label,youtube_id,time_start,time_end,split`: {ANNOTATIONS}."
        )
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            values = fields(line)
        except csv.Error:
            values = []
        yield number, ({ours: values[i] for ours, i in place.items()} if len(values) == len(header) else None)


def _seconds(row: dict[str, str]) -> tuple[float, float] | None:
    try:
        start, stop = float(row["start"]), float(row["stop"])
    except ValueError:
        return None
    return (start, stop) if 0 <= start < stop < math.inf else None


def _plain(name: str) -> str:
    """A class name as a folder may spell it: "massaging person's head" is massaging_persons_head, say."""
    return re.sub(r"[\W_]+", "", name.casefold())


def class_names(*annotations: str | os.PathLike) -> tuple[str, ...]:
    """The classes of official lists, sorted by name: the order in which Kinetics' I3D has its logits.

    Not the order of first appearance, which may differ between the lists for training and for validation, nor that of
    the folders of a copy, which may lack a class.
    """
    return tuple(sorted(_label_counts(*annotations)))


def _label_counts(*annotations: str | os.PathLike) -> Counter:
    return Counter(row["label"] for path in annotations for _, row in _rows(Path(path)) if row and row["label"])


@dataclass(frozen=True)
class _Row:
    line: int
    id: str
    label: str
    seconds: tuple[float, float]

    @property
    def key(self) -> str:
        return f"{self.id}_{self.seconds[0]:06.0f}_{self.seconds[1]:06.0f}"


def _good_rows(path: Path, split: str, labels: dict[str, int]) -> tuple[list[_Row], set[str], list[tuple[str, str]]]:
    """The split's rows that are whole and new, the ids of all splits' rows, and (row, reason) of the others."""
    good: dict[str, _Row] = {}
    ids, skipped = set(), []
    for line, row in _rows(path):
        where = f"{path.name}, line {line}"
        if row is None:
            skipped.append((where, "a broken row: it has another number of columns than the first line"))
            continue
        ids.add(row["id"])
        if row.get("split", split).lower() not in SPLITS[split]:
            continue
        seconds = _seconds(row)
        if not re.fullmatch(_ID, row["id"]):
            skipped.append((where, f"no YouTube id: {row['id']!r}"))
        elif not row["label"]:
            skipped.append((where, "no label"))
        elif row["label"] not in labels:
            skipped.append((where, f"no such class: {row['label']!r}"))
        elif seconds is None:
            skipped.append((where, "no times, or none that a clip can have"))
        else:
            new = _Row(line, row["id"], row["label"], seconds)
            old = good.setdefault(new.key, new)
            if old is not new:
                kind = "a repeated row" if old.label == new.label else "a second label for one clip, the first is taken"
                skipped.append((where, f"{kind}: see line {old.line}"))
    return list(good.values()), ids, skipped


def _match(rows: list[_Row], files: list[Path]) -> tuple[dict[_Row, tuple[Path, bool]], str]:
    """Row -> (file, whether its name says that it is the clip), of one YouTube id; and why the others have none."""
    timed, untimed = {}, []
    for path in files:
        _, start, stop = re.fullmatch(_NAME, path.stem).groups()
        if start is None:
            untimed.append(path)
        else:
            timed.setdefault((int(start), int(stop)), path)
    matched = {row: (timed[span], True) for row in rows if (span := tuple(int(s) for s in row.seconds)) in timed}
    left = [row for row in rows if row not in matched]
    if not left or not untimed:
        return matched, "only files of other seconds of this video are there" if timed else "there is no such file"
    if len(left) > 1:
        # ID.mp4 with several rows: its class folder may tell, or that it is the whole video, which has them all in it.
        for row in left:
            own = [path for path in untimed if _plain(path.parent.name) == _plain(row.label)]
            matched |= {row: (own[0], False)} if own else {}
        left = [row for row in left if row not in matched]
        untimed = [path for path in untimed if path not in {file for file, _ in matched.values()}]
        try:
            whole = bool(left and untimed) and is_whole(untimed[0], max(row.seconds[1] - row.seconds[0] for row in left))
        except VideoError as error:
            return matched, str(error)
        if not whole and untimed:
            return matched, "ID.mp4 may be the clip of any of several rows: name it ID_START_END.mp4"
    matched |= {row: (untimed[0], False) for row in left if untimed}
    return matched, "there is no such file"


def find(
    folder: str | os.PathLike,
    annotations: str | os.PathLike,
    split: str = "train",
    classes: tuple[str, ...] | None = None,
) -> RawSplit:
    """The clips of a split.

    Args:
      folder: where the videos are, in class folders or not, at any depth.
      annotations: the official list, a CSV; of the split or of several.
      split: "train", "val" or "test"; rows of other splits are passed over, where there is a column for it.
      classes: the class names in the order of the labels; None takes the list's own, which must then be all 600.

    Returns:
      Sorted by class and key; a key is `ID_000010_000020`, whatever the file is called. Rows without a file, broken and
      repeated rows, and files in no row are in `skipped`. DataError if no clip of the split is there.
    """
    if split not in SPLITS:
        raise ValueError(f"Kinetics-600 has no split {split!r}: there are {', '.join(SPLITS)}.")
    folder, path = Path(folder), Path(annotations)
    layout = f"expected clips named ID_000010_000020.mp4 or ID.mp4 in {folder}, in class folders or not"
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: {layout}.")
    if classes is None:
        counts = _label_counts(path)
        classes = tuple(sorted(counts))
        if len(classes) != NUM_CLASSES:
            rarest = ", ".join(f"{name!r} ({count})" for name, count in counts.most_common()[:-4:-1])
            raise DataError(
                f"{path} names {len(classes)} classes, not {NUM_CLASSES}, and a label is a place among them all. Take the "
                f"official list, {ANNOTATIONS}, or pass classes=kinetics.class_names(it). Its rarest classes: {rarest}."
            )
    labels = {name: label for label, name in enumerate(classes)}
    rows, ids, skipped = _good_rows(path, split, labels)
    files, refused = video_files(folder)
    skipped += refused
    by_id, rows_by_id = defaultdict(list), defaultdict(list)
    for row in rows:
        rows_by_id[row.id].append(row)
    for file in files:
        name = re.fullmatch(_NAME, file.stem)
        if name and name[1] in ids:
            by_id[name[1]].append(file)
        else:
            skipped.append((os.fspath(file), "its id is in no row of the list" if name else "not named ID or ID_START_END"))
    videos = []
    for youtube_id, of_id in rows_by_id.items():
        matched, reason = _match(of_id, by_id[youtube_id])
        for row in of_id:
            if row in matched:
                file, is_clip = matched[row]
                videos.append(RawVideo(row.key, labels[row.label], file, *((None, None) if is_clip else row.seconds)))
            else:
                skipped.append((row.key, f"listed, but {reason}"))
        used = {file for file, _ in matched.values()}
        skipped += [(os.fspath(file), "not needed: no row asks for it") for file in by_id[youtube_id] if file not in used]
    if not videos:
        raise DataError(f"None of the {len(rows):,} clips that {path} lists for the {split} split is there: {layout}.")
    videos.sort(key=lambda video: (video.label, video.key))
    return RawSplit(f"Kinetics-600 {split}", classes, tuple(videos), tuple(skipped))
