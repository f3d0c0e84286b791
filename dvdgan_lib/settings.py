"""Single settings of a run, changed by name: `--set training.batch_size=16`; and which of them a run had changed.

What small trials are made of (learning rates, width, batch; `pretrained/trials`), and what a lab changes that has other
hardware. A card's command names them, so that it makes the same run again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from dvdgan_lib import configuration, experiments
from dvdgan_lib.configuration import Experiment, UnknownExperimentError

_PARTS = ("model", "data", "training", "evaluation")


def changed(experiment: Experiment, settings: Sequence[str]) -> Experiment:
    """The experiment with some of its settings replaced.

    Args:
      experiment: from `experiments.get`.
      settings: "PART.NAME=VALUE" each: "model.ch=16", "training.g_learning_rate=1e-3", "data.clips_per_class=null". Values
        are JSON, or text as it stands.

    Raises:
      UnknownExperimentError: a setting that isn't there, or of another kind than the one it replaces; one sentence.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        part, dot, name = path.strip().partition(".")
        if not (equals and dot and part in _PARTS):
            raise UnknownExperimentError(
                f"A setting reads PART.NAME=VALUE, as training.batch_size=16, its part one of {', '.join(_PARTS)}; "
                f"not {setting!r}."
            )
        own = getattr(experiment, part)
        kinds = {f.name: str(f.type) for f in dataclasses.fields(own)}
        if name not in kinds:
            raise UnknownExperimentError(f"There is no setting {path.strip()}; of {part} there are {', '.join(kinds)}.")
        value = _value(text.strip(), kinds[name], path.strip())
        experiment = dataclasses.replace(experiment, **{part: dataclasses.replace(own, **{name: value})})
    return configuration.check(experiment)


def _value(text: str, kind: str, path: str) -> Any:
    """The value of a setting whose field's annotation is `kind` ("int", "float | None", "str", "bool", ...)."""
    kinds = kind.split(" | ")
    try:
        value = text if "str" in kinds and text != "null" else json.loads(text)  # a folder may be named 64
    except json.JSONDecodeError:
        value = text
    if "float" in kinds and type(value) is int:
        value = float(value)
    if ("None" if value is None else type(value).__name__) not in kinds:
        raise UnknownExperimentError(f"{path} takes {' or '.join(kinds)}, not {text!r}.")
    return value


def of(experiment: Experiment) -> list[str]:
    """The settings that an experiment has and the one of its name and preset has not, but for its steps; for `changed`."""
    registered = experiments.get(experiment.name, experiment.preset)
    return [
        f"{part}.{name}={value if isinstance(value, str) else json.dumps(value)}"
        for part in _PARTS
        for name, value in dataclasses.asdict(getattr(experiment, part)).items()
        if (part, name) != ("training", "steps") and value != getattr(getattr(registered, part), name)
    ]
