"""A trained generator as a file: safetensors with its configuration inside, and a card beside it."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any

import jax
import numpy as np
from etils import epath
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_of_safetensors
from safetensors.numpy import save as safetensors_bytes

from dvdgan_lib import configuration, experiments
from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.checkpoints import CheckpointError
from dvdgan_lib.configuration import Experiment
from dvdgan_lib.provenance import versions


@dataclasses.dataclass(frozen=True)
class TrainedGenerator:
    """What sampling needs of a run: the averaged (EMA) weights of G, spectral norm applied, and standing statistics."""

    experiment: Experiment
    params: dict
    standing: dict  # the batch_stats collection at truncation 1; empty for norms without batch statistics
    card: dict[str, Any]  # step, seed, commit, data, date ...
    path: str


def export(path: epath.PathLike, experiment: Experiment, params: dict, standing: dict, card: dict[str, Any]) -> None:
    """Writes `path` (safetensors, with the configuration and the card inside) and the card beside it as .json.

    A card that says itself when and by what it was made keeps that: of a model that is exported again.
    """
    made = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "jax": jax.__version__,
        "versions": versions(),
    }
    card = {
        "experiment": experiment.name,
        "preset": experiment.preset,
        **card,
        **{k: card.get(k, v) for k, v in made.items()},
    }
    tensors = {}
    for kind, tree in (("params", params), ("standing", standing)):
        for name, value in flatten_dict(jax.device_get(tree), sep="/").items():
            tensors[f"{kind}/{name}"] = np.ascontiguousarray(value)
    metadata = {"experiment": experiment.to_json(), "card": json.dumps(card)}
    path = epath.Path(path)
    described = {
        "differs_from_paper": experiments.differs_from_paper(experiment),
        "config": json.loads(experiment.to_json()),
    }
    write_atomically(path.with_suffix(".json"), json.dumps(card | described, indent=1))
    write_atomically(path, safetensors_bytes(tensors, metadata))


def load_generator(path: epath.PathLike) -> TrainedGenerator:
    """Reads what `export` wrote; `path` is the file, or the folder of the run that holds model.safetensors.

    Raises:
      CheckpointError: missing or damaged; one sentence.
    """
    file = epath.Path(path)
    if file.is_dir():
        file = file / "model.safetensors"
    if not file.exists():
        raise CheckpointError(
            f"There is no trained model at {file}: train it first (notebook 03_train), or name another file; preset laptop "
            "has models in pretrained/."
        )
    try:
        content = file.read_bytes()  # not by path: the file may be in a bucket
        tensors = tensors_of_safetensors(content)
        metadata = metadata_of_safetensors(content)
        experiment, card = _experiment_from_json(metadata["experiment"]), json.loads(metadata["card"])
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{file} is not a model that this library exported, or it is damaged: {error}.") from error
    # Shipped weights may be rounded to half precision (`trained_models.ship`); what computes with them is not.
    trees = unflatten_dict({name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}, sep="/")
    return TrainedGenerator(experiment, trees["params"], trees.get("standing", {}), card, str(file))


def _experiment_from_json(text: str) -> Experiment:
    fields = json.loads(text)
    kinds = {
        "model": configuration.ModelConfig,
        "data": configuration.DataConfig,
        "training": configuration.TrainingConfig,
        "evaluation": configuration.EvaluationConfig,
        "cost": configuration.Cost,
    }
    return Experiment(**{key: kinds[key](**value) if key in kinds else value for key, value in fields.items()})


def metadata_of_safetensors(content: bytes) -> dict[str, str]:
    """What lies beside the arrays of a safetensors file, which its package reads from paths only; ValueError or KeyError."""
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
