"""Where a notebook finds the model that it draws from, how it says what that model is, and how one is shipped:

python -m dvdgan_lib.trained_models bair_fp_64x64_1to15 --half      runs/laptop/RUN -> pretrained/RUN
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from etils import epath

from dvdgan_lib import experiments, training
from dvdgan_lib.checkpoints import CheckpointError
from dvdgan_lib.trained_generator import TrainedGenerator, export, load_generator


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
    """For captions: which run, the true size of its clips, the steps, and what it was trained on."""
    e, m = generator.experiment, generator.experiment.model
    c = m.conditioning_frames
    given = f", of which the first {f'{c} are' if c > 1 else 'is'} given" if c else ""
    reached, steps = generator.card["steps"], e.training.steps
    trained = f"{reached:,} steps" if reached == steps else f"step {reached:,}, the best by FID of {steps:,}"
    return (
        f"Ours, {e.name} at preset {e.preset}: {m.clip_frames} frames of {m.resolution}x{m.resolution}{given}, "
        f"{trained}; trained on {generator.card['data']}."
    )


def ship(run: epath.PathLike, into: epath.PathLike, half: bool = False) -> epath.Path:
    """Copies a finished run's model and card to where the laptop preset finds them.

    Args:
      run: its folder.
      into: the folder for model.safetensors and model.json.
      half: round the weights, not the statistics, to float16, so that the file takes half the space. Measure what was
        shipped, not what it was rounded from: its checksum is another.

    Raises:
      CheckpointError: there is no model, or a weight is too large for float16; one sentence.
    """
    generator = load_generator(run)
    params, card = generator.params, dict(generator.card)
    if half:
        if max(np.abs(x).max() for x in jax.tree.leaves(params)) > np.finfo(np.float16).max:
            raise CheckpointError(f"A weight of {run} is too large for float16: ship it whole.")
        params = jax.tree.map(lambda x: np.asarray(x, np.float16), params)
        card["weights"] = "rounded to float16"
    path = epath.Path(into) / "model.safetensors"
    export(path, generator.experiment, params, generator.standing, card)
    return path


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dvdgan_lib.trained_models", description="Ships finished runs' models.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="bair_fp_64x64_1to15, phi_crop-seed1, ...")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--workdir", default="runs")
    parser.add_argument("--into", default="pretrained", help="where RUN/model.safetensors goes")
    parser.add_argument("--half", action="store_true", help="round the weights to float16: half the space")
    options = parser.parse_args(arguments)
    try:
        for run in options.runs:
            folder = epath.Path(options.workdir) / options.preset / run
            print(ship(folder, epath.Path(options.into) / run, options.half))
    except CheckpointError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
