"""How a claim of the paper is judged: the verdicts, what they are judged by, and the rules that several claims share."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dvdgan_lib.curves import Curve
from dvdgan_lib.trained_generator import TrainedGenerator

REPRODUCED, DIRECTION, NOT_SEEN = "reproduced", "direction only", "not seen"
CONTRADICTED, NOT_TESTABLE, NOT_MEASURED = "contradicted", "not testable here", "not measured yet"
VERDICTS = (REPRODUCED, DIRECTION, NOT_SEEN, CONTRADICTED, NOT_TESTABLE, NOT_MEASURED)
ALIKE = 1.25  # two FIDs that the paper calls alike: at most so many times each other


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What claims are judged by.

    Attributes:
      generator: the 12-frame model of the preset.
      records: what models were measured at, by (experiment, kind): "evaluation" (`evaluation.evaluate`), "truncation",
        "memorization" or "statistics" (`protocols`), "prediction" or "synthesis" (`prediction_protocol`), "inception_score"
        (by C3D, notebook 08). Those there are.
      pod_rows: `pod_report.load`.
      curves: of the compared runs, `curves.find`.
      longer: the 48-frame model of the preset, where there is one.
    """

    generator: TrainedGenerator
    records: Mapping[tuple[str, str], dict[str, Any]] = dataclasses.field(default_factory=dict)
    pod_rows: Mapping[tuple[str, str, str], dict[str, Any]] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, Sequence[Curve]] = dataclasses.field(default_factory=dict)
    longer: TrainedGenerator | None = None

    def records_of(self, kind: str, runs: Sequence[str]) -> list[dict[str, Any]]:
        """The records of that kind, in the order of the runs; none where one is missing: they are compared."""
        found = [self.records.get((run, kind)) for run in runs]
        return [record for record in found if record] if all(found) else []


@dataclasses.dataclass(frozen=True)
class Finding:
    """What we have to say of a claim: measured, at what size, from how much, and one of VERDICTS."""

    measured: str
    size: str
    verdict: str


def for_as_long(trained: Sequence[int]) -> bool:
    """Whether models may be compared: one trained for more than twice as many steps or clips is better for that."""
    return max(trained) <= 2 * min(trained)


def of_clips(num: int) -> str:
    """How many clips a Frechet distance is of, flagged where they are few."""
    few = " (fewer than 512: Frechet distances are biased upwards)" if num < 512 else ""
    return f"{num:,} clips{few}"


def by_ratio(ours: float, papers: float, least: float = 1.02) -> str:
    """A ratio beside the paper's (both of what should be larger over what should be smaller).

    Reproduced: at least half of the paper's rise on a logarithmic scale. Direction only: above `least`. Contradicted: below
    1 / least. Else not seen.
    """
    if np.log(ours) >= np.log(papers) / 2:
        return REPRODUCED
    return DIRECTION if ours > least else CONTRADICTED if ours < 1 / least else NOT_SEEN


def by_factor(ratio: float, factor: float = np.inf) -> str:
    """Reproduced from `factor` on; direction only above 1.1, contradicted below 1 / 1.1, else not seen.

    Without a factor nothing is reproduced: of what is counted where the paper measured.
    """
    if ratio >= factor:
        return REPRODUCED
    return DIRECTION if ratio > 1.1 else CONTRADICTED if ratio < 1 / 1.1 else NOT_SEEN


def by_curve(values: Sequence[float], papers_ratio: float) -> str:
    """A curve that should rise all along: as `by_ratio` of its ends, but no more than "not seen" where it falls between."""
    verdict = by_ratio(values[-1] / values[0], papers_ratio, least=1.005)
    rises = all(b > a for a, b in itertools.pairwise(values))
    return verdict if rises or verdict == CONTRADICTED else NOT_SEEN


def by_spread(low: np.ndarray, high: np.ndarray, *others: np.ndarray) -> str:
    """Whether one configuration's number is below another's, one number a seed each, beside the spread of seeds.

    The spread is the standard deviation over seeds, pooled over all given groups: their squared deviations over the degrees
    of freedom, one fewer than seeds in each. Reproduced: the means differ by more than twice that. Direction only: by more
    than once; or, where no group has two seeds, by more than a tenth. Contradicted: the other way round by more than twice.
    Else not seen. With one degree of freedom (two seeds of one group, no more) the true spread may be thirty times that
    (upper end of the 95 % interval): then nothing is reproduced and nothing contradicted.
    """
    difference = np.mean(high) - np.mean(low)
    groups = (low, high, *others)
    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return DIRECTION if difference > 0.1 * abs(np.mean(low)) else NOT_SEEN
    spread = np.sqrt(sum(len(group) * np.var(group) for group in groups) / freedom)
    known = freedom >= 2
    if difference > 2 * spread:
        return REPRODUCED if known else DIRECTION
    return DIRECTION if difference > spread else CONTRADICTED if known and difference < -2 * spread else NOT_SEEN


_ORDER = (CONTRADICTED, NOT_SEEN, DIRECTION, REPRODUCED)


def weakest(*verdicts: str) -> str:
    """A claim of several parts is worth its weakest."""
    return min(verdicts, key=_ORDER.index)
