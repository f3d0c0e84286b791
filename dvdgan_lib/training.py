"""Training: one function, and the plain process around it.

    python -m dvdgan_lib.training EXPERIMENT --preset laptop

Started again, it goes on from its last checkpoint. SIGTERM (also what a Cloud TPU gets that is taken back) and Ctrl-C end it
after the step under way, with a checkpoint at that step and a non-zero exit.

On many hosts the same command is started on each, with --distributed, or with --coordinator and its numbers (`hosts`).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import shlex
import signal
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
from etils import epath
from tqdm.auto import tqdm

from dvdgan_lib import configuration, data, devices, experiments, health, hosts, settings, traced_programs
from dvdgan_lib.best_model import BestModel, Measure, averaged_generator, measure_of, sample_sheet
from dvdgan_lib.checkpoints import CheckpointError, Checkpoints
from dvdgan_lib.configuration import Experiment
from dvdgan_lib.health import TrainingDivergedError
from dvdgan_lib.interruption import InterruptedTrainingError, stop_on_signals
from dvdgan_lib.run_record import (
    OF_FEW_CLIPS,
    TIMES,
    MetricsLog,
    check_configuration,
    exported_choice,
    exported_steps,
    record_configuration,
)
from dvdgan_lib.trained_generator import export
from dvdgan_lib.training_data import given_for_statistics, load_source, with_data_at_hand, with_folder
from dvdgan_lib.updates import Updates

log = logging.getLogger(__name__)


def run_folder(experiment: Experiment, workdir: epath.PathLike, seed: int = 0) -> epath.Path:
    """Where a run keeps everything: WORKDIR/PRESET/EXPERIMENT, with -seedN where the seed is not 0."""
    return epath.Path(workdir) / experiment.preset / experiments.seeded_name(experiment, seed)


def train(
    experiment: Experiment,
    workdir: epath.PathLike = "runs",
    *,
    seed: int = 0,
    steps: int | None = None,
    allow_cpu: bool = False,
    data_processes: int = 0,
    progress: bool = True,
    measure: Measure | None = None,
) -> epath.Path:
    """Trains, or goes on training, one experiment.

    Writes under `run_folder(...)`: checkpoints/, metrics.jsonl, tensorboard/, samples/ as it goes, best/ where FID is
    measured, stopped.md where training went wrong, and at the end model.safetensors (the averaged generator, of the last
    step or of the best by FID, see `TrainingConfig.export`) with its card. A run that has its steps is left as
    it is; where the other of the two models is asked for, that is exported.

    Args:
      experiment: from `experiments.get`.
      workdir: local or gs://; with many hosts, one that all of them share.
      seed: of initial weights, data order and every random draw.
      steps: updates of G in all, instead of the experiment's.
      allow_cpu: train `colab` and `paper` even on a CPU.
      data_processes: make batches in that many processes instead of in threads, see `data.batches`.
      progress: show a bar with the losses and the time left.
      measure: what is measured every `evaluate_every` steps; None is what `evaluate_by` names.

    Returns:
      The path of model.safetensors.

    Raises:
      InterruptedTrainingError: by SIGTERM or SIGINT, after a checkpoint at the current step.
      TrainingDivergedError: by a rule of `health`; the last good checkpoint is left.
      CheckpointError, UnknownExperimentError, WrongDeviceError, HostsError, data.DataError: with one sentence each.
    """
    if steps is not None:
        experiment = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, steps=steps))
    configuration.check(experiment)
    if not 0 <= seed < 2**32:
        raise configuration.UnknownExperimentError(f"A seed is a whole number from 0 to 4,294,967,295, not {seed}.")
    changes = "".join(f" --set {shlex.quote(change)}" for change in settings.of(experiment))
    devices.setup()
    if experiment.preset != "smoke":  # which compiles for longer than it computes
        devices.keep_memory()
    if advice := devices.check_device(experiment.preset, allow_cpu):
        log.warning(advice)
    experiment = with_data_at_hand(experiment)
    source = load_source(experiment)
    if len(source.class_names) != experiment.model.num_classes and not experiment.model.conditioning_frames:
        model = dataclasses.replace(experiment.model, num_classes=len(source.class_names))
        experiment = dataclasses.replace(experiment, model=model)  # a folder says itself how many classes it has
    t = experiment.training
    used = devices.mesh(t.batch_size // t.accumulation).size
    folder = run_folder(experiment, workdir, seed)
    folder.mkdir(parents=True, exist_ok=True)
    replicas = used if experiment.data.shuffling == "independent" else 1
    commits, replicas = check_configuration(folder, experiment, replicas)
    path, checkpoints = folder / "model.safetensors", Checkpoints(folder / "checkpoints")
    if (done := max(checkpoints.steps, default=0)) > t.steps:
        checkpoints.close()
        raise CheckpointError(
            f"The run in {folder} has {done:,} steps already, more than the {t.steps:,} asked for: ask for as many or "
            "more, or choose another workdir."
        )
    exported = exported_steps(folder)
    # A new file of the same weights would part them from what was measured of them. Checkpoints may have gone for room.
    if exported == t.steps and (not done or (done == t.steps and exported_choice(folder) == t.export)):
        log.info("The run in %s has its %d steps already.", folder, exported)
        checkpoints.close()
        return path
    if exported and not done:
        checkpoints.close()
        raise CheckpointError(
            f"The run in {folder} has a model of {exported:,} steps, and no checkpoints to go on from: put them back into "
            f"{checkpoints.folder}, choose another workdir, or move that folder away to train from the start."
        )
    if t.evaluate_every:  # what that needs is missed now, not at the first measurement
        measure = measure or measure_of(experiment, workdir)
    record_configuration(folder, experiment, seed, commits, replicas, exported)

    updates = Updates(experiment)
    if traced_programs.worth_keeping(experiment):
        updates.keep_traces()
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
    real = data.first_clips(source, min(8, len(source)))[0][:, c:]
    abstract_state = updates.abstract_state
    with ThreadPoolExecutor() as pool:
        compiling = pool.submit(updates.compile)
        if restored := checkpoints.restore(abstract_state, batches):
            start, state = restored
            log.info("Going on from step %d in %s.", start, folder)
        else:
            start, state = 0, updates.init(np.uint32(seed))
        compiling.result()
    hosts.meet("compiled")
    logged, watch, votes = MetricsLog(folder, start), health.Health(), hosts.Votes()
    best = BestModel(folder, source, t.evaluate_clips, seed, measure)
    card = {
        "command": f"python -m dvdgan_lib.training {experiment.name} --preset {experiment.preset} "
        f"--seed {seed} --steps {t.steps}{changes}",
        "seed": seed,
        "steps": t.steps,
        "commit": " -> ".join(commits),  # resumed on another
        "data": source.description,
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    }

    last_save = last_log = time.monotonic()
    last_logged_step = start
    metrics: dict[str, jax.Array] = {}
    show = progress and hosts.is_first()
    with (
        contextlib.closing(batches),
        contextlib.closing(logged),
        contextlib.closing(best),
        contextlib.closing(checkpoints),
        stop_on_signals() as signals,
        tqdm(total=t.steps, initial=start, desc=experiment.name, unit="step", disable=not show, mininterval=1.0) as bar,
    ):
        # A signal leaves no time for a measurement that is due at its step.
        due = start and t.evaluate_every and start % t.evaluate_every == 0
        if due and hosts.from_first("unmeasured", logged.lacks(f"fid{OF_FEW_CLIPS}")):
            logged.amend(best.measure(start, averaged_generator(updates, state, card, given), state, batches))
        for step in range(start + 1, t.steps + 1):
            for update in range(t.d_updates):
                batch = next(batches)  # two updates a step (B.3), on other data each: an assumption
                # A process makes the rows that its devices hold (`devices.mesh`).
                batch = [jax.make_array_from_process_local_data(updates.split, batch[name]) for name in ("video", "label")]
                state, d_metrics = updates.update_d(state, *batch, np.int32(update))
            # G predicts from the clips that D saw last: an assumption (`paper.ASSUMPTIONS`).
            state, g_metrics = updates.update_g(state, *([batch[0][:, :c]] if c else []))
            metrics = d_metrics | g_metrics
            # With many hosts clocks differ, and a signal may reach one of them only. 1: save; more: a signal's number.
            agreed = votes.cast(signals[0] if signals else int(time.monotonic() - last_save > 60 * t.checkpoint_minutes))
            stopping = agreed if agreed > 1 else 0
            save_due = agreed or step == t.steps
            sheet_due = not stopping and (step % t.sample_every == 0 or step == t.steps)
            measure_due = not stopping and t.evaluate_every and step % t.evaluate_every == 0
            if step % t.log_every == 0 or save_due or sheet_due or measure_due:
                values = {name: float(value) for name, value in metrics.items()}
                if rule := watch.check(values):
                    kept = checkpoints.steps
                    at = f"{'step ' + str(kept[-1]) if kept else 'none'} in {checkpoints.folder}"
                    sentence = f"{experiment.name}: at step {step} {rule}; the last good checkpoint is {at}."
                    if hosts.is_first():
                        health.write_stopped(folder, sentence, rule, step, values, at, logged.lines)
                    raise TrainingDivergedError(sentence)
                # Calls return before the work is done, so that only the mean over steps that were waited for says anything.
                now = time.monotonic()
                pace = (now - last_log) / (step - last_logged_step)
                if sheet_due or measure_due:
                    generator = averaged_generator(updates, state, card, given)
                if sheet_due:
                    samples = sample_sheet(folder, generator, step, seed, given)[: len(real)]
                    values["sample_diversity"] = health.diversity(samples, real)
                    if warning := watch.check_diversity(values["sample_diversity"]):
                        log.warning("%s: %s", experiment.name, warning)
                if measure_due:
                    values |= best.measure(step, generator, state, batches)
                times = (pace, t.batch_size / pace, (t.steps - step) * pace / 3600)
                logged.write(step, values | dict(zip(TIMES, times, strict=True)))
                # Sheets and measurements are not what a step takes.
                last_log, last_logged_step = time.monotonic(), step
                bar.set_postfix(d=f"{values['d_loss']:.2f}", g=f"{values['g_loss']:.2f}", refresh=False)
            bar.update()
            if step == start + 1:  # calls return before the work is done: the first step is shown when it is
                jax.block_until_ready(state)
                bar.refresh()
            if save_due:
                logged.upload()
                checkpoints.save(step, state, batches, wait=False)
                last_save = time.monotonic()
                votes.drop_saves()
            if stopping:
                checkpoints.wait()
                raise InterruptedTrainingError(
                    f"Stopped by {signal.Signals(stopping).name} at step {step} of {t.steps}; "
                    f"a checkpoint is in {checkpoints.folder}, and the same command goes on from it.",
                    stopping,
                )

    model = averaged_generator(updates, state, card, given)
    if hosts.is_first() and not (t.export == "best" and best.export_to(path, experiment, card)):
        export(path, experiment, model.params, model.standing, card)
    record_configuration(folder, experiment, seed, commits, replicas, exported=t.steps)
    return path


DIVERGED = 2  # exit code: going on unchanged would end here again

# What ends the command with one sentence; anything else is a bug and keeps its traceback.
MISTAKES = (
    configuration.UnknownExperimentError,
    devices.WrongDeviceError,
    data.DataError,
    CheckpointError,
    hosts.HostsError,
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
    parser.add_argument(
        "--set", action="append", default=[], metavar="PART.NAME=VALUE", help="a setting changed, as training.batch_size=16"
    )
    parser.add_argument("--data-dir", help="a folder of videos, one subfolder a class, to train on instead")
    parser.add_argument("--allow-cpu", action="store_true", help="train colab and paper even without an accelerator")
    parser.add_argument("--slice", metavar="v3-128", help="with what makes the run fit on that TPU slice, by the pod table")
    parser.add_argument("--data-processes", type=int, default=0, help="make batches in that many processes, not in threads")
    parser.add_argument("--evaluate-every", type=int, help="measure FID of a few clips every so many steps, keep the best")
    parser.add_argument(
        "--distributed", action="store_true", help="one of many processes, as the cluster tells (TPU, Slurm)"
    )
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="one of many processes: where process 0 listens")
    parser.add_argument("--num-processes", type=int, help="how many they are")
    parser.add_argument("--process-id", type=int, help="which this is, from 0")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    if not (options.distributed or options.coordinator):
        return _run(options)
    try:
        hosts.connect(options.coordinator, options.num_processes, options.process_id)
        if not hosts.is_first():
            log.setLevel(logging.WARNING)
        code = _run(options)
    except hosts.HostsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # the others wait for this process: they must be told of its end, whatever it is
        failure = f"{type(error).__name__}: {error}".partition("\n")[0]
        # Of whatever kind: a broken connection comes out of JAX as a JaxRuntimeError or a ValueError, by where it broke.
        hosts.wait_for_verdict(failure)
        traceback.print_exc()
        hosts.leave(failure)
        return 1
    # Where it stopped by a signal or by `health`, all have.
    hosts.leave("it was refused to go on, see what it said" if code == 1 else None)
    return code


def _run(options: argparse.Namespace) -> int:
    try:
        experiment = experiments.get(options.experiment, options.preset)
        if options.data_dir:
            experiment = with_folder(experiment, options.data_dir)
        every = [] if options.evaluate_every is None else [f"training.evaluate_every={options.evaluate_every}"]
        experiment = settings.changed(experiment, [*every, *options.set])
        if options.slice:
            from dvdgan_lib import pod_report  # here, because few need it: a quarter of a second before the first step

            experiment = pod_report.fitted(experiment, options.slice)
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
    except TrainingDivergedError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return DIVERGED
    except MISTAKES as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
