"""The ledger's rules, on data made up for both verdicts; and what it computes itself, against closed forms."""

import dataclasses

import numpy as np
import pytest

from dvdgan_lib import claims, experiments, paper, pods


def evidence(truncation=None, pod_rows=None):
    return claims.Evidence(generator=None, truncation=truncation, pod_rows=pod_rows or {})


def curve(key, values):
    """A record of truncation with these values from sigma 1 down."""
    sigmas = np.linspace(1, 0.1, len(values))
    points = [{"sigma": s, key: {"value": v, "text": "X = 1"}} for s, v in zip(sigmas, values, strict=True)]
    return {"preset": "laptop", "num_clips": 512, "points": points[::-1]}


@pytest.mark.parametrize(
    ("ours", "papers", "verdict"),
    [
        (3.0, 3.0, claims.REPRODUCED),
        (1.8, 3.0, claims.REPRODUCED),  # the square root of 3 is 1.73
        (1.7, 3.0, claims.DIRECTION),
        (1.03, 3.0, claims.DIRECTION),
        (1.01, 3.0, claims.NOT_SEEN),
        (0.99, 3.0, claims.NOT_SEEN),
        (0.9, 3.0, claims.CONTRADICTED),
    ],
)
def test_a_ratio_beside_the_papers(ours, papers, verdict):
    assert claims.by_ratio(ours, papers) == verdict


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((5.0, 9.0, 16.0), claims.REPRODUCED),
        ((5.0, 5.2, 5.3), claims.DIRECTION),
        ((5.0, 5.4, 5.3), claims.NOT_SEEN),  # not all along
        ((5.0, 4.0, 3.0), claims.CONTRADICTED),
    ],
)
def test_truncation_is_judged_by_its_curve(values, verdict):
    found = claims.truncation_raises_score(evidence(curve("inception_score", values)))
    assert found.verdict == verdict
    assert f"{values[0]:.2f}, {values[1]:.2f}, {values[2]:.2f}" in found.measured  # from sigma 1 downwards
    assert claims.truncation_costs_fid(evidence(curve("fid", values))).verdict == verdict


def test_without_records_nothing_is_claimed():
    assert claims.truncation_raises_score(evidence()) is None
    claim = next(c for c in claims.CLAIMS if c.judge is claims.truncation_raises_score)
    assert claim.finding(evidence(), "laptop").verdict == claims.NOT_MEASURED
    claim = next(c for c in claims.CLAIMS if c.runs and "-seed1" in c.runs[1])
    found = claim.finding(evidence(), "laptop")
    hours = experiments.get("phi_crop").cost.train_hours * len(claim.runs)
    assert f"{hours:g} h" in found.measured
    assert "three seeds" in found.measured
    assert "-seed" not in found.measured


def pod_row(name, hours):
    return {("" + name, "paper", "v3-512"): {"experiment": name, "fits": True, "hours": hours}}


@pytest.mark.parametrize(
    ("hours", "verdict"),
    [(50.0, claims.REPRODUCED), (150.0, claims.DIRECTION), (8.0, claims.DIRECTION), (400.0, claims.CONTRADICTED)],
)
def test_hours_on_pods(hours, verdict):
    rows = {}
    for i in range(9):
        rows |= pod_row(f"run{i}", hours if i < 5 else 300.0)  # the majority decides
    assert claims.hours_on_pods(evidence(pod_rows=rows)).verdict == verdict
    rows.popitem()
    assert claims.hours_on_pods(evidence(pod_rows=rows)) is None


@pytest.mark.parametrize(("seconds", "verdict"), [(0.149, claims.REPRODUCED), (0.151, claims.NOT_SEEN)])
def test_sampling_time(seconds, verdict):
    row = {"step_seconds": seconds, "model_flops": {"sample": 61.5e12 * 0.1}}
    found = claims.sampling_time(evidence(pod_rows={(pods.SAMPLING, "paper", "v3-1"): row}))
    assert found.verdict == verdict
    assert "100 ms at peak" in found.measured


def test_pixels_are_the_papers():
    found = claims.fewer_pixels(evidence())
    assert "327,680 of 786,432" in found.measured
    assert found.verdict == claims.REPRODUCED


def test_blindness_is_that_of_phi():
    """D_T that sees every pixel is not blind, one that averages over 4x4 is too; D_S never is."""
    model = dataclasses.replace(experiments.get("phi_pool2", "smoke").model, num_frames=4, k=4, num_classes=2)
    assert claims.blind_within_cells(evidence()).verdict == claims.REPRODUCED
    for phi, blind in (("identity", False), ("pool4", True)):
        temporal, spatial = claims.blindness(dataclasses.replace(model, phi=phi))
        assert (temporal < 1e-4) == blind
        assert spatial > 1e-3


def test_separable_attention_needs_what_the_appendix_says():
    assert claims.separable_memory(evidence()).verdict == claims.REPRODUCED
    # The largest array of a product is its result or an argument's product on the way.
    assert claims.largest_array(lambda a, b: (a @ b).sum(), (7, 3), (3, 5)) == 35


def test_smoothness_of_a_walk():
    even = np.zeros((9, 1, 1, 1, 3), np.uint8) + np.arange(9, dtype=np.uint8)[:, None, None, None, None] * 10
    assert claims.largest_over_mean(even) == pytest.approx(1)
    jump = np.zeros_like(even)
    jump[4:] = 200
    assert claims.largest_over_mean(jump) == pytest.approx(8)
    assert np.isnan(claims.largest_over_mean(np.zeros_like(even)))


def test_every_claim_says_where_and_by_what_rule():
    assert len({claim.words for claim in claims.CLAIMS}) == len(claims.CLAIMS)
    for claim in claims.CLAIMS:
        assert claim.section, claim.words
        assert claim.rule, claim.words
        assert claim.judge or claim.runs, claim.words
        for run in claim.runs:
            experiments.get(run.partition("-seed")[0])


def test_numbers_are_the_tables():
    """What claims repeat of the tables is what `paper` has."""
    numbers = " ".join(claim.numbers for claim in claims.CLAIMS)
    for value in (
        *(paper.TABLE_1[f"kinetics600_{n}x{n}_12f"].fid for n in (64, 128, 256)),
        paper.TABLE_2["DVD-GAN"][0],
        paper.TABLE_2["TGANv2"][0],
        paper.TABLE_3["DVD-GAN-FP"],
        paper.TABLE_3["SAVP"],
        paper.TABLE_4["DVD-GAN"][1][0],
        *(value for value, _ in paper.TABLE_4["DVD-GAN-FP"]),
    ):
        assert str(value) in numbers
