"""Downloads of the raw data sets that can be had without asking: resumed where they broke off, checked, then put in place.

    fetch("bair", "data/raw")  ->  data/raw/bair_robot_pushing_dataset_v0.tar

A file that is being fetched is called NAME.partial; it gets its name when its size and hash are right, so a file that has
its name is whole. Where no program may or can fetch, the error says what to get, from whom, and where to put it.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from dvdgan_lib.data.video import DataError

ATTEMPTS = 5  # in a row without a new byte
WAIT = 2.0  # seconds before the second attempt, twice that before the third, and so on
TIMEOUT = 60.0  # seconds without an answer
_CHUNK = 1 << 20


class FetchError(DataError):
    """A file that cannot be fetched; the message says why and how to get it by hand."""


@dataclass(frozen=True)
class Source:
    """A file to fetch.

    Attributes:
      url: its address.
      size: in bytes, None where it is not known.
      sha256: hexadecimal, None where no one has published it.
      page: where a person finds it.
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    page: str = ""

    @property
    def file(self) -> str:
        """Its name."""
        return self.url.rsplit("/", 1)[1]


# Sizes and hashes: tensorflow/datasets, url_checksums. UCF101.rar has none; the zip of the same videos, which THUMOS'14
# distributed, has, and needs no program to unpack RAR.
_UCF = "https://www.crcv.ucf.edu/data/UCF101.php"
_KINETICS = "https://github.com/cvdfoundation/kinetics-dataset"
SOURCES = {
    "ucf101": Source("https://www.crcv.ucf.edu/data/UCF101/UCF101.rar", page=_UCF),
    "ucf101_zip": Source(
        "https://storage.googleapis.com/thumos14_files/UCF101_videos.zip",
        6960400115,
        "dabf56f573cd19c79e096563529fec8126a2a34e18e10c72eb621dd687532b0d",
        _UCF,
    ),
    "ucf101_lists": Source(
        "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip",
        113943,
        "5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27",
        _UCF,
    ),
    "bair": Source(
        "http://rail.eecs.berkeley.edu/datasets/bair_robot_pushing_dataset_v0.tar",
        32274964480,
        "c6f8d164ab2be07174ef597e3e070d7466f3142caddc467b6af119b9458cd9cd",
        "https://sites.google.com/view/sna-visual-mpc",
    ),
    "kinetics600_train_csv": Source("https://s3.amazonaws.com/kinetics/600/annotations/train.txt", page=_KINETICS),
    "kinetics600_val_csv": Source("https://s3.amazonaws.com/kinetics/600/annotations/val.txt", page=_KINETICS),
}
BY_HAND = {
    "kinetics600": (
        "Kinetics-600 is a list of YouTube addresses, and its videos are YouTube's users': no program here fetches "
        f"them. The Common Visual Data Foundation hosts the clips that survive ({_KINETICS}): "
        "https://s3.amazonaws.com/kinetics/600/train/k600_train_path.txt and .../val/k600_val_path.txt list the archives, "
        "some hundreds of GB. Fetch them (`wget -c -i k600_train_path.txt`), unpack into {folder}/kinetics600/train and "
        "{folder}/kinetics600/val, and give that folder to the preparation. The lists of rows can be fetched here: "
        "kinetics600_train_csv, kinetics600_val_csv."
    ),
}


def fetch(name: str, folder: str | os.PathLike) -> Path:
    """Fetches one of SOURCES into `folder`, or finds it there; the file's path. FetchError if that cannot be."""
    if name in BY_HAND:
        raise FetchError(BY_HAND[name].replace("{folder}", os.fspath(folder)))
    if name not in SOURCES:
        raise FetchError(f"There is nothing called {name!r} to fetch: there are {', '.join([*SOURCES, *BY_HAND])}.")
    return download(SOURCES[name], Path(folder) / SOURCES[name].file)


@contextmanager
def alone(path: Path, refusal: DataError) -> Iterator[None]:
    """Holds a lock file, or raises `refusal` if another process does; a lock ends with its process, however that ends."""
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refusal from error
        yield


def download(source: Source, path: Path) -> Path:
    """Fetches a file to `path`, going on where an earlier call broke off; FetchError if that cannot be.

    A file that is there already is taken if its size is right: it got its name after its hash had been compared.
    """
    by_hand = f"To do it by hand, fetch {source.url}{f' ({source.page})' if source.page else ''} and save it as {path}."
    if path.is_file():
        if source.size is not None and path.stat().st_size != source.size:
            raise FetchError(
                f"{path} has {path.stat().st_size:,} bytes where {source.url} has {source.size:,}: move it away, then "
                "call again."
            )
        return path
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        busy = FetchError(f"Another process is fetching {path}; wait for it, or end it.")
        with alone(path.with_name(path.name + ".lock"), busy):
            _transfer(source, partial, by_hand)
            _compare(source, partial, path, by_hand)
            os.replace(partial, path)
            _validator(partial).unlink(missing_ok=True)
    except OSError as error:
        raise FetchError(f"{path} cannot be written: {error.strerror or error}.") from error
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    return path


