"""What a run's folder says of the run: its configuration, the commits it was trained by, its metrics."""

from __future__ import annotations

import contextlib
import dataclasses
import json

from etils import epath

from dvdgan_lib import hosts
from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.checkpoints import CheckpointError
from dvdgan_lib.configuration import DataConfig, Experiment, ModelConfig, TrainingConfig
from dvdgan_lib.provenance import git_commit, versions


def check_configuration(folder: epath.Path, experiment: Experiment, replicas: int) -> tuple[list[str], int]:
    """Refuses to go on with another configuration than the run began with.

    Args:
      folder: the run's.
      experiment: what is to be trained now.
      replicas: how many streams `data.batches` is to mix, where the run begins.

    Returns:
      The commits that the run was trained by, this one the last; and the run's own number of replicas, which it keeps on any
      number of devices, so that its batches stay the same.

    Raises:
      CheckpointError: another configuration; one sentence that says what differs.
    """
    file = folder / "experiment.json"
    # These don't change what a step computes, nor which of its measurements compare: FID depends on the number of clips.
    free = ("steps", "checkpoint_minutes", "sample_every", "log_every", "evaluate_every", "export")
    now = dataclasses.asdict(experiment)
    commit, dirty = git_commit()
    commits = [commit + ("-dirty" if dirty else "")]
    if file.exists():
        before = json.loads(file.read_text())
        replicas = before.get("replicas", 1)  # the first records had no other
        commits = list(dict.fromkeys([*before["commits"], *commits]))
        flat = lambda e: {f"{part}.{k}": v for part in ("model", "data", "training") for k, v in e[part].items()}  # noqa: E731
        # What a field says that a record lacks was so before there was the field.
        defaults = {"model": ModelConfig(), "data": DataConfig(), "training": TrainingConfig()}
        unsaid = {part: dataclasses.asdict(config) for part, config in defaults.items()}
        old, new = flat(unsaid) | flat(before["experiment"]), json.loads(json.dumps(flat(now)))
        changed = [f"{k}: {old[k]} then, {v} now" for k, v in new.items() if old[k] != v and k.split(".")[1] not in free]
        if changed:
            raise CheckpointError(
                f"The run in {folder} began with another configuration ({'; '.join(changed)}): "
                "restore it, choose another workdir, or move that folder away."
            )
    return commits, replicas


def exported_steps(folder: epath.Path) -> int | None:
    """How many steps the run had when its model.safetensors was made, which going on leaves in place; None without one."""
    if not all((folder / name).exists() for name in ("model.safetensors", "experiment.json")):
        return None
    record = json.loads((folder / "experiment.json").read_text())
    return record.get("exported", record["steps"])  # the first records say only how many were asked for


def exported_choice(folder: epath.Path) -> str | None:
    """Which step model.safetensors was asked to be of (`TrainingConfig.export`), by its card; None without one."""
    if not (card := folder / "model.json").exists():
        return None
    return json.loads(card.read_text())["config"]["training"].get("export", TrainingConfig().export)  # cards older than it


def record_configuration(
    folder: epath.Path, experiment: Experiment, seed: int, commits: list[str], replicas: int, exported: int | None
) -> None:
    """Writes what is trained from now on into the run's experiment.json.

    commits and replicas by `check_configuration`; exported as of `exported_steps`.
    """
    record = {
        "seed": seed,
        "steps": experiment.training.steps,
        "commits": commits,
        "versions": versions(),
        "replicas": replicas,
        "exported": exported,
        "experiment": dataclasses.asdict(experiment),
    }
    if hosts.is_first():
        write_atomically(folder / "experiment.json", json.dumps(record, indent=1))


OF_FEW_CLIPS = "_of_few_clips"  # in metrics.jsonl, of what a run was measured at on its way (`best_model`)
TIMES = ("seconds_per_step", "samples_per_second", "hours_left")  # in metrics.jsonl, and different in each run


class MetricsLog:
    """metrics.jsonl and TensorBoard. Lines of steps after `start` (of a run that was killed later) are dropped.

    Only process 0 writes. In a bucket, whose objects can't be appended to, metrics.jsonl is written by `upload` alone: a
    line a time would be as many copies of the whole as it has lines.
    """

    def __init__(self, folder: epath.Path, start: int):
        """Opens both files of a run's folder, which may be in a bucket: there only metrics.jsonl is written."""
        self.file, self.writer = folder / "metrics.jsonl", None
        self.writes, self.start, self.lines = hosts.is_first(), start, []
        self.local = "://" not in str(folder)
        if not self.writes:
            return
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        for line in lines:
            with contextlib.suppress(ValueError):  # a line cut off by a kill
                if json.loads(line)["step"] <= start:
                    self.lines.append(line)
        self._write_all()

    def _write_all(self) -> None:
        write_atomically(self.file, "".join(line + "\n" for line in self.lines))

    def upload(self) -> None:
        """Puts all lines into the bucket, where the run is in one: before a checkpoint, which a run may go on from."""
        if self.writes and not self.local:
            self._write_all()

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """One line, and a point of each curve; on the disk when it returns, in a bucket by `upload`."""
        if not self.writes:
            return
        line = json.dumps({"step": step, **{k: round(v, 6) for k, v in metrics.items()}})
        if self.local:
            with open(self.file, "a") as opened:
                opened.write(line + "\n")
        self.lines.append(line)
        if not self.local:
            return
        if self.writer is None:
            from tensorboardX import SummaryWriter  # here: with its imports half a second before the first step

            self.writer = SummaryWriter(str(self.file.parent / "tensorboard"), purge_step=self.start + 1)
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def lacks(self, name: str) -> bool:
        """Whether the line of `start`, where the run goes on, is without that metric; only process 0 knows."""
        last = json.loads(self.lines[-1]) if self.writes and self.lines else {}
        return last.get("step") == self.start and name not in last

    def amend(self, metrics: dict[str, float]) -> None:
        """Adds to that line what it lacks."""
        if not self.writes:
            return
        last = json.loads(self.lines.pop())
        if self.local:
            self._write_all()
        self.write(last.pop("step"), last | metrics)
        self.upload()

    def close(self) -> None:
        """Writes what is left."""
        self.upload()
        if self.writer:
            self.writer.close()
