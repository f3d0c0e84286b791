"""The ledger of the paper's claims: its words, what was measured here, and a verdict that a stated rule gives.

A claim is judged from data alone: records of measurements, rows of the pod table, or what can be computed on the spot. Where
there is nothing yet, the ledger says what it would take.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dvdgan_lib import experiments, paper, pods
from dvdgan_lib.attention import self_attention, separable_attention
from dvdgan_lib.checkpoints import TrainedGenerator
from dvdgan_lib.discriminators import DualDiscriminator
from dvdgan_lib.experiments import ModelConfig
from dvdgan_lib.layers import orthogonal_weights
from dvdgan_lib.model_summary import summarize
from dvdgan_lib.sampling import generate

REPRODUCED, DIRECTION, NOT_SEEN = "reproduced", "direction only", "not seen"
CONTRADICTED, NOT_TESTABLE, NOT_MEASURED = "contradicted", "not testable here", "not measured yet"
VERDICTS = (REPRODUCED, DIRECTION, NOT_SEEN, CONTRADICTED, NOT_TESTABLE, NOT_MEASURED)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What claims are judged by.

    Attributes:
      generator: the 12-frame model of the preset.
      truncation: its record by `protocols.evaluate_truncation`; None where there is none.
      pod_rows: `pod_report.load`.
    """

    generator: TrainedGenerator
    truncation: dict[str, Any] | None
    pod_rows: dict[tuple[str, str, str], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Finding:
    """What we have to say of a claim: measured, at what size, from how much, and one of VERDICTS."""

    measured: str
    size: str
    verdict: str


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
      words: the paper's, shortened where marked.
      section: where.
      numbers: the paper's.
      rule: how the verdict follows; where nothing judges yet, what would be compared.
      judge: gives a Finding, or None where the evidence lacks what it needs.
      runs: experiments that it takes.
    """

    words: str
    section: str
    numbers: str
    rule: str
    judge: Callable[[Evidence], Finding | None] | None = None
    runs: tuple[str, ...] = ()

    def finding(self, evidence: Evidence, preset: str) -> Finding:
        """The verdict, or what it takes."""
        found = self.judge(evidence) if self.judge else None
        if found is not None:
            return found
        seeds = " with three seeds" if any("-seed" in run for run in self.runs) else ""
        runs = ", ".join(run for run in self.runs if "-seed" not in run) + seeds if self.runs else "its record"
        hours = sum(experiments.get(run.partition("-seed")[0], preset).cost.train_hours for run in self.runs)
        cost = f", {hours:g} h of training by estimate" if hours else ""
        return Finding(f"takes {runs}{cost}", "", NOT_MEASURED)


# --- Rules ---


def by_ratio(ours: float, papers: float, least: float = 1.02) -> str:
    """A ratio beside the paper's (both of what should be larger over what should be smaller).

    Reproduced: at least half of the paper's rise on a logarithmic scale. Direction only: above `least`. Contradicted: below
    1 / least. Else not seen.
    """
    if np.log(ours) >= np.log(papers) / 2:
        return REPRODUCED
    return DIRECTION if ours > least else CONTRADICTED if ours < 1 / least else NOT_SEEN


def by_curve(values: Sequence[float], papers_ratio: float) -> str:
    """A curve that should rise all along: as `by_ratio` of its ends, but no more than "not seen" where it falls between."""
    verdict = by_ratio(values[-1] / values[0], papers_ratio, least=1.005)
    rises = all(b > a for a, b in itertools.pairwise(values))
    return verdict if rises or verdict == CONTRADICTED else NOT_SEEN


# --- Judges ---


def fewer_pixels(evidence: Evidence) -> Finding:
    """From the shapes that D_S and D_T are called with at the paper's size."""
    summary = summarize(experiments.get("kinetics600_128x128_48f", "paper"))
    seen, whole = sum(summary.pixels.values()), summary.clip_pixels
    share = 1 - seen / whole
    return Finding(
        f"{seen:,} of {whole:,} pixels: {share:.1%} fewer, counted from the shapes that D_S and D_T are called with",
        "paper's size, exact",
        REPRODUCED if round(100 * share) == 58 else CONTRADICTED,
    )


def blindness(model: ModelConfig | None = None) -> tuple[float, float]:
    """How D_T's and D_S's scores change where pixels change places within 2x2 cells: largest |change|, relative to |score|.

    Random weights: blindness to what phi averages is no matter of training.
    """
    model = model or dataclasses.replace(
        experiments.get("kinetics600_64x64_12f", "smoke").model, num_frames=4, k=4, num_classes=2
    )
    t, size = model.num_frames, model.resolution
    rng = np.random.default_rng(0)
    video = rng.uniform(-1, 1, (2, t, size, size, 3)).astype(np.float32)
    cells = video.reshape(2, t, size // 2, 2, size // 2, 2, 3)
    moved = cells[:, :, :, ::-1, :, ::-1].copy()
    moved[:, 1::2] = cells[:, 1::2]  # every other frame only: a change over time
    labels = np.zeros(2, int)
    module, key = DualDiscriminator(model), jax.random.key(0)

    def scores(both: np.ndarray) -> dict[str, jax.Array]:
        params = orthogonal_weights(module.init(key, both, labels, key)["params"], key)
        return module.apply({"params": params}, both, labels, key)

    run = jax.jit(scores, compiler_options={"xla_backend_optimization_level": 0})
    before, after = jax.device_get(run(video)), jax.device_get(run(moved.reshape(video.shape)))
    change = {d: float(np.max(np.abs(after[d] - before[d]) / np.abs(before[d]))) for d in before}
    return change["temporal"], change["spatial"]


def blind_within_cells(evidence: Evidence) -> Finding:
    """D_T's score stays, D_S's doesn't."""
    temporal, spatial = blindness()
    holds = temporal < 1e-4 < spatial
    return Finding(
        f"pixels that change places within 2x2 cells in every other frame: D_T's score moves by {temporal:.0e} of itself, "
        f"D_S's, which sees single frames, by {spatial:.0e}",
        "random weights, exact but for rounding",
        REPRODUCED if holds else CONTRADICTED,
    )


def _truncation(evidence: Evidence, key: str, papers_ratio: float) -> Finding | None:
    record = evidence.truncation
    if record is None or len(record["points"]) < 3:
        return None
    points = sorted(record["points"], key=lambda point: -point["sigma"])
    values = [point[key]["value"] for point in points]
    curve = ", ".join(f"{v:.2f}" for v in values)
    name = points[0][key]["text"].split(" = ")[0]
    sigmas = ", ".join(f"{point['sigma']:g}" for point in points)
    size = f"{record['preset']}, {record['num_clips']} clips a point, one model: no spread"
    return Finding(f"{name} at sigma {sigmas}: {curve}", size, by_curve(values, papers_ratio))


_FIRST = paper.TABLE_1["kinetics600_64x64_12f"]


def truncation_raises_score(evidence: Evidence) -> Finding | None:
    """The curve of the Inception Score."""
    return _truncation(evidence, "inception_score", _FIRST.inception_score_truncated / _FIRST.inception_score)


def truncation_costs_fid(evidence: Evidence) -> Finding | None:
    """The curve of FID."""
    return _truncation(evidence, "fid", _FIRST.fid_truncated / _FIRST.fid)


def hours_on_pods(evidence: Evidence) -> Finding | None:
    """Whether the paper's runs take 12 to 96 hours on the largest slice, by the compiler."""
    rows = [r for (_, preset, slice_), r in evidence.pod_rows.items() if (preset, slice_) == ("paper", "v3-512")]
    rows = [r for r in rows if r["fits"]]
    if len(rows) < 9:
        return None
    hours = {row["experiment"]: row["hours"] for row in rows}
    within = sum(12 <= h <= 96 for h in hours.values())
    near = sum(6 <= h <= 192 for h in hours.values())
    verdict = REPRODUCED if within > len(rows) / 2 else DIRECTION if near > len(rows) / 2 else CONTRADICTED
    listed = ", ".join(f"{name} {h:.0f}" for name, h in sorted(hours.items(), key=lambda item: item[1]))
    return Finding(f"{within} of {len(rows)} runs: {listed} h", "paper's size, v3-512, by the TPU's compiler", verdict)


def sampling_time(evidence: Evidence) -> Finding | None:
    """Two 64x64 48-frame videos on one v3 core, by the compiler."""
    row = evidence.pod_rows.get((pods.SAMPLING, "paper", "v3-1"))
    if row is None:
        return None
    ms = 1e3 * row["step_seconds"]
    floor = 1e3 * row["model_flops"]["sample"] / pods.DEVICES["v3"].peak_flops
    # An estimate for other code is no contradiction of a measurement.
    return Finding(
        f"{ms:.0f} ms; its FLOPs, products with the zeros around each frame among them, take {floor:.0f} ms at peak",
        "paper's size, one v3 core, by the TPU's compiler",
        REPRODUCED if ms <= 150 else NOT_SEEN,
    )


def largest_array(function: Callable, *shapes: tuple[int, ...]) -> int:
    """Elements of the largest array on the way, from the trace: nothing is computed."""
    jaxpr = jax.make_jaxpr(function)(*[jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes])

    def sizes(inner: Any) -> list[int]:
        found = []
        for equation in inner.eqns:
            found += [int(np.prod(variable.aval.shape)) for variable in equation.outvars]
            for value in equation.params.values():
                value = getattr(value, "jaxpr", value)
                found += sizes(value) if hasattr(value, "eqns") else []
        return found

    return max(sizes(jaxpr.jaxpr))


def separable_memory(evidence: Evidence) -> Finding:
    """The largest array of both attentions, against the appendix's formulas."""
    c, found, holds = 4, [], True
    for h, w, t in ((8, 8, 12), (16, 16, 12), (16, 16, 48), (32, 32, 48)):
        weights = [(c, c)] * 3
        full = largest_array(lambda x, q, k, v: self_attention(x, q, k, v), (1, h * w * t, c), *weights)
        of_axis = lambda x, q, k, v: separable_attention(x, [(q, k, v)] * 3)  # noqa: E731
        separable = largest_array(of_axis, (1, h, w, t, c), *weights)
        holds &= full == (h * w * t) ** 2 and separable == h * w * t * max(h, w, t)
        found.append(f"{t}x{h}x{w}: {full:.1e} and {separable:.1e}")
    return Finding(
        "largest array, full and separable: " + "; ".join(found),
        "exact, from the trace",
        REPRODUCED if holds else CONTRADICTED,
    )


def deep_is_cheaper(evidence: Evidence) -> Finding:
    """FLOPs of a training step with both kinds of blocks, at the paper's size."""
    step = {}
    for name in ("kinetics600_64x64_12f", "biggan_deep"):
        flops = pods.model_flops(experiments.get(name, "paper"))
        step[name] = 2 * flops["d"] + flops["g"]
    ratio = step["kinetics600_64x64_12f"] / step["biggan_deep"]
    return Finding(
        f"a step with BigGAN's blocks takes {ratio:.2f} times the FLOPs of one with BigGAN-deep's; FLOPs are not time",
        "paper's size, counted",
        DIRECTION if ratio > 1.1 else CONTRADICTED if ratio < 0.9 else NOT_SEEN,
    )


def largest_over_mean(walk: np.ndarray) -> float:
    """Largest step between neighbours of a walk over the mean step: 1 where all are alike, N - 1 for a single jump.

    walk: uint8 [N, T, H, W, 3]; steps are RMS differences of pixels. nan where nothing moves.
    """
    steps = np.sqrt(np.mean(np.diff(walk.astype(np.float32), axis=0) ** 2, axis=(1, 2, 3, 4)))
    return float(steps.max() / steps.mean()) if steps.any() else float("nan")


COLUMNS, WALKS = 9, 12


def _smoothness(evidence: Evidence, kind: str) -> Finding:
    generator, m = evidence.generator, evidence.generator.experiment.model
    rng = np.random.default_rng(7)
    along = np.linspace(0, 1, COLUMNS, dtype=np.float32)[None, :, None]
    between = lambda ends: ((1 - along) * ends[:, :1] + along * ends[:, 1:]).reshape(WALKS * COLUMNS, -1)  # noqa: E731
    latents = rng.standard_normal((WALKS, 2, m.latent_dim), np.float32)
    embedded = None
    labels = np.repeat(rng.integers(0, m.num_classes, WALKS), COLUMNS)
    if kind == "class":
        latents[:, 1] = latents[:, 0]
        table = np.asarray(generator.params["embedding"]["embedding"])
        pairs = np.stack([rng.choice(m.num_classes, 2, replace=False) for _ in range(WALKS)])
        embedded = between(table[pairs])
    videos = generate(generator, between(latents), labels, embedded=embedded, progress=False)
    ratios = [largest_over_mean(walk) for walk in videos.reshape(WALKS, COLUMNS, *videos.shape[1:])]
    median, worst = float(np.nanmedian(ratios)), float(np.nanmax(ratios))
    jump = COLUMNS - 1
    verdict = REPRODUCED if worst < jump / 2 else DIRECTION if median < jump / 2 else CONTRADICTED
    return Finding(
        f"largest step over mean step, {WALKS} walks of {COLUMNS} videos: median {median:.2f}, largest {worst:.2f} "
        f"(all alike 1, one jump {jump})",
        f"{generator.experiment.preset}, one model",
        verdict,
    )


def smooth_in_latents(evidence: Evidence) -> Finding:
    """Walks between two latents of a class."""
    return _smoothness(evidence, "latent")


def smooth_in_classes(evidence: Evidence) -> Finding:
    """Walks of a latent between two classes."""
    return _smoothness(evidence, "class")


# --- The ledger ---

_RATIO = "reproduced: at least half of the paper's rise (logarithms); direction only: rises; not seen: not all along"
_SEEDS = "difference of means beside the spread of three seeds"
_PHIS = tuple(f"phi_{kind}{seed}" for kind in experiments.PHIS for seed in ("", "-seed1", "-seed2"))
_KS = tuple(f"k_{k}{seed}" for k in (1, 2, 8, 10) for seed in ("", "-seed1", "-seed2"))
_NORMS = ("norm_group", "norm_layer", "norm_instance", "norm_none")
_TABLE_1 = tuple(paper.TABLE_1)

CLAIMS = (
    Claim(
        '"reduces the number of pixels to process per video from 786432 to 327680: a 58% reduction"',
        "3.1",
        "58 %",
        "reproduced: 58 % after rounding",
        fewer_pixels,
    ),
    Claim(
        '"The only detail the DVD-GAN discriminator objective is unable to reflect is the temporal evolution of pixels '
        'within a 2 x 2 window"',
        "3.1",
        "",
        "reproduced: D_T's score changes by less than 1e-4 of itself, D_S's by more",
        blind_within_cells,
    ),
    Claim(
        '"D_S is essential when phi is not the identity"',
        "3.1",
        "",
        "FID without D_S beside that of phi_pool2, " + _SEEDS,
        runs=("no_ds", "phi_pool2"),
    ),
    Claim(
        '"The temporal discriminator D_T must provide G with the learning signal to generate movement"',
        "3.1",
        "",
        "mean change between frames, and class accuracy of moving shapes, without D_T",
        runs=("no_dt", "phi_pool2"),
    ),
    Claim(
        '"FID is similar for any choice of phi, while IS declines as downsampling increases"',
        "Figure 6",
        "curves",
        _SEEDS,
        runs=_PHIS,
    ),
    Claim(
        '4x4 pooling and half-sized crops "lead to a loss in performance" beside 2x2',
        "3.2, 4.3",
        "curves",
        _SEEDS,
        runs=_PHIS,
    ),
    Claim(
        '"Increasing k improves both with diminishing returns"; "we expect ... k = T to result in the best model"',
        "Figure 6, 4.3",
        "curves",
        _SEEDS,
        runs=_KS,
    ),
    Claim(
        "With truncation the Inception Score rises",
        "Table 1, E.2",
        f"{_FIRST.inception_score} to {_FIRST.inception_score_truncated}",
        _RATIO,
        truncation_raises_score,
    ),
    Claim(
        "With truncation FID rises too",
        "Table 1",
        f"{_FIRST.fid} to {_FIRST.fid_truncated}",
        _RATIO,
        truncation_costs_fid,
    ),
    Claim(
        '"Generating longer and larger videos is a more challenging modeling problem, which is conveyed by the metrics"',
        "4.1.1",
        "FID 0.85, 1.16, 2.05 at 12 frames of 64, 128, 256",
        "order of FID at equal length",
        runs=_TABLE_1[:3],
    ),
    Claim(
        '"the 48-frame models do not see more high resolution frames than the 12-frame model ... yet nevertheless learn to '
        'generate high resolution images"',
        "4.1.1",
        "",
        "detail of single frames of both models beside that of real clips",
        runs=("kinetics600_64x64_48f",),
    ),
    Claim(
        '"The FVD of this video synthesis model is notably better" than that of prediction',
        "4.2.1",
        "31.1 and 69.15",
        "ratio of FVDs on test clips",
        runs=("kinetics600_64x64_16f_stride1", "kinetics600_fp_64x64_5to11"),
    ),
    Claim(
        "FVD on training and on test clips is alike",
        "Table 4",
        "68.66 and 69.15",
        "difference beside the spread of draws",
        runs=("kinetics600_fp_64x64_5to11",),
    ),
    Claim(
        '"DVD-GAN-FP outperforms all prior adversarial models"; here: it beats copying the last frame',
        "4.2.2, Table 3",
        "109.8; SAVP 116.4",
        "order of FVD, and PSNR of the first frame",
        runs=("bair_fp_64x64_1to15",),
    ),
    Claim(
        '"Our model produces samples with an IS of 32.97, significantly outperforming the state of the art"',
        "4.1.2, Table 2",
        "32.97; TGANv2 24.34",
        "order of Inception Scores, as far as baselines run here",
        runs=("ucf101_128x128_16f",),
    ),
    Claim(
        '"our improved score is, at least partially, due to memorization of the training data"',
        "C.1, Figure 9",
        "",
        "distance to nearest training clips, and smoothness of walks, against the number of training clips",
        runs=("ucf101_128x128_16f",),
    ),
    Claim(
        '"Note the smooth transition between videos": between two latents',
        "E.2, Figure 15",
        "",
        "reproduced: in no walk is a step half of one jump; direction only: in most walks",
        smooth_in_latents,
    ),
    Claim(
        '"G is able to interpolate between even very distinct classes"',
        "E.2, Figure 16",
        "",
        "reproduced: in no walk is a step half of one jump; direction only: in most walks",
        smooth_in_classes,
    ),
    Claim(
        '"removing the final Batch Normalization in G ... caused a catastrophic failure in learning"',
        "D",
        "",
        "FID beside that of phi_pool2, " + _SEEDS,
        runs=("no_final_norm", "phi_pool2"),
    ),
    Claim(
        '"variants without Batch Normalization in the residual blocks often achieve significantly higher IS ... But these '
        'models had substantially worse FID scores"',
        "D",
        "IS 110.05 and FID 1.22, against 53.81 and 0.85",
        "signs of both differences beside the spread of seeds",
        runs=("no_block_norm", "phi_pool2"),
    ),
    Claim(
        '"Group Normalization performed best, almost on a par with (but worse than) Batch Normalization"; layer, instance '
        'and no normalization "significantly underperformed"',
        "D",
        "",
        "order of FID",
        runs=(*_NORMS, "phi_pool2"),
    ),
    Claim(
        'normalized over all frames, the model "required batch statistics in order to produce good samples"; over timesteps '
        'independently it "worked just as well and without the dependence on statistics"',
        "D",
        "",
        "FID by batch statistics and by standing ones",
        runs=("norm_over_time", "phi_pool2"),
    ),
    Claim(
        '"BigGAN-deep trained faster (in wall clock time)"',
        "D",
        "",
        "direction only: more than 10 % fewer FLOPs a step",
        deep_is_cheaper,
    ),
    Claim(
        'BigGAN-deep "slower with regards to metrics"',
        "D",
        "",
        "FID over steps, " + _SEEDS,
        runs=("biggan_deep", "phi_pool2"),
    ),
    Claim(
        '"two 64 x 64 48-frame videos can be sampled in less than 150ms on a single TPU core"',
        "B.3",
        "150 ms",
        "reproduced: by the compiler below 150 ms",
        sampling_time,
    ),
    Claim(
        '"Most models took between 12 and 96 hours to train"',
        "4",
        "12 to 96 h",
        "reproduced: so for most runs on v3-512; direction only: for most within a factor of two",
        hours_on_pods,
    ),
    Claim(
        "Separable attention lowers the memory from O((HWT)^2) to max O(H^2WT), O(HW^2T), O(HWT^2)",
        "A",
        "",
        "reproduced: the largest array of a trace is exactly that",
        separable_memory,
    ),
)


def ledger(evidence: Evidence, preset: str, claims: Sequence[Claim] = CLAIMS) -> list[tuple[Claim, Finding]]:
    """Every claim with what we have to say of it, in the paper's order of CLAIMS."""
    return [(claim, claim.finding(evidence, preset)) for claim in claims]