def _validator(partial: Path) -> Path:
    """Where the server's name for the version that was begun (its ETag or date) is kept."""
    return partial.with_name(partial.name + ".json")


def _transfer(source: Source, partial: Path, by_hand: str) -> None:
    """Appends to `partial` until it is complete."""
    failures = 0
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        if before == source.size:
            return
        try:
            if _append(source, partial, before):
                return
            why = "the connection ended early"
        except urllib.error.HTTPError as error:
            why = f"the server answers {error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 425, 429):
                raise FetchError(f"{source.url} cannot be fetched: {why}. {by_hand}") from error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise FetchError(
                    f"{source.url} is not fetched, because the server's certificate is not valid ({reason.verify_message}). "
                    f"Whether to trust it is for a person to decide. {by_hand}"
                ) from error
            why = f"no connection ({reason})"
        after = partial.stat().st_size if partial.exists() else 0
        failures = failures + 1 if after <= before else 0
        if failures >= ATTEMPTS:
            raise FetchError(
                f"{source.url} cannot be fetched: {why}, {failures} times in a row. {after:,} bytes are kept in {partial}, "
                f"and the same call goes on from there. {by_hand}"
            )
        time.sleep(WAIT * 2 ** max(failures - 1, 0) if failures else 0)


def _append(source: Source, partial: Path, have: int) -> bool:
    """One request for what is missing; whether the file is complete after it."""
    headers = {"User-Agent": "dvdgan-lib", "Accept-Encoding": "identity"}
    try:
        known = json.loads(_validator(partial).read_text())["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if have:
        headers["Range"] = f"bytes={have}-"
        if known:
            headers["If-Range"] = known  # of another version the server then sends all
    try:
        response = urllib.request.urlopen(urllib.request.Request(source.url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing after what is here: complete, or another file
            total = error.headers.get("Content-Range", "").rpartition("/")[2]
            if total == str(have):
                return True
            partial.unlink()
            return False
        raise
    with response:
        length = response.headers.get("Content-Length")
        if response.headers.get_content_type() == "text/html":
            raise FetchError(
                f"{source.url} answers with a web page where a file should be; has it moved? See {source.page}."
            )
        going_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status == 206 and not going_on:
            raise http.client.HTTPException(f"asked for byte {have} on, got {response.headers.get('Content-Range')}")
        have = have if going_on else 0
        total = have + int(length) if length and length.isdigit() else None
        if source.size is not None and total is not None and total != source.size:
            raise FetchError(f"{source.url} has {total:,} bytes now, not {source.size:,}: the file there is another one.")
        _need_space(source, partial, (total or source.size or 0) - have)
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if validator and not validator.startswith("W/"):  # a weak one does not promise the same bytes
            _validator(partial).write_text(json.dumps({"validator": validator}))
        bar = tqdm(total=total, initial=have, desc=source.file, unit="B", unit_scale=True, leave=False)
        with open(partial, "ab" if going_on else "wb") as file, bar:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            have = file.tell()
    return total is None or have == total


def _need_space(source: Source, partial: Path, missing: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    if missing > free:
        raise FetchError(
            f"{source.file} needs {missing / 1e9:,.1f} GB more, and {partial.parent} has {free / 1e9:,.1f} GB free: "
            "make room there or name another folder."
        )


def _compare(source: Source, partial: Path, path: Path, by_hand: str) -> None:
    """Size and hash of the complete file; one that is wrong is kept as NAME.wrong, out of the way."""
    size = partial.stat().st_size
    wrong = f"{size:,} bytes, not {source.size:,}" if source.size not in (None, size) else ""
    if not wrong and source.sha256 is not None:
        digest = hashlib.sha256()
        with open(partial, "rb") as file, tqdm(total=size, desc="sha256", unit="B", unit_scale=True, leave=False) as bar:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                bar.update(len(chunk))
        if digest.hexdigest() != source.sha256:
            wrong = f"sha256 {digest.hexdigest()}, not {source.sha256}"
    if wrong:
        aside = path.with_name(path.name + ".wrong")
        os.replace(partial, aside)
        _validator(partial).unlink(missing_ok=True)
        raise FetchError(
            f"What came from {source.url} is not the expected file ({wrong}); it is kept as {aside}, for a look. {by_hand}"
        )
