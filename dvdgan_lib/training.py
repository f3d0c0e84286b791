"""Training: one function, and the plain process around it.

    python -m dvdgan_lib.training EXPERIMENT --preset laptop

Started again, it goes on from its last checkpoint. SIGTERM and Ctrl-C end it after the step under way, with a checkpoint
at that step and a non-zero exit.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from etils import epath
from tqdm.auto import tqdm

from dvdgan_lib import data, devices, experiments
from dvdgan_lib.checkpoints import CheckpointError, Checkpoints, TrainedGenerator, export
from dvdgan_lib.experiments import Experiment
from dvdgan_lib.layers import spectral_normalize
from dvdgan_lib.run_record import MetricsLog, check_configuration
from dvdgan_lib.sampling import draw, generate, standing_statistics
from dvdgan_lib.updates import State, Updates

log = logging.getLogger(__name__)


class TrainingDivergedError(RuntimeError):
    """A loss that is no longer a number."""


class InterruptedTrainingError(RuntimeError):
    """Training ended by a signal, after a checkpoint."""

    def __init__(self, message: str, signum: int):
        """signum: the signal; the process exits with 128 + signum."""
        super().__init__(message)
        self.signum = signum


def run_folder(experiment: Experiment, workdir: epath.PathLike, seed: int = 0) -> epath.Path:
    """Where a run keeps everything: WORKDIR/PRESET/EXPERIMENT, with -seedN where the seed is not 0."""
    return epath.Path(workdir) / experiment.preset / experiments.seeded_name(experiment, seed)


def load_source(experiment: Experiment, split: str = "train") -> data.VideoSource:
    """The experiment's data set; all its classes for prediction, which doesn't condition on any (B.4).

    `clips_per_class` limits what is trained on. The test split stays whole: it says what the model does elsewhere. On
    `colab` the stand-in takes the place of a data set that is not prepared, and that is said.
    """
    m, d = experiment.model, experiment.data
    name, stride, num_classes = d.name, d.stride, m.num_classes
    if experiment.preset == "colab" and not d.folder and name in data.PREPARED:
        where = data.prepared_folder(name)
        if not data.is_prepared(where):
            stand_in, num_classes = experiments.STAND_INS[name]
            log.warning("There is no prepared %s in %s: %s stands in for it.", name, where, stand_in)
            name, stride = stand_in, 1
    return data.load(
        "folder" if d.folder else name,
        split,
        num_frames=m.clip_frames,
        resolution=m.resolution,
        stride=stride,
        num_classes=None if d.folder or m.conditioning_frames else num_classes,
        data_dir=d.folder,
        clips_per_class=d.clips_per_class if split == "train" else None,
    )


def given_frames(experiment: Experiment, source: data.VideoSource, num: int) -> np.ndarray | None:
    """The first C frames of a data set's first clips, uint8 [num, C, H, W, 3], to predict from; None for synthesis."""
    c = experiment.model.conditioning_frames
    return data.first_clips(source, num)[0][:, :c] if c else None


