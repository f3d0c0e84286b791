"""Where the paper is silent or ambiguous, and what this replication chose; `paper.ASSUMPTIONS` has them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumption:
    """A place where the paper is silent or ambiguous."""

    topic: str
    paper: str  # its words, or that there are none
    choice: str
    reason: str
    alternative: str
