"""The index page of `figures/`: every artefact that is there, with its caption and where it comes from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dvdgan_lib.batch import ARTEFACTS

_INTRODUCTION = """# Tables and figures

Made by `make reproduce`; this page is written with them. What a caption says of data and networks belongs to its numbers:
ours are of stand-ins, and never stand in the paper's columns. The `.json` beside each says what it was made from.
"""


_KEYS = {"commit", "dirty", "parameters", "caption", "date"}


def heading(artefact: str) -> str:
    """ "figure_04" -> "Figure 4", "table_1" -> "Table 1", "truncation" -> "Truncation", "appendix_d" -> "Appendix D"."""
    kind, _, number = artefact.rpartition("_")
    if number.isdigit() or len(number) == 1:
        return f"{kind.capitalize()} {number.lstrip('0').upper()}"
    return artefact.replace("_", " ").capitalize()


def _order(artefact: str) -> tuple[int, str]:
    kinds = ("table_", "figure_")
    return next((i for i, kind in enumerate(kinds) if artefact.startswith(kind)), len(kinds)), artefact


def _section(folder: Path, artefact: str, record: dict[str, Any]) -> str:
    there = [kind for kind in ("pdf", "mp4", "md", "json") if (folder / f"{artefact}.{kind}").exists()]
    links = [f"[{kind}]({artefact}.{kind})" for kind in there]
    notebook = f"notebooks/{ARTEFACTS[artefact].notebook}.ipynb"
    commit = record["commit"][:8] + (" with changes" if record["dirty"] else "")
    made = f"preset {record['parameters']['preset']}, seed {record['parameters']['seed']}, commit {commit}"
    return (
        f"## {heading(artefact)}\n\n![{heading(artefact)}]({artefact}.png)\n\n{record['caption']}\n\n"
        f"{' · '.join(links)} · [{notebook}](../{notebook}); {made}, {record['date'][:10]}\n"
    )


def page(folder: Path) -> str:
    """The page's Markdown, of the artefacts whose provenance is in `folder`: tables, figures, then what has no number.

    An artefact whose provenance can't be read is left out: the page must not be what a batch fails by.
    """
    records = {}
    for artefact in ARTEFACTS:
        try:
            record = json.loads((folder / f"{artefact}.json").read_text(encoding="utf-8"))
            if record.keys() >= _KEYS:
                records[artefact] = record
        except (OSError, ValueError, AttributeError):
            continue
    sections = [_section(folder, artefact, records[artefact]) for artefact in sorted(records, key=_order)]
    return "\n".join([_INTRODUCTION, *sections])


def write(folder: str | Path) -> None:
    """Writes README.md into `folder`; nobody ever reads half of it."""
    temporary = Path(folder) / ".README.md.tmp"
    temporary.write_text(page(Path(folder)), encoding="utf-8")
    os.replace(temporary, Path(folder) / "README.md")
