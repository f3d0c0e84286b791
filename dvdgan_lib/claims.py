"""The ledger of the paper's claims: its words, what was measured here, and a verdict that a stated rule gives.

A claim is judged from data alone: records of measurements, rows of the pod table, or what can be computed on the spot. Where
there is nothing yet, the ledger says what it would take.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from dvdgan_lib import compared_judges, configuration, exact_judges, experiments, paper, trained_judges
from dvdgan_lib.verdicts import NOT_MEASURED, Evidence, Finding


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
      words: the paper's, shortened where marked.
      section: where.
      numbers: the paper's.
      rule: how the verdict follows, where it ends in one of SHARED_RULES by that; where nothing judges yet, what would be
        compared.
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


# --- The ledger ---

# Rules that several claims share: said once, below the ledger.
_RATIO, _SPREAD = "by the paper's rise", "by the spread of seeds"
SHARED_RULES = {
    _RATIO: (
        "reproduced: at least half of it, on a logarithmic scale; direction only: less, but a rise by more than 2 % (of "
        "truncation and resolution, several points: 0.5 % from end to end, and all along); contradicted: a fall by as much; "
        "else not seen."
    ),
    _SPREAD: (
        "reproduced: the difference is more than twice the standard deviation over seeds, pooled over both runs compared "
        f"and the reference ({compared_judges.REFERENCE}), whose seeds count for the spread where it isn't compared, too; "
        "direction only: more than once it, or more than a tenth where all have one seed; contradicted: the other way round "
        "by more than twice it. Two seeds alone reproduce and contradict nothing. Of several parts the weakest counts."
    ),
}
_FIRST = paper.TABLE_1["kinetics600_64x64_12f"]
_PHIS = tuple(f"phi_{kind}{seed}" for kind in configuration.PHIS for seed in ("", "-seed1", "-seed2"))
_KS = tuple(f"{name}{seed}" for name in experiments.FIGURE_6["k"] for seed in ("", "-seed1", "-seed2"))
_NORMS = ("norm_group", "norm_layer", "norm_instance", "norm_none")
_TABLE_1 = tuple(paper.TABLE_1)
_COPYING = "reproduced: lower FVD, and PSNR of the first frame no lower; direction only: lower FVD; contradicted: higher FVD"

CLAIMS = (
    Claim(
        '"reduces the number of pixels to process per video from 786432 to 327680: a 58% reduction"',
        "3.1",
        "58 %",
        "reproduced: 58 % after rounding",
        exact_judges.fewer_pixels,
    ),
    Claim(
        '"The only detail the DVD-GAN discriminator objective is unable to reflect is the temporal evolution of pixels '
        'within a 2 x 2 window"',
        "3.1",
        "",
        "reproduced: where frames that differ within cells only come in another order, both scores change by less than 1e-4 "
        "of themselves; where their cells' means differ, D_T's by more, and with pixels that change places in a frame D_S's",
        exact_judges.blind_within_cells,
    ),
    Claim(
        '"D_S is essential when phi is not the identity"',
        "3.1",
        "",
        f"FID without D_S above that with both; {_SPREAD}",
        judge=compared_judges.needs_spatial,
        runs=("no_ds", "phi_pool2"),
    ),
    Claim(
        '"The temporal discriminator D_T must provide G with the learning signal to generate movement"',
        "3.1",
        "",
        "class accuracy of samples, whose classes differ by motion (motion itself, where no classifier tells), lower "
        f"without D_T; {_SPREAD}",
        judge=compared_judges.motion_from_temporal,
        runs=("no_dt", "phi_pool2"),
    ),
    Claim(
        '"FID is similar for any choice of phi, while IS declines as downsampling increases"',
        "Figure 6",
        "curves",
        f"largest mean FID at most 1.25 times the smallest; IS with 4x4 pooling below that with none; {_SPREAD}",
        judge=compared_judges.alike_by_phi,
        runs=_PHIS,
    ),
    Claim(
        '"the substantially reduced IS of 4 × 4 downsampling as opposed to 2 × 2, and further [...] taking half-sized crops '
        '[...] is also notably worse"',
        "4.3",
        "curves",
        f"IS with 4x4 pooling and with crops below that with 2x2; {_SPREAD}",
        judge=compared_judges.coarser_is_worse,
        runs=_PHIS,
    ),
    Claim(
        '"Increasing k improves both with diminishing returns"',
        "Figure 6, 4.3",
        "curves",
        f"FID of k = 10 below, IS above k = 1's; reproduced only if k = 1 to 8 gains more FID than 8 to 10; {_SPREAD}",
        judge=compared_judges.more_frames_are_better,
        runs=_KS,
    ),
    Claim(
        '"We expect setting phi to the identity or k = T to result in the best model"',
        "4.3",
        "",
        f"FID of no pooling below that of each other phi; {_SPREAD}; k = T is no run of Figure 6",
        judge=compared_judges.all_pixels_are_best,
        runs=_PHIS,
    ),
    Claim(
        "With truncation the Inception Score rises",
        "Table 1, E.2",
        f"{_FIRST.inception_score} to {_FIRST.inception_score_truncated}",
        f"from sigma 1 to the best Inception Score; {_RATIO}",
        trained_judges.truncation_raises_score,
    ),
    Claim(
        "With truncation FID rises too",
        "Table 1",
        f"{_FIRST.fid} to {_FIRST.fid_truncated}",
        f"from sigma 1 to the best Inception Score; {_RATIO}",
        trained_judges.truncation_costs_fid,
    ),
    Claim(
        '"Generating longer and larger videos is a more challenging modeling problem, which is conveyed by the metrics"',
        "4.1.1",
        "FID 0.85, 1.16, 2.05 at 12 frames of 64, 128, 256",
        f"rises along resolution; {_RATIO}; not testable: where one model learned from more than twice as many clips",
        judge=trained_judges.larger_is_harder,
        runs=_TABLE_1[:3],
    ),
    Claim(
        '"the 48-frame models do not see more high resolution frames than the 12-frame model ... yet nevertheless learn to '
        'generate high resolution images"',
        "4.1.1",
        "",
        "detail of single frames beside that of real clips, more counting as little as less; reproduced: at least 0.9 of "
        "the 12-frame model's; direction only: 0.7; contradicted: below half; not seen where that has itself less than 0.8",
        judge=trained_judges.longer_keeps_detail,
        runs=("kinetics600_64x64_48f",),
    ),
    Claim(
        '"The FVD of this video synthesis model is notably better" than that of prediction',
        "4.2.1",
        "31.1 and 69.15",
        f"on test clips, prediction's over synthesis's; {_RATIO}; not testable: other data, or more than twice the steps",
        judge=trained_judges.synthesis_beats_prediction,
        runs=("kinetics600_64x64_16f_stride1", "kinetics600_fp_64x64_5to11"),
    ),
    Claim(
        "FVD on training and on test clips is alike",
        "Table 4",
        "68.66 and 69.15",
        "reproduced: within a tenth, by a model whose FVD is below that of the last frame repeated; contradicted: apart by "
        "more than half",
        judge=trained_judges.splits_are_alike,
        runs=("kinetics600_fp_64x64_5to11",),
    ),
    Claim(
        '"DVD-GAN-FP outperforms the prior work on frame-conditional prediction for Kinetics"; here: it beats copying the '
        "last frame",
        "4.2.1, Table 4",
        "69.15; Video Transformer 170",
        _COPYING,
        judge=lambda evidence: trained_judges.beats_copying(evidence, "kinetics600_fp_64x64_5to11"),
        runs=("kinetics600_fp_64x64_5to11",),
    ),
    Claim(
        '"DVD-GAN-FP outperforms all prior adversarial models"; here: it beats copying the last frame',
        "4.2.2, Table 3",
        "109.8; SAVP 116.4",
        _COPYING,
        judge=lambda evidence: trained_judges.beats_copying(evidence, "bair_fp_64x64_1to15"),
        runs=("bair_fp_64x64_1to15",),
    ),
    Claim(
        '"Our model produces samples with an IS of 32.97, significantly outperforming the state of the art"',
        "4.1.2, Table 2",
        "32.97; TGANv2 24.34",
        f"Inception Score by C3D over the best published one of others; {_RATIO}",
        judge=trained_judges.beats_published_models,
        runs=("ucf101_128x128_16f",),
    ),
    Claim(
        '"our improved score is, at least partially, due to memorization of the training data"',
        "C.1, Figure 9",
        "",
        "a sweep of the number of training clips: with one a class, samples at most half as far from what was trained on, "
        "and walks half as abrupt again, as with the most among models of about as many steps; direction only: by a tenth; "
        "of both the weaker counts",
        judge=trained_judges.few_clips_are_memorised,
        runs=experiments.MEMORIZATION,
    ),
    Claim(
        '"Note the smooth transition between videos": between two latents',
        "E.2, Figure 15",
        "",
        "reproduced: in no walk is a step half of one jump; direction only: in most walks",
        trained_judges.smooth_in_latents,
    ),
    Claim(
        '"G is able to interpolate between even very distinct classes"',
        "E.2, Figure 16",
        "",
        "reproduced: in no walk is a step half of one jump; direction only: in most walks",
        trained_judges.smooth_in_classes,
    ),
    Claim(
        '"removing the final Batch Normalization in G ... caused a catastrophic failure in learning"',
        "D",
        "",
        f"FID above the reference's, and at least twice; {_SPREAD}",
        judge=compared_judges.final_norm_is_indispensable,
        runs=("no_final_norm", "phi_pool2"),
    ),
    Claim(
        '"variants without Batch Normalization in the residual blocks often achieve significantly higher IS ... But these '
        'models had substantially worse FID scores"',
        "D",
        "IS 110.05 and FID 1.22, against 53.81 and 0.85",
        f"IS above the reference's, FID above it; {_SPREAD}",
        judge=compared_judges.block_norms_trade,
        runs=("no_block_norm", "phi_pool2"),
    ),
    Claim(
        '"Group Normalization performed best, almost on a par with (but worse than) Batch Normalization"',
        "D",
        "",
        f"FID of group norm below that of layer, instance and no norm; {_SPREAD}; and at most 1.25 times batch norm's, and "
        "not below it: else not seen, or contradicted where it is below by the same rule",
        judge=compared_judges.group_norm_is_next,
        runs=(*_NORMS, "phi_pool2"),
    ),
    Claim(
        'layer, instance and no normalization "significantly underperformed"',
        "D",
        "",
        f"FID of each above batch norm's; {_SPREAD}",
        judge=compared_judges.other_norms_are_worse,
        runs=(*_NORMS[1:], "phi_pool2"),
    ),
    Claim(
        'statistics by time step prevent "the network from utilizing the Batch Normalization layers to pass information '
        'between timesteps"',
        "B.2",
        "",
        "reproduced: where one frame changes, no other changes behind a norm, as it does with one over all frames",
        exact_judges.norms_pass_nothing_on,
    ),
    Claim(
        'normalized over all frames, the model "required batch statistics in order to produce good samples"; over timesteps '
        'independently it "worked just as well and without the dependence on statistics"',
        "D",
        "",
        "FID by standing statistics over that by the batch's own. Reproduced: at least 1.5 over all frames, at most 1.1 by "
        "time step; direction only: the first more than 1.1 times the second; contradicted: less than 1/1.1 of it; no "
        "more than not seen: FID by time step is above 1.25 times that over all frames, each at what it needs",
        judge=trained_judges.statistics_are_needed,
        runs=experiments.STATISTICS,
    ),
    Claim(
        '"BigGAN-deep trained faster (in wall clock time)"',
        "D",
        "",
        "direction only: more than 10 % fewer FLOPs a step at the paper's size, and more than 10 % less time a step here, "
        "where its curve is there; contradicted: more than 10 % more of either; of both the weaker counts",
        exact_judges.deep_is_cheaper,
    ),
    Claim(
        'BigGAN-deep "slower with regards to metrics"',
        "D",
        "",
        f"FID after as many steps above the reference's; {_SPREAD}",
        judge=compared_judges.deep_is_slower_by_steps,
        runs=("biggan_deep", "phi_pool2"),
    ),
    Claim(
        '"two 64 x 64 48-frame videos can be sampled in less than 150ms on a single TPU core"',
        "B.3",
        "150 ms",
        "reproduced: by the compiler below 150 ms",
        exact_judges.sampling_time,
    ),
    Claim(
        '"Most models took between 12 and 96 hours to train"',
        "4",
        "12 to 96 h",
        "reproduced: so for most runs on v3-512; direction only: for most within a factor of two",
        exact_judges.hours_on_pods,
    ),
    Claim(
        "Separable attention lowers the memory from O((HWT)^2) to max O(H^2WT), O(HW^2T), O(HWT^2), with features at each "
        'location "accumulated from all other features"',
        "A",
        "",
        "reproduced: the largest array of a trace is exactly that, and a change at one place changes the result at all",
        exact_judges.separable_memory,
    ),
)


def ledger(evidence: Evidence, preset: str, claims: Sequence[Claim] = CLAIMS) -> list[tuple[Claim, Finding]]:
    """Every claim with what we have to say of it, in the paper's order of CLAIMS."""
    return [(claim, claim.finding(evidence, preset)) for claim in claims]
