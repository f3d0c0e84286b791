"""How long a step of a run takes on a TPU slice: from the files of the pod table, without JAX and without the runs.

`experiments` takes its hours from here for the presets that nobody has run; `pods` makes the files, `pod_report` shows them.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

TABLE = Path(__file__).parent / "pod_table"


def table_file(name: str, preset: str, topology: str, folder: Path = TABLE) -> Path:
    """Where a row is kept."""
    return folder / (f"{name}__{topology}.json" if preset == "paper" else f"{name}__{preset}__{topology}.json")


@functools.cache  # a plan asks for each run of the batch
def step_seconds(name: str, preset: str, topology: str, folder: Path = TABLE) -> float | None:
    """Seconds of a step (its updates of D and one of G), by the TPU's compiler; None without a row, or where it doesn't fit.

    A row that is there counts whatever it was compiled from: whether it is of today's configuration is `pods.is_kept`'s.
    """
    file = table_file(name, preset, topology, folder)
    row = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return row.get("step_seconds")
