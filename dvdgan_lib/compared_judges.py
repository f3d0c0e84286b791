"""Judges of claims about runs that are compared by where their curves end: Figure 6, one discriminator only, appendix D.

Each takes Evidence and gives a Finding, or None where the evidence lacks what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvdgan_lib import curves, experiments
from dvdgan_lib.curves import Curve
from dvdgan_lib.verdicts import (
    ALIKE,
    CONTRADICTED,
    DIRECTION,
    NOT_SEEN,
    REPRODUCED,
    Evidence,
    Finding,
    by_spread,
    weakest,
)

REFERENCE = "phi_pool2"


def _have(evidence: Evidence, *names: str) -> bool:
    """Whether there are curves of all, of runs as long as each other and measured alike: others don't compare."""
    groups = [evidence.curves.get(name, ()) for name in names]
    return all(groups) and len({(curve.card["steps"], curve.measured_by) for group in groups for curve in group}) == 1


def _number(group: Sequence[Curve], measure: str) -> str:
    """What a configuration ended at: "3.21 +- 0.12"."""
    values = curves.ends(group, measure)
    spread = f" +- {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread}"


def _numbers(evidence: Evidence, measure: str, *names: str) -> str:
    words = {"fid": "FID", "inception_score": "IS", "class_accuracy": "class accuracy", "motion": "motion"}[measure]
    return f"{words} " + ", ".join(f"{name} {_number(evidence.curves[name], measure)}" for name in names)


def _size(evidence: Evidence, *names: str) -> str:
    card = evidence.curves[names[0]][0].card
    seeds = "/".join(str(len(evidence.curves[name])) for name in names)
    measured_by = evidence.curves[names[0]][0].measured_by
    return f"{card['preset']}, {card['steps']:,} steps, {seeds} seeds, {measured_by}"


def _compare(evidence: Evidence, measure: str, low: str, high: str) -> str:
    """Whether a configuration ends below another, `by_spread`; the reference's seeds always count for the spread."""
    groups = [curves.ends(evidence.curves[name], measure) for name in (low, high)]
    reference = () if REFERENCE in (low, high) else (curves.ends(evidence.curves[REFERENCE], measure),)
    return by_spread(*groups, *reference)


def needs_spatial(evidence: Evidence) -> Finding | None:
    """FID without D_S beside that with both."""
    names = (REFERENCE, "no_ds")
    if not _have(evidence, *names):
        return None
    verdict = _compare(evidence, "fid", *names)
    return Finding(_numbers(evidence, "fid", *names), _size(evidence, *names), verdict)


def motion_from_temporal(evidence: Evidence) -> Finding | None:
    """Without D_T: the share of samples of the class asked for, where classes differ by how things move; else motion.

    Real data has no classifier at hand that tells classes apart by motion alone.
    """
    names = (REFERENCE, "no_dt")
    if not _have(evidence, *names):
        return None
    there = [m for m in ("class_accuracy", "motion") if all(m in c.values for name in names for c in evidence.curves[name])]
    measured = "; ".join(_numbers(evidence, measure, *names) for measure in there)
    return Finding(measured, _size(evidence, *names), _compare(evidence, there[0], "no_dt", REFERENCE))


def alike_by_phi(evidence: Evidence) -> Finding | None:
    """FID of all phis within ALIKE of each other, and IS lower with 4x4 pooling than with none."""
    names = experiments.FIGURE_6["phi"]
    if not _have(evidence, *names):
        return None
    means = {name: curves.ends(evidence.curves[name], "fid").mean() for name in names}
    best, worst = min(means, key=means.get), max(means, key=means.get)
    alike = REPRODUCED if means[worst] <= ALIKE * means[best] else NOT_SEEN
    if alike == NOT_SEEN and _compare(evidence, "fid", best, worst) == REPRODUCED:
        alike = CONTRADICTED
    declines = _compare(evidence, "inception_score", "phi_pool4", "phi_identity")
    measured = "; ".join(_numbers(evidence, measure, *names) for measure in ("fid", "inception_score"))
    return Finding(
        f"{measured}; largest FID {means[worst] / means[best]:.2f} times the smallest ({alike}); IS by downsampling: "
        f"{declines}",
        _size(evidence, *names),
        weakest(alike, declines),
    )


def coarser_is_worse(evidence: Evidence) -> Finding | None:
    """IS with 4x4 pooling and with crops below that with 2x2 pooling."""
    names = (REFERENCE, "phi_pool4", "phi_crop")
    if not _have(evidence, *names):
        return None
    parts = [_compare(evidence, "inception_score", name, REFERENCE) for name in names[1:]]
    measured = "; ".join(_numbers(evidence, measure, *names) for measure in ("inception_score", "fid"))
    return Finding(f"{measured}; IS with 4x4 {parts[0]}, with crops {parts[1]}", _size(evidence, *names), weakest(*parts))


