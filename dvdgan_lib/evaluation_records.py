"""Records of measurements: which weights they are of, where they lie, and when one may stand for a new measurement."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from etils import epath

from dvdgan_lib import baselines as anchors
from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.provenance import git_commit
from dvdgan_lib.trained_generator import TrainedGenerator


def checksum(generator: TrainedGenerator) -> str:
    """SHA-256 of the file that a generator was read from."""
    return hashlib.sha256(epath.Path(generator.path).read_bytes()).hexdigest()


def measured_on(generator: TrainedGenerator) -> dict[str, Any]:
    """What every record of measurements begins with: the model, its weights' checksum, the clips' size, our commit."""
    m, (commit, dirty) = generator.experiment.model, git_commit()
    return {
        "experiment": generator.experiment.name,
        "preset": generator.experiment.preset,
        "clip": [m.clip_frames, m.resolution, m.resolution],
        "model": generator.card | {"file": epath.Path(generator.path).name, "sha256": checksum(generator)},
        "commit": commit + ("-dirty" if dirty else ""),
    }


def described(result: Any) -> dict[str, Any]:
    """A result's fields, and what it prints as "text": how a record keeps it."""
    return dataclasses.asdict(result) | {"text": str(result)}


def source_of(record: dict[str, Any], measured_now: bool) -> str:
    """For captions: where numbers come from, a measurement made just now or the record of an earlier one."""
    return (
        "Measured in this run."
        if measured_now
        else f"Numbers: the record of commit {record['commit'][:7]}, not measured anew."
    )


def find_record(
    name: str,
    generator: TrainedGenerator,
    folders: Sequence[epath.PathLike],
    *,
    seed: int | None = None,
    num_clips: int = 0,
    sigmas: Sequence[float] = (),
) -> dict[str, Any] | None:
    """The first record that was measured on these very weights, and as asked.

    Args:
      name: NAME.json is looked for.
      generator: the model.
      folders: where, in this order (`trained_models.record_folders`).
      seed: of the samples; None takes any.
      num_clips: how many samples; 0 takes any number.
      sigmas: of truncation's points, in any order; none takes any.

    Returns:
      The record, None if there is none.
    """
    sha256 = checksum(generator)
    for folder in folders:
        file = epath.Path(folder) / f"{name}.json"
        if not file.exists() or (record := load_evaluation(file))["model"].get("sha256") != sha256:
            continue
        if seed not in (None, record["seed"]) or num_clips not in (0, record["num_clips"]):
            continue
        if not sigmas or sorted(sigmas) == sorted(point["sigma"] for point in record["points"]):
            return record
    return None


def with_baselines_of(earlier: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """A record with the baselines that another has of real clips: these are the same whatever model is measured.

    Not the untrained generator's, which is the model's own. "baselines_of" names the commit that measured them.

    Raises:
      ValueError: that other record is of other clips, or of another number of them; one sentence.
    """
    if differs := [key for key in ("clip", "num_clips", "data") if earlier[key] != result[key]]:
        said = "; ".join(f"{key} {earlier[key]} there, {result[key]} here" for key in differs)
        raise ValueError(f"Baselines can't be taken from a record of other clips ({said}): measure them.")
    names = [name for name in anchors.BASELINES if name in earlier and name not in result and name != "untrained"]
    taken = {name: earlier[name] for name in names}
    by_number = {name: earlier["by_number"][name] for name in names} | result["by_number"]
    return result | taken | {"by_number": by_number, "baselines_of": earlier.get("baselines_of", earlier["commit"])}


def save_evaluation(result: dict[str, Any], path: epath.PathLike) -> None:
    """As JSON."""
    write_atomically(path, json.dumps(result, indent=1))


def load_evaluation(path: epath.PathLike) -> dict[str, Any]:
    """What `save_evaluation` wrote."""
    return json.loads(epath.Path(path).read_text())
