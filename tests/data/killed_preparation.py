"""Prepares a data set, kills that again and again, and lets it finish; `test_preparation.py` runs this in a process.

    python killed_preparation.py FOLDER SEED

That process imports everything, which takes seconds; each preparation is a fork of it. FOLDER/raw holds the videos.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import made_videos

from dvdgan_lib.data import preparation, prepared_metadata, video_folder

# What is stored, and when a preparation of it is killed: as soon as there is such a file, or at random while it writes.
CASES = {
    "original": (
        {},
        [
            *(
                "preparation.json",
                "random",
                "random",
                "random",
                "shards/train-00002.json",
                "random",
                "random",
                "shards/metadata",
            ),
            *("index-train.npz", "features.json", "dataset_info.json"),
        ],
    ),
    "encoded": (
        {"short_side": 16},
        [
            *(
                "shards/lock",
                "random",
                "random",
                "random",
                "random",
                "videos-train.array_record-00003-*",
                "random",
                "random",
            ),
            *("index-*.npz", "report.json", "label.labels.txt"),
        ],
    ),
}


KILLS = 10


def begin(splits, folder: Path, settings: dict) -> int:
    if process := os.fork():
        return process
    try:
        preparation.prepare(splits, folder, shard_videos=2, workers=2, **settings)
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def end(process: int) -> bool:
    """Waits for its end; whether it was killed. An error in it is one here."""
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the preparation failed"
    return os.WIFSIGNALED(status)


def wait_for(process: int, folder: Path, pattern: str, count: int = 1) -> None:
    """Until there are so many files, or it has ended."""
    while len(list(folder.glob(pattern))) < count and not os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.0005)


def shards(folder: Path) -> dict[str, tuple[int, int]]:
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in folder.glob("*.array_record-*")}


def kill_and_finish(splits, root: Path, stored: str, draw: random.Random) -> dict:
    settings, moments = CASES[stored]
    reference, folder = root / f"{stored}_reference", root / stored
    end(begin(splits, reference, settings))
    kills, whole, left = 0, [], list(moments)
    while left or kills < KILLS:
        moment = left.pop(0) if left else "random"
        if (folder / "dataset_info.json").exists():  # it was faster than the kill: once more from the start
            shutil.rmtree(folder)
        before = shards(folder)
        process = begin(splits, folder, settings)
        if moment == "random":
            wait_for(process, folder, "shards/*.partial")
            wait_for(process, folder, "*.array_record-*", len(before) + draw.randrange(3))
            time.sleep(draw.uniform(0, 0.02))
        else:
            wait_for(process, folder, moment)
        os.kill(process, signal.SIGKILL)  # where it has ended it is still there to be waited for
        kills += end(process)
        assert before.items() <= shards(folder).items(), "a whole shard was made again"
        whole.append(len(shards(folder)))
    end(begin(splits, folder, settings))
    assert before.items() <= shards(folder).items(), "a whole shard was made again"
    assert made_videos.contents(folder) == made_videos.contents(reference), "it ended with other bytes"
    return {"kills": kills, "whole": whole}


def main(root: Path, seed: int) -> None:
    preparation.Decoder = made_videos.DecoderHere
    splits = {split: video_folder.find(root / "raw", split) for split in ("train", "test")}
    for stored in CASES:  # what TFDS imports only when it is wanted
        prepared_metadata.features(stored, ("a",))
    print(json.dumps({stored: kill_and_finish(splits, root, stored, random.Random(seed)) for stored in CASES}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