def given_for_statistics(experiment: Experiment, source: data.VideoSource) -> np.ndarray | None:
    """`given_frames` for `standing_statistics`, uint8 [N, C, H, W, 3]; None for synthesis.

    N is what the statistics take, and at most 512: by then the clips hardly matter, and decoding them takes its time.
    """
    wanted = experiment.training.batch_size * experiment.evaluation.standing_batches
    return given_frames(experiment, source, min(wanted, len(source), 512))


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT instead of dying of them; a second Ctrl-C dies. Only the main thread can.

    A second SIGTERM doesn't: where a batch is killed, its jobs can get one from two sides.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def remember(signum: int, _frame: Any) -> None:
        received.append(signum)
        if received.count(signal.SIGINT) > 1:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)

    before = {s: signal.signal(s, remember) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def averaged_generator(
    updates: Updates, state: State, card: dict[str, Any], given: np.ndarray | None = None
) -> TrainedGenerator:
    """The EMA generator of a state, spectral norm applied, with standing statistics; `given`: `given_for_statistics`."""
    params, _ = spectral_normalize(state.ema, state.g_vectors, update=False)
    params = jax.device_get(params)
    standing = standing_statistics(updates.experiment, params, conditioning=given)
    return TrainedGenerator(updates.experiment, params, standing, card, path="")


def _sample_sheet(
    folder: epath.Path, updates: Updates, state: State, step: int, seed: int, given: np.ndarray | None
) -> None:
    """samples/step_N.png: a row a class (up to 8), always the same latents; frames from left to right."""
    import mediapy  # here, because they bring Matplotlib: a second and a half before the first step

    from dvdgan_lib.plots import filmstrips

    m = updates.experiment.model
    latents, _ = draw(m, 8, 1.0, (seed, 3))
    labels = np.arange(8, dtype=np.int32) % m.num_classes
    shown = None if given is None else given[np.arange(8) % len(given)]
    generator = averaged_generator(updates, state, {}, given)
    videos = generate(generator, latents, labels, conditioning=shown, progress=False)
    sheet = folder / "samples" / f"step_{step:06d}.png"
    sheet.parent.mkdir(exist_ok=True)
    with sheet.open("wb") as opened:
        opened.write(mediapy.compress_image(filmstrips(videos, max_frames=12, scale=max(1, 64 // m.resolution))))


def train(
    experiment: Experiment,
    workdir: epath.PathLike = "runs",
    *,
    seed: int = 0,
    steps: int | None = None,
    allow_cpu: bool = False,
    data_processes: int = 0,
    progress: bool = True,
) -> epath.Path:
    """Trains, or goes on training, one experiment.

    Writes under `run_folder(...)`: checkpoints/, metrics.jsonl, tensorboard/, samples/ as it goes, and at the end
    model.safetensors (the averaged generator) with its card model.json.

    Args:
      experiment: from `experiments.get`.
      workdir: local or gs://.
      seed: of initial weights, data order and every random draw.
      steps: updates of G in all, instead of the experiment's.
      allow_cpu: train `colab` and `paper` even on a CPU.
      data_processes: make batches in that many processes instead of in threads, see `data.batches`.
      progress: show a bar with the losses and the time left.

    Returns:
      The path of model.safetensors.

    Raises:
      InterruptedTrainingError: by SIGTERM or SIGINT, after a checkpoint at the current step.
      TrainingDivergedError: a loss is not finite; the last good checkpoint is left.
      CheckpointError, UnknownExperimentError, WrongDeviceError, data.DataError: with one sentence each.
    """
    if steps is not None:
        experiment = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, steps=steps))
    experiments.check(experiment)
    devices.setup()
    if advice := devices.check_device(experiment.preset, allow_cpu):
        log.warning(advice)
    source = load_source(experiment)
    if len(source.class_names) != experiment.model.num_classes and not experiment.model.conditioning_frames:
        model = dataclasses.replace(experiment.model, num_classes=len(source.class_names))
        experiment = dataclasses.replace(experiment, model=model)  # a folder says itself how many classes it has
    t = experiment.training
    used = devices.mesh(t.batch_size).size
    folder = run_folder(experiment, workdir, seed)
    folder.mkdir(parents=True, exist_ok=True)
    replicas = used if experiment.data.shuffling == "independent" else 1
    commits, replicas = check_configuration(folder, experiment, seed, replicas)

    updates = Updates(experiment)
    batches = data.batches(
        source,
        t.batch_size,
        seed,
        replicas=replicas,
        host=jax.process_index(),
        hosts=jax.process_count(),
        processes=data_processes,
    )
    given, c = given_for_statistics(experiment, source), experiment.model.conditioning_frames
    checkpoints = Checkpoints(folder / "checkpoints")
    abstract_state = updates.abstract_state
    with ThreadPoolExecutor() as pool:
        compiling = pool.submit(updates.compile)
        if restored := checkpoints.restore(abstract_state, batches):
            start, state = restored
            log.info("Going on from step %d in %s.", start, folder)
        else:
            start, state = 0, updates.init(np.uint32(seed))
        compiling.result()
    logged = MetricsLog(folder, start)

    last_save = last_log = time.monotonic()
    last_logged_step = start
    metrics: dict[str, jax.Array] = {}
    with (
        contextlib.closing(batches),
        _stop_on_signals() as signals,
        tqdm(total=t.steps, initial=start, desc=experiment.name, unit="step", disable=not progress, mininterval=1.0) as bar,
    ):
        for step in range(start + 1, t.steps + 1):
            for update in range(t.d_updates):
                batch = next(batches)  # each update of D on other data (B.3)
                # A process makes the rows that its devices hold (`devices.mesh`).
                batch = [jax.make_array_from_process_local_data(updates.split, batch[name]) for name in ("video", "label")]
                state, d_metrics = updates.update_d(state, *batch, np.int32(update))
            # G predicts from the clips that D saw last: an assumption (`paper.ASSUMPTIONS`).
            state, g_metrics = updates.update_g(state, *([batch[0][:, :c]] if c else []))
            metrics = d_metrics | g_metrics
            save_due = time.monotonic() - last_save > 60 * t.checkpoint_minutes or step == t.steps or signals
            if step % t.log_every == 0 or save_due:
                values = {name: float(value) for name, value in metrics.items()}
                if not all(math.isfinite(v) for v in values.values()):
                    kept = checkpoints.steps
                    logged.close()
                    raise TrainingDivergedError(
                        f"{experiment.name}: a loss at step {step} is not a number ({values}); "
                        f"the last good checkpoint is {'step ' + str(kept[-1]) if kept else 'none'} in {checkpoints.folder}."
                    )
                # Calls return before the work is done, so that only the mean over steps that were waited for says anything.
                now = time.monotonic()
                logged.write(step, values | {"seconds_per_step": (now - last_log) / (step - last_logged_step)})
                last_log, last_logged_step = now, step
                bar.set_postfix(d=f"{values['d_loss']:.2f}", g=f"{values['g_loss']:.2f}", refresh=False)
            bar.update()
            if save_due:
                checkpoints.save(step, state, batches)
                last_save = time.monotonic()
            if signals:
                logged.close()
                checkpoints.close()
                raise InterruptedTrainingError(
                    f"Stopped by {signal.Signals(signals[0]).name} at step {step} of {t.steps}; "
                    f"a checkpoint is in {checkpoints.folder}, and the same command goes on from it.",
                    signals[0],
                )
            if step % t.sample_every == 0 or step == t.steps:
                _sample_sheet(folder, updates, state, step, seed, given)

    logged.close()
    checkpoints.close()
    card = {
        "command": f"python -m dvdgan_lib.training {experiment.name} --preset {experiment.preset} "
        f"--seed {seed} --steps {t.steps}",
        "seed": seed,
        "steps": t.steps,
        "commit": commits,
        "data": source.description,
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    }
    model = averaged_generator(updates, state, card, given)
    path = folder / "model.safetensors"
    export(path, experiment, model.params, model.standing, card)
    return path


# What ends the command with one sentence; anything else is a bug and keeps its traceback.
MISTAKES = (
    experiments.UnknownExperimentError,
    devices.WrongDeviceError,
    data.DataError,
    CheckpointError,
    TrainingDivergedError,
    OSError,
)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dvdgan_lib.training", description=__doc__.split("\n")[0])
    parser.add_argument("experiment", help="one of: " + ", ".join(experiments.NAMES))
    parser.add_argument("--preset", default="laptop", help=", ".join(experiments.PRESETS))
    parser.add_argument("--workdir", default="runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="updates of G, instead of the experiment's number")
    parser.add_argument("--data-dir", help="a folder of videos, one subfolder a class, to train on instead")
    parser.add_argument("--allow-cpu", action="store_true", help="train colab and paper even without an accelerator")
    parser.add_argument("--data-processes", type=int, default=0, help="make batches in that many processes, not in threads")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    try:
        experiment = experiments.get(options.experiment, options.preset)
        if options.data_dir:
            folder = dataclasses.replace(experiment.data, folder=options.data_dir)
            experiment = dataclasses.replace(experiment, data=folder)
        path = train(
            experiment,
            options.workdir,
            seed=options.seed,
            steps=options.steps,
            allow_cpu=options.allow_cpu,
            data_processes=options.data_processes,
        )
    except InterruptedTrainingError as error:
        print(error, file=sys.stderr)
        return 128 + error.signum
    except MISTAKES as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
