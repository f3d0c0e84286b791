"""UCF-101's raw files: 13,320 clips of 101 classes, 320x240, and the official lists of which are for training.

Soomro, Zamir, Shah: UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild, 2012; https://www.crcv.ucf.edu.
A clip is `ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi`: the class, one of 25 groups (one source, so much alike), the clip
of the group. Each of the three official splits keeps about seven groups of every class for testing.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path, PurePosixPath

from dvdgan_lib.data.raw import RawSplit, RawVideo, video_files
from dvdgan_lib.data.video import DataError

SIZES = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}  # official split: videos for training, for testing
LISTS = "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip"
ARCHIVE = "https://www.crcv.ucf.edu/data/UCF101/UCF101.rar"
_LIST_BYTES = 10_000_000  # a list has at most 600 kB; what is larger inside a zip is not one
_ARCHIVES = (".rar", ".zip")

logger = logging.getLogger(__name__)


def _list_lines(lists: Path, name: str) -> list[tuple[int, str]]:
    """(line number, line) of a list's lines that are not empty, from a folder or from the official zip."""
    expected = f"expected the folder or zip of the official lists ({LISTS}), with {name} in it"
    try:
        if lists.is_dir():
            nested = lists / "ucfTrainTestlist" / name  # how the zip unpacks
            data = (lists / name if (lists / name).is_file() else nested).read_bytes()
        else:
            with zipfile.ZipFile(lists) as archive:
                members = [m for m in archive.infolist() if PurePosixPath(m.filename).name == name]
                members = [m for m in members if not m.filename.startswith("__MACOSX")]
                if len(members) != 1 or members[0].file_size > _LIST_BYTES:
                    raise DataError(f"{lists} does not hold one small {name}: {expected}.")
                data = archive.read(members[0])
        text = data.decode("utf-8-sig")
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{name} cannot be read from {lists} ({error}): {expected}.") from error
    return [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]


def class_names(lists: str | os.PathLike) -> tuple[str, ...]:
    """The classes in the order of classInd.txt; labels count from 0 where that file counts from 1."""
    names = []
    for i, line in _list_lines(Path(lists), "classInd.txt"):
        number, _, name = line.partition(" ")
        if number != str(len(names) + 1) or not re.fullmatch(r"\w+", name) or name in names:
            raise DataError(f"classInd.txt, line {i}: {line!r} is not `{len(names) + 1} ClassName`, as it should be.")
        names.append(name)
    if not names:
        raise DataError(f"classInd.txt in {lists} is empty; it should list 101 classes.")
    return tuple(names)


def listed(lists: str | os.PathLike, fold: int = 1) -> dict[str, dict[str, int]]:
    """{"train": {stem of the file: label}, "test": ...} of one of the three official splits."""
    if fold not in SIZES:
        raise ValueError(f"UCF-101 has the official splits 1, 2 and 3, not {fold!r}.")
    names = class_names(lists)
    found: dict[str, dict[str, int]] = {"train": {}, "test": {}}
    for (split, entries), official in zip(found.items(), SIZES[fold], strict=True):
        name = f"{split}list{fold:02}.txt"
        for i, line in _list_lines(Path(lists), name):
            # Training lists end in the class's number, test lists do not; neither has blanks in a name.
            match = re.fullmatch(r"(\w+)/(v_\w+)\.avi(?: +(\d+))?", line)
            if not match or match[1] not in names or (match[3] and int(match[3]) != names.index(match[1]) + 1):
                raise DataError(f"{name}, line {i}: {line!r} is not `Class/v_Class_g01_c01.avi NUMBER` of classInd.txt.")
            if any(match[2] in other for other in found.values()):
                raise DataError(f"{name}, line {i}: {match[2]} is listed a second time; it belongs to train or test, once.")
            entries[match[2]] = names.index(match[1])
        if len(entries) != official:
            logger.warning("%s in %s lists %d videos; the official one lists %d", name, lists, len(entries), official)
    return found


