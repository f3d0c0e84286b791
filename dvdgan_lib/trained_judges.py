"""Judges of claims about trained models; those about runs that are compared: `compared_judges`.

Each takes Evidence and gives a Finding, or None where the evidence lacks what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dvdgan_lib import data, experiments, interpolation, paper, sampling, selection, training_data
from dvdgan_lib.metrics.memorization import abruptness, pixels
from dvdgan_lib.verdicts import (
    ALIKE,
    CONTRADICTED,
    DIRECTION,
    NOT_SEEN,
    NOT_TESTABLE,
    REPRODUCED,
    Evidence,
    Finding,
    by_curve,
    by_factor,
    by_ratio,
    for_as_long,
    of_clips,
    weakest,
)

# --- Truncation and interpolation ---


def _truncation(evidence: Evidence, key: str, papers_ratio: float) -> Finding | None:
    record = evidence.records.get(("kinetics600_64x64_12f", "truncation"))
    if record is None or len(record["points"]) < 3:
        return None
    points = sorted(record["points"], key=lambda point: -point["sigma"])
    values = [point[key]["value"] for point in points]
    curve = ", ".join(f"{v:.2f}" for v in values)
    # The paper's is at the best Inception Score: what lies beyond it no claim is about.
    best = next(i for i, point in enumerate(points) if point["sigma"] == record["best"])
    name = points[0][key]["text"].split(" = ")[0]
    sigmas = ", ".join(f"{point['sigma']:g}" for point in points)
    size = f"{record['preset']}, a point of {of_clips(record['num_clips'])}, one model: no spread"
    if best:
        verdict = by_curve(values[: best + 1], papers_ratio)
    else:  # no truncation is better than none: how far the score falls counts, and what FID does is of no claim
        verdict = by_curve(values, papers_ratio) if key == "inception_score" else NOT_SEEN
    return Finding(f"{name} at sigma {sigmas}: {curve}; best Inception Score at {record['best']:g}", size, verdict)


_FIRST = paper.TABLE_1["kinetics600_64x64_12f"]


def truncation_raises_score(evidence: Evidence) -> Finding | None:
    """The curve of the Inception Score."""
    return _truncation(evidence, "inception_score", _FIRST.inception_score_truncated / _FIRST.inception_score)


def truncation_costs_fid(evidence: Evidence) -> Finding | None:
    """The curve of FID."""
    return _truncation(evidence, "fid", _FIRST.fid_truncated / _FIRST.fid)


COLUMNS, WALKS = 9, 48  # of twelve, none jumped between classes; of four times as many, one did


def _smoothness(evidence: Evidence, walk: Callable[..., Any]) -> Finding:
    generator, rng = evidence.generator, np.random.default_rng(7)
    ratios = [abruptness(pixels(walk(generator, COLUMNS, rng)[0])) for _ in range(WALKS)]
    where = f"{generator.experiment.preset}, one model"
    if not np.isfinite(ratios).any():
        return Finding(f"nothing changes along any of {WALKS} walks of {COLUMNS} videos", where, NOT_SEEN)
    median, worst = float(np.nanmedian(ratios)), float(np.nanmax(ratios))
    jump = COLUMNS - 1
    verdict = REPRODUCED if worst < jump / 2 else DIRECTION if median < jump / 2 else CONTRADICTED
    return Finding(
        f"largest step over mean step, {WALKS} walks of {COLUMNS} videos: median {median:.2f}, largest {worst:.2f} "
        f"(all alike 1, one jump {jump})",
        where,
        verdict,
    )


def smooth_in_latents(evidence: Evidence) -> Finding:
    """Walks between two latents of a class."""
    return _smoothness(evidence, interpolation.walk_in_latents)


def smooth_in_classes(evidence: Evidence) -> Finding:
    """Walks of a latent between two classes."""
    return _smoothness(evidence, interpolation.walk_in_classes)


# --- Prediction ---


def beats_copying(evidence: Evidence, run: str) -> Finding | None:
    """FVD and PSNR of the first predicted frame, of experiment `run` beside the last given frame repeated; test clips."""
    record = evidence.records.get((run, "prediction"))
    if record is None:
        return None
    ours, copied = (record["results"]["test"][name] for name in ("samples", "copy_last_frame"))
    fvd, psnr = [r["fvd"]["value"] for r in (ours, copied)], [r["psnr"][0] for r in (ours, copied)]
    verdict = CONTRADICTED if fvd[0] > fvd[1] else REPRODUCED if psnr[0] >= psnr[1] else DIRECTION
    return Finding(
        f"FVD {fvd[0]:.0f}, copying {fvd[1]:.0f}; PSNR of the first predicted frame {psnr[0]:.1f} dB, copying {psnr[1]:.1f}",
        f"{record['preset']}, {of_clips(record['num_clips'])}, {record['data']}, one model",
        verdict,
    )


_PREDICTION = ("kinetics600_fp_64x64_5to11", "prediction")
_SYNTHESIS = ("kinetics600_64x64_16f_stride1", "synthesis")


def _on_both_splits(evidence: Evidence, key: tuple[str, str]) -> dict[str, Any] | None:
    """A record of Table 4 that has training and test clips; None where it has not been measured."""
    record = evidence.records.get(key)
    return record if record and record["results"].keys() >= {"train", "test"} else None


def _fvd(record: dict[str, Any], split: str, of: str = "samples", which: str = "fvd") -> float:
    return record["results"][split][of][which]["value"]


def synthesis_beats_prediction(evidence: Evidence) -> Finding | None:
    """FVD on test clips, prediction's over synthesis's."""
    prediction, synthesis = (_on_both_splits(evidence, key) for key in (_PREDICTION, _SYNTHESIS))
    if not (prediction and synthesis):
        return None
    clips = of_clips(min(prediction["num_clips"], synthesis["num_clips"]))
    size = f"{prediction['preset']}, a number of {clips}, {prediction['data']}, one model each"
    papers = paper.TABLE_4["DVD-GAN-FP"][1][0] / paper.TABLE_4["DVD-GAN"][1][0]
    measured = f"FVD of synthesis {_fvd(synthesis, 'test'):.0f}, of prediction {_fvd(prediction, 'test'):.0f}"
    if all("fvd_alone" in record["results"]["test"]["samples"] for record in (synthesis, prediction)):
        alone = [f"{_fvd(record, 'test', which='fvd_alone'):.0f}" for record in (synthesis, prediction)]
        measured += f"; of the frames that both make {alone[0]} and {alone[1]}"
    if synthesis["data"] != prediction["data"]:  # as of a predictor from before it took synthesis's classes
        what = f"{measured}, but synthesis of other data: {synthesis['data']}; takes {_PREDICTION[0]} trained on those"
        return Finding(what, size, NOT_TESTABLE)
    steps = [record["model"]["steps"] for record in (synthesis, prediction)]
    if not for_as_long(steps):
        what = f"{measured}, after {steps[0]:,} and {steps[1]:,} steps; takes {max(steps) // 2:,} or more of both"
        return Finding(what, size, NOT_TESTABLE)
    return Finding(measured, size, by_ratio(_fvd(prediction, "test") / _fvd(synthesis, "test"), papers))


def splits_are_alike(evidence: Evidence) -> Finding | None:
    """FVD of predictions on training and on test clips, of a model that has learned to predict.

    One that has not is alike on both, too.
    """
    if (record := _on_both_splits(evidence, _PREDICTION)) is None:
        return None
    train, test = (_fvd(record, split) for split in ("train", "test"))
    copied = [_fvd(record, split, "copy_last_frame") for split in ("train", "test")]
    apart = max(test / train, train / test)
    verdict = REPRODUCED if apart <= 1.1 else NOT_SEEN if apart <= 1.5 else CONTRADICTED
    if test >= copied[1] and verdict == REPRODUCED:
        verdict = NOT_SEEN
    return Finding(
        f"FVD on training clips {train:.0f}, on test clips {test:.0f}; of the last frame repeated {copied[0]:.0f} and "
        f"{copied[1]:.0f}",
        f"{record['preset']}, a number of {of_clips(record['num_clips'])}, {record['data']}, one model",
        verdict,
    )


def larger_is_harder(evidence: Evidence) -> Finding | None:
    """FID at equal length along resolution, of models that learned from about as many clips (steps times batch).

    One that learned from a tenth of them is worse for that: such numbers are shown, and say nothing of resolution.
    """
    names = [f"kinetics600_{size}x{size}_12f" for size in (64, 128, 256)]
    records = [evidence.records.get((name, "evaluation")) for name in names]
    if not all(records):
        return None
    alike = all("paper" in record for record in records)  # measured as the paper did
    fid = [record["paper" if alike else "samples"]["fid"]["value"] for record in records]
    papers = paper.TABLE_1[names[-1]].fid / paper.TABLE_1[names[0]].fid
    steps = [record["model"]["steps"] for record in records]
    # Records name no batch. The registered one is the model's: `test_trained_models` compares those that are shipped.
    batches = [
        experiments.get(name, record["preset"]).training.batch_size for name, record in zip(names, records, strict=True)
    ]
    sizes = "; ".join(
        f"{record['clip'][1]}x{record['clip'][2]}, {n:,} steps of {batch} clips: {value:.2f}"
        for record, n, batch, value in zip(records, steps, batches, fid, strict=True)
    )
    clips = of_clips(min(record["num_clips"] for record in records))
    size = f"{records[0]['preset']}, a number of {clips}, one model each"
    learned_from = [n * batch for n, batch in zip(steps, batches, strict=True)]
    if not for_as_long(learned_from):
        why = "not of as many clips in all, so this is not resolution alone"
        return Finding(f"FID at {sizes}; {why}; takes {max(learned_from) // 2:,} clips or more each", size, NOT_TESTABLE)
    return Finding(f"FID at {sizes}", size, by_curve(fid, papers))


DETAIL_CLIPS = 128


def longer_keeps_detail(evidence: Evidence) -> Finding | None:
    """The detail of single frames (`selection.detail`) over that of held-out clips, of the 48- and the 12-frame model.

    More than real frames have is noise, so what counts is how far from 1 it is, either way.
    """
    if evidence.longer is None:
        return None
    shares, sizes = [], []
    for generator in (evidence.generator, evidence.longer):
        source = training_data.load_source(generator.experiment, "test")
        real = data.first_clips(source, min(DETAIL_CLIPS, len(source)))[0]
        videos = sampling.sample(generator, DETAIL_CLIPS, seed=5)
        shares.append(float(selection.detail(videos).mean() / selection.detail(real).mean()))
        m = generator.experiment.model
        sizes.append(f"{m.num_frames} frames of {m.resolution}x{m.resolution} after {generator.card['steps']:,} steps")
    short, long = (min(share, 1 / share) for share in shares)
    verdict = REPRODUCED if long >= 0.9 * short else DIRECTION if long >= 0.7 * short else NOT_SEEN
    if long < short / 2:
        verdict = CONTRADICTED
    if short < 0.8 and verdict != CONTRADICTED:  # alike in being unlike real clips: noise looks like detail, too
        verdict = NOT_SEEN
    measured = "; ".join(f"{size}: {share:.2f}" for size, share in zip(sizes, shares, strict=True))
    where = f"{evidence.generator.experiment.preset}, {DETAIL_CLIPS} samples each, one model each"
    return Finding(f"change from pixel to pixel over that of real clips, {measured}", where, verdict)


# --- Statistics of the batch ---


def statistics_are_needed(evidence: Evidence) -> Finding | None:
    """FID by standing statistics over that by the batch's own: norms over all frames beside norms by time step.

    And whether the latter "worked just as well": by standing statistics at most ALIKE times the former's by its batch's.
    """
    records = evidence.records_of("statistics", experiments.STATISTICS)
    if not records:
        return None
    ratios, said = [], []
    for name, found in zip(experiments.STATISTICS, records, strict=True):
        standing, own = found["standing"]["fid"], found["batch"]["fid"]
        ratios.append(standing / own)
        said.append(f"{name} {standing:.2f} by standing ones, {own:.2f} by its batch's")
    over_time, by_step = ratios
    relative = over_time / by_step
    verdict = DIRECTION if relative > 1.1 else CONTRADICTED if relative < 1 / 1.1 else NOT_SEEN
    if over_time >= 1.5 and by_step <= 1.1:
        verdict = REPRODUCED
    as_well = records[1]["standing"]["fid"] / records[0]["batch"]["fid"]
    if as_well > ALIKE:
        verdict = weakest(verdict, NOT_SEEN)
    where = f"{evidence.generator.experiment.preset}, {of_clips(records[0]['num_clips'])} a side, one model each"
    measured = f"FID {'; '.join(said)}: {over_time:.2f} and {by_step:.2f} times"
    return Finding(f"{measured}; the second's over the first's, each at what it needs: {as_well:.2f}", where, verdict)


# --- Memorisation ---


def few_clips_are_memorised(evidence: Evidence) -> Finding | None:
    """Samples of few clips lie at them, those of many don't; and their walks jump more.

    Many are the most clips that a model learned from in about as many steps: all of them at the paper's size.
    """
    sweep = evidence.records_of("memorization", experiments.MEMORIZATION)
    if not sweep:
        return None
    ratios = [float(np.median(found["ratios"])) for found in sweep]
    jumps = [float(np.nanmedian(found["abruptness"])) for found in sweep]
    steps = [found["steps"] for found in sweep]
    many = max(i for i in range(len(steps)) if for_as_long([steps[0], steps[i]]))
    if not many:
        return Finding(f"models trained for {', '.join(f'{n:,}' for n in steps)} steps", "", NOT_TESTABLE)
    near, abrupt = by_factor(ratios[many] / ratios[0], 2.0), by_factor(jumps[0] / jumps[many], 1.5)
    listed = "; ".join(
        f"{found['clips']} ({found['steps']:,} steps): {ratio:.2f}, {jump:.2f}"
        for found, ratio, jump in zip(sweep, ratios, jumps, strict=True)
    )
    few_and_many = " and ".join(sweep[i]["clips"] for i in (0, many))
    return Finding(
        "nearest trained-on over nearest unseen clip, and largest over mean step of walks (medians), trained on "
        f"{listed}. {few_and_many} compared: distances {near}, walks {abrupt}",
        f"{evidence.generator.experiment.preset}, {sweep[0]['num_clips']} samples, one model each",
        weakest(near, abrupt),
    )


def beats_published_models(evidence: Evidence) -> Finding:
    """Our Inception Score by C3D, which takes UCF-101, over the best of the other models' published ones."""
    record = evidence.records.get(("ucf101_128x128_16f", "inception_score"))
    if record is None:
        return Finding("takes UCF-101 and C3D's weights: the score of another data set says nothing", "", NOT_TESTABLE)
    others = {name: score for name, (score, _) in paper.TABLE_2.items() if name != "DVD-GAN"}
    best = max(others, key=others.__getitem__)
    ours, papers = record["inception_score"]["value"], paper.TABLE_2["DVD-GAN"][0]
    return Finding(
        f"{record['inception_score']['text']}; {best}'s, as published: {others[best]}",
        f"{record['preset']}, {record['num_clips']:,} clips, one model",
        by_ratio(ours / others[best], papers / others[best]),
    )
