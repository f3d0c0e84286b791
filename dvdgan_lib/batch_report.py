"""What the batch says while it runs and when it fails, and how it stops: for the hooks at the end of `Snakefile`."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

from dvdgan_lib import experiments
from dvdgan_lib.batch import experiment_of
from dvdgan_lib.batch_plan import Step

# --- How far it is ---


def training_progress(folder: Path, step: Step, preset: str) -> tuple[int, int]:
    """The step that a training has reached and its number of steps, from the files it writes as it goes."""
    try:
        total = int(json.loads((folder / "experiment.json").read_text(encoding="utf-8"))["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        total = experiments.get(experiment_of(step.target), preset).training.steps
    try:
        with open(folder / "metrics.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, 2) - 65536))
            lines = file.read().splitlines()
    except OSError:
        return 0, total
    for line in reversed(lines):
        try:
            return min(int(json.loads(line)["step"]), total), total
        except (ValueError, KeyError, TypeError):  # a line that is being written
            continue
    return 0, total


def format_hours(hours: float) -> str:
    """A duration as a person says it."""
    minutes = max(1, round(hours * 60))
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def estimate(steps: Iterable[Step], home: str | Path, from_scratch: bool = False) -> str:
    """What a batch takes that trains, in words, before it starts; empty where nothing is trained.

    Args:
      steps: all that are due.
      home: the preset's folder under runs/: of a training that was stopped there only the rest counts.
      from_scratch: as the batch was asked.
    """
    steps, home = list(steps), Path(home)
    trainings = [step for step in steps if step.rule == "train"]
    if not trainings:
        return ""
    hours, begun = sum(step.hours for step in steps), []
    for step in trainings:
        reached, total = training_progress(home / step.target, step, home.name)
        if reached:
            hours -= step.hours * reached / total
            begun.append(f"{step.target} (step {reached:,} of {total:,})")
    trained = len([file for file in home.glob("*/model.safetensors") if not file.parent.name.startswith("classifier_")])
    hardware = experiments.get(experiment_of(trainings[0].target), home.name).cost.hardware
    lists = f"make plan PRESET={home.name}" + " FROM_SCRATCH=1" * from_scratch
    return (
        f"Before it starts: {len(steps)} steps are due, {len(trainings)} of them trainings. Estimated: "
        f"{format_hours(hours)} on {hardware}, {sum(step.gigabytes for step in steps):.1f} GB. "
        f"In {home}/ already: models {trained}, begun {', '.join(begun) or 'none'}.\n"
        f"It may be stopped at any time, and goes on from there by the same command. `{lists}` lists the steps."
    )


class Progress(threading.Thread):
    """Prints how far the batch is: when a step begins, and every so often: steps done, what runs, time left.

    The time left is the sum of the estimated costs, except that a training that is under way is timed by its own pace.

    Args:
      states: gives each of the batch's steps as done, running or waiting.
      home: the preset's folder under runs/.
      every: seconds between two lines.
      write: takes a line.
    """

    def __init__(
        self,
        states: Callable[[], Iterable[tuple[Step, str]]],
        home: str | Path,
        every: float = 30.0,
        write: Callable[[str], Any] = lambda line: print(line, file=sys.stderr, flush=True),
    ):
        """See the class."""
        super().__init__(daemon=True, name="progress")
        self.states, self.home, self.every, self.write = states, Path(home), every, write
        self.first_seen: dict[Step, tuple[float, int]] = {}

    def run(self) -> None:
        """Prints until the process ends."""
        printed, before = 0.0, None
        while True:
            try:
                states = list(self.states())
            except RuntimeError:  # Snakemake changed its books while we read them
                states = []
            running = {step for step, state in states if state == "running"}
            if running and (running != before or time.time() - printed >= self.every):
                printed, before = time.time(), running
                self.write(self.line(printed, states))
            time.sleep(1.0)

    def line(self, now: float, states: Iterable[tuple[Step, str]]) -> str:
        """The line for this moment."""
        running, hours, done = [], 0.0, []
        for step, state in states:
            done.append(state == "done")
            if state != "done":
                left, note = self._left(step, now, state == "running")
                hours += left
                if state == "running":
                    running.append(f"{step.rule} {step.target}{note}")
        count = f"{sum(done)} of {len(done)} steps done"
        parts = [count, "now " + ", ".join(running), f"about {format_hours(hours)} left"]
        return f"[{time.strftime('%H:%M:%S', time.localtime(now))}] {'; '.join(parts)}"

    def _left(self, step: Step, now: float, running: bool) -> tuple[float, str]:
        """Hours that the step still takes, and how far it is."""
        at, total, note = 0, 1, ""
        if step.rule == "train":
            at, total = training_progress(self.home / step.target, step, self.home.name)
            note = f": step {at:,} of {total:,}"
        if not running:
            return step.hours * (1 - at / total), note
        since, first = self.first_seen.setdefault(step, (now, at))
        if at > first:
            return (total - at) * (now - since) / (at - first) / 3600, note
        # What takes longer than estimated is taken to be nearly done.
        return max(step.hours * (1 - at / total) - (now - since) / 3600, 0.1 * step.hours), note


# --- How it stops ---


def stop_on_signals() -> None:
    """Makes SIGTERM and Ctrl-C end the batch's jobs, and the batch as soon as they have ended.

    Left alone, Snakemake answers SIGTERM by waiting until its jobs are finished: a training may take hours. The jobs
    get SIGTERM instead, once; a training then saves a checkpoint and ends. KeyboardInterrupt takes Snakemake through
    its own way out, which waits for local jobs and cancels those on a cluster.
    """
    stopping = False

    def stop(_signal: int, _frame: Any) -> None:
        nonlocal stopping
        if stopping:
            print("Still stopping: waiting for the jobs to save their state.", file=sys.stderr, flush=True)
            return
        stopping = True
        print(
            "\nStopping: a training saves its state first. The same command goes on from there.",
            file=sys.stderr,
            flush=True,
        )
        for child in psutil.Process().children():
            child.terminate()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


# --- Why it failed ---


def notebook_error(path: str | Path) -> str | None:
    """Where and why an executed notebook failed, or None if it says nothing about a failure."""
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return None
    number = 0
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        # Cells that papermill added are not in the notebook that one opens to mend it.
        if {"papermill-error-cell-tag", "injected-parameters"} & set(cell.get("metadata", {}).get("tags", [])):
            continue
        number += 1
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                first = next((line for line in "".join(cell["source"]).splitlines() if line.strip()), "")
                return f"code cell {number} ({first.strip()[:80]})\n    {output['ename']}: {output['evalue']}"
    return None


def last_lines(path: str | Path, count: int = 3) -> list[str]:
    """The end of a text log."""
    try:
        lines = [line for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return ["(there is none)"]
    return [line[-300:] for line in lines[-count:]] or ["(it is empty)"]


def failures(jobs: list[tuple[str, list[str]]]) -> str:
    """The batch's last words: which jobs failed, and for each notebook the cell and the error.

    Args:
      jobs: a name and the log files of each failed job.
    """
    if not jobs:
        return "\nThe batch was stopped before it was done; the same command goes on from there."
    lines = [f"\n{len(jobs)} of the batch's steps failed; the others were done as far as they could be:"]
    for name, logs in jobs:
        notebooks = [log for log in logs if log.endswith(".ipynb")]
        texts = [log for log in logs if not log.endswith(".ipynb")]
        error = next(filter(None, map(notebook_error, notebooks)), None)
        if error:
            lines += [f"- {name}: {error}", f"    executed notebook: {notebooks[0]}"]
        else:
            for text in texts:
                lines += [f"- {name}: the end of its log, {text}:", *(f"    {line}" for line in last_lines(text))]
    return "\n".join([*lines, "Mend it and run the same command again: what is done stays done."])