def find(folder: str | os.PathLike, lists: str | os.PathLike, split: str = "train", fold: int = 1) -> RawSplit:
    """The clips of a split.

    Args:
      folder: the unpacked archive: `v_*.avi` in class folders or all in one. Re-encoded copies (`v_*.mp4`) do as well.
      lists: the folder or the zip of the official lists.
      split: "train", "test" or "all" (both: all 13,320, whatever the fold).
      fold: which of the three official splits.

    Returns:
      Sorted by class and name; the keys are the names without ".avi". Listed and missing files, files in no list, and
      second copies are in `skipped`. DataError if there is no video of the split at all.
    """
    if split not in ("train", "test", "all"):
        raise ValueError(f"UCF-101 has no split {split!r}: there are train, test, all.")
    folder = Path(folder)
    layout = f"expected {folder}/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi and so on, unpacked from {ARCHIVE}"
    if folder.is_file() and folder.suffix.lower() in _ARCHIVES:
        raise DataError(f"{folder} is the archive: unpack it first, with ucf101.extract(archive, folder) or by hand.")
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: {layout}.")
    names, both = class_names(lists), listed(lists, fold)
    wanted = both["train"] | both["test"] if split == "all" else both[split]
    files, refused = video_files(folder)
    skipped = list(refused)
    known = {stem.casefold() for entries in both.values() for stem in entries}
    at: dict[str, Path] = {}
    # .avi before others. Names are compared without case: HandstandPushups holds v_HandStandPushups_g01_c01.avi, and
    # some copies put that right.
    for path in sorted(files, key=lambda path: (path.suffix.lower() != ".avi", path)):
        stem = path.stem.casefold()
        if stem not in known:
            skipped.append((os.fspath(path), "in no list of this data set"))
        elif at.setdefault(stem, path) != path:
            skipped.append((os.fspath(path), f"a second copy: {at[stem]} is taken"))
    order = sorted(wanted.items(), key=lambda item: (item[1], item[0]))
    videos = tuple(RawVideo(stem, label, at[stem.casefold()]) for stem, label in order if stem.casefold() in at)
    skipped += [(f"{stem}.avi", "listed, but there is no such file") for stem, _ in order if stem.casefold() not in at]
    if not videos:
        raise DataError(f"None of the {len(order):,} videos of UCF-101's {split} split is in {folder}: {layout}.")
    return RawSplit(f"UCF-101 {split} (split {fold})", names, videos, tuple(skipped))


def _unsafe(name: str) -> bool:
    """Whether an archive's member would land outside the folder that the archive is unpacked into."""
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or bool(re.match(r"[A-Za-z]:", name))


def _run(command: list[str], archive: Path) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="surrogateescape")
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["nothing"]
        raise DataError(
            f"{archive} cannot be unpacked: `{command[0]}` ended with code {done.returncode} and said {said[0]!r}. A "
            "download that broke off is the usual reason: fetch it again."
        )
    return done.stdout


def _unpacker(archive: Path, target: Path) -> tuple[list[str], list[str]]:
    """Commands of a program found on this system that list the archive's members and unpack it."""
    a, t = os.fspath(archive), os.fspath(target)
    for name, listing, unpacking in (
        ("bsdtar", ["-tf", a], ["-xf", a, "-C", t]),  # refuses to write through links, so it comes first
        ("unrar", ["lb", "-p-", a], ["x", "-o-", "-p-", "-inul", a, t + os.sep]),
        *((seven, ["l", "-ba", "-slt", "-p", a], ["x", "-y", "-p", f"-o{t}", a]) for seven in ("7zz", "7z", "7za")),
    ):
        if program := shutil.which(name):
            return [program, *listing], [program, *unpacking]
    raise DataError(
        f"{archive} is a RAR archive, and there is none of bsdtar, unrar, 7zz, 7z on this system. Install one (Debian and "
        f"Ubuntu: `apt install libarchive-tools`; macOS has bsdtar), or unpack it elsewhere and copy its UCF-101 here."
    )


def extract(archive: str | os.PathLike, folder: str | os.PathLike) -> Path:
    """Unpacks UCF101.rar, or a zip of the same folders, into `folder`; DataError if anything in it points outside.

    What is unpacked appears in `folder` only when all of it is there, so a call that broke off can be made again.
    """
    archive, folder = Path(archive).resolve(), Path(folder)
    if not archive.is_file():
        raise DataError(f"There is no archive {archive}: fetch {ARCHIVE} and put it there.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty: name a new folder to unpack {archive.name} into.")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a call that broke off
    try:
        partial.mkdir(parents=True)
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                _refuse_unsafe(archive, zipped.namelist())
                zipped.extractall(partial)  # writes links as plain files
        else:
            listing, unpacking = _unpacker(archive, partial)
            lines = _run(listing, archive).splitlines()
            if "-slt" in listing:  # 7-Zip lists properties, a line each
                lines = [line.removeprefix("Path = ") for line in lines if line.startswith("Path = ")]
            _refuse_unsafe(archive, lines)
            _run(unpacking, archive)
        for place, folders, files in os.walk(partial):
            for path in (os.path.join(place, name) for name in folders + files):
                if os.path.islink(path):
                    raise DataError(f"{archive} holds a link, {path}; UCF-101's archive has none: fetch it again.")
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{archive} cannot be unpacked into {folder}: {error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _refuse_unsafe(archive: Path, members: list[str]) -> None:
    unsafe = [name for name in members if _unsafe(name)]
    if unsafe:
        raise DataError(
            f"{archive} is not unpacked: {len(unsafe)} of its members point outside the folder, {unsafe[0]!r} for one. "
            f"UCF-101's do not; fetch the archive again from {ARCHIVE}."
        )