def more_frames_are_better(evidence: Evidence) -> Finding | None:
    """FID and IS of k = 10 beside k = 1; and the first frame's worth beside the last ones'."""
    names = experiments.FIGURE_6["k"]
    if not _have(evidence, *names):
        return None
    parts = [_compare(evidence, "fid", "k_10", "k_1"), _compare(evidence, "inception_score", "k_1", "k_10")]
    fid = [np.mean(curves.ends(evidence.curves[name], "fid")) for name in names]
    first, last = np.log(fid[0] / fid[2]), np.log(fid[2] / fid[3])
    verdict = weakest(*parts)
    if verdict == REPRODUCED and last >= first:
        verdict = DIRECTION
    measured = "; ".join(_numbers(evidence, measure, *names) for measure in ("fid", "inception_score"))
    return Finding(
        f"{measured}; FID changes by {np.exp(-first) - 1:+.0%} from k = 1 to 8, by {np.exp(-last) - 1:+.0%} from 8 to 10",
        _size(evidence, *names),
        verdict,
    )


def all_pixels_are_best(evidence: Evidence) -> Finding | None:
    """FID where D_T sees all pixels beside that of the other phis. That D_S sees all frames is no run of Figure 6."""
    names = experiments.FIGURE_6["phi"]
    if not _have(evidence, *names):
        return None
    others = [name for name in names if name != "phi_identity"]
    parts = {name: _compare(evidence, "fid", "phi_identity", name) for name in others}
    listed = ", ".join(f"below {name} {verdict}" for name, verdict in parts.items())
    frames = experiments.get("k_10", "paper").model.num_frames
    measured = f"{_numbers(evidence, 'fid', *names)}; {listed}; k = T takes three seeds of k = {frames}"
    return Finding(measured, _size(evidence, *names), weakest(*parts.values()))


def final_norm_is_indispensable(evidence: Evidence) -> Finding | None:
    """FID without the last norm: a catastrophe is at least twice the reference's."""
    names = (REFERENCE, "no_final_norm")
    if not _have(evidence, *names):
        return None
    verdict = _compare(evidence, "fid", *names)
    reference, without = (curves.ends(evidence.curves[name], "fid").mean() for name in names)
    if verdict == REPRODUCED and without < 2 * reference:
        verdict = DIRECTION
    return Finding(_numbers(evidence, "fid", *names), _size(evidence, *names), verdict)


def block_norms_trade(evidence: Evidence) -> Finding | None:
    """Without norms in the blocks: IS higher, FID worse."""
    names = (REFERENCE, "no_block_norm")
    if not _have(evidence, *names):
        return None
    score, fid = _compare(evidence, "inception_score", *names), _compare(evidence, "fid", *names)
    measured = "; ".join(_numbers(evidence, measure, *names) for measure in ("inception_score", "fid"))
    return Finding(f"{measured}; IS higher: {score}, FID worse: {fid}", _size(evidence, *names), weakest(score, fid))


OTHER_NORMS = ("norm_layer", "norm_instance", "norm_none")


def group_norm_is_next(evidence: Evidence) -> Finding | None:
    """FID of group norm below that of layer, instance and no norm, within ALIKE of batch norm's and not below it."""
    names = (REFERENCE, "norm_group", *OTHER_NORMS)
    if not _have(evidence, *names):
        return None
    parts = [_compare(evidence, "fid", "norm_group", name) for name in OTHER_NORMS]
    if _compare(evidence, "fid", REFERENCE, "norm_group") == CONTRADICTED:
        parts.append(CONTRADICTED)
    batch, group = (curves.ends(evidence.curves[name], "fid").mean() for name in names[:2])
    if not batch <= group <= ALIKE * batch:
        parts.append(NOT_SEEN)
    measured = f"{_numbers(evidence, 'fid', *names)}; group norm's {group / batch:.2f} times batch norm's"
    return Finding(measured, _size(evidence, *names), weakest(*parts))


def other_norms_are_worse(evidence: Evidence) -> Finding | None:
    """FID of layer, instance and no norm above batch norm's."""
    names = (REFERENCE, *OTHER_NORMS)
    if not _have(evidence, *names):
        return None
    parts = {name: _compare(evidence, "fid", REFERENCE, name) for name in OTHER_NORMS}
    listed = ", ".join(f"{name} {verdict}" for name, verdict in parts.items())
    return Finding(f"{_numbers(evidence, 'fid', *names)}; {listed}", _size(evidence, *names), weakest(*parts.values()))


def deep_is_slower_by_steps(evidence: Evidence) -> Finding | None:
    """FID with BigGAN-deep's blocks after as many steps."""
    names = (REFERENCE, "biggan_deep")
    if not _have(evidence, *names):
        return None
    return Finding(_numbers(evidence, "fid", *names), _size(evidence, *names), _compare(evidence, "fid", *names))
