"""Where a notebook finds the model that it draws from, and how it says what that model is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from etils import epath

from dvdgan_lib import experiments, training
from dvdgan_lib.checkpoints import TrainedGenerator, load_generator


def find(
    name: str,
    preset: str,
    workdir: epath.PathLike,
    named: Mapping[str, str] | None = None,
    seed: int = 0,
) -> TrainedGenerator:
    """The trained generator of an experiment.

    Args:
      name: of the experiment.
      preset: its size.
      workdir: where runs are, local or gs://.
      named: {experiment: path of its model}, which goes before all else: the batch's.
      seed: of the run.

    Returns:
      The one named; else the run's own; else, for the laptop preset, the one shipped in pretrained/.

    Raises:
      CheckpointError: there is none; one sentence.
    """
    if named and name in named:
        return load_generator(named[name])
    experiment = experiments.get(name, preset)
    own = training.run_folder(experiment, workdir, seed) / "model.safetensors"
    shipped = Path("pretrained") / experiments.seeded_name(experiment, seed) / "model.safetensors"
    return load_generator(shipped if preset == "laptop" and not own.exists() and shipped.exists() else own)


def record_folders(generator: TrainedGenerator, workdir: epath.PathLike, seed: int = 0) -> list[epath.Path]:
    """Where a model's measurements are kept: its run's folder, then that of the shipped ones."""
    experiment = generator.experiment
    own = training.run_folder(experiment, workdir, seed)
    return [own, epath.Path("pretrained") / experiments.seeded_name(experiment, seed)]


def described(generator: TrainedGenerator) -> str:
    """For captions: the true size of the clips, the steps, and what it was trained on."""
    m = generator.experiment.model
    given = f", of which the first {m.conditioning_frames} are given" if m.conditioning_frames else ""
    return (
        f"Ours, preset {generator.experiment.preset}: {m.clip_frames} frames of {m.resolution}x{m.resolution}{given}, "
        f"{generator.card['steps']:,} steps; trained on {generator.card['data']}."
    )
