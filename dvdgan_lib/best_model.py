"""The generator of a run under way: its averaged weights, its sample sheets, its FID on a schedule and the best one kept.

The paper's Table 1 is taken at the best FID. Here FID is measured every `training.evaluate_every` steps on few clips, which
is enough to compare steps of one run and no more: the record says so. With `training.export` "best" the model in best/ is
what the run ends in, and it is measured anew for the table.

With many hosts all processes sample together; process 0 alone measures and writes.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.sharding import NamedSharding

from dvdgan_lib import data, hosts
from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.checkpoints import CheckpointError, Checkpoints
from dvdgan_lib.configuration import Experiment, UnknownExperimentError
from dvdgan_lib.run_record import OF_FEW_CLIPS
from dvdgan_lib.sampling import draw, generate, standing_statistics
from dvdgan_lib.spectral_norm import spectral_normalize
from dvdgan_lib.trained_generator import TrainedGenerator, export, load_generator
from dvdgan_lib.updates import State, Updates

log = logging.getLogger(__name__)

# (real, fake, labels): uint8 [N, T, H, W, 3], the real ones the same each time, and the classes of the fakes, [N]
# -> {"fid": ..., "inception_score": ..., ...}, each a float with a str that says of what.
Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, Any]]


@functools.lru_cache
def _normalizer(whole: NamedSharding) -> Callable[..., Any]:
    return jax.jit(lambda ema, u: spectral_normalize(ema, u, update=False)[0], out_shardings=whole)


def averaged_generator(
    updates: Updates, state: State, card: dict[str, Any], given: np.ndarray | None = None
) -> TrainedGenerator:
    """The EMA generator of a state, spectral norm applied, with standing statistics.

    given: for prediction the first frames of training clips, see `standing_statistics`.
    """
    params = jax.device_get(_normalizer(updates.replicated)(state.ema, state.g_vectors))
    standing = standing_statistics(updates.experiment, params, conditioning=given)
    return TrainedGenerator(updates.experiment, params, standing, card, path="")


def sample_sheet(
    folder: epath.Path, generator: TrainedGenerator, step: int, seed: int, given: np.ndarray | None
) -> np.ndarray:
    """Writes samples/step_N.png: a row a class (up to 8), always the same latents; frames from left to right.

    Returns:
      What is on it, without frames that were given: uint8 [8, T, H, W, 3].
    """
    m = generator.experiment.model
    latents, _ = draw(m, 8, 1.0, (seed, 3))
    labels = np.arange(8, dtype=np.int32) % m.num_classes
    shown = None if given is None else given[np.arange(8) % len(given)]
    videos = generate(generator, latents, labels, conditioning=shown, progress=False)
    if hosts.is_first():
        import mediapy  # here, because they bring Matplotlib: a second and a half before the first step

        from dvdgan_lib.plots import filmstrips

        sheet = folder / "samples" / f"step_{step:06d}.png"
        sheet.parent.mkdir(exist_ok=True)
        with sheet.open("wb") as opened:
            opened.write(mediapy.compress_image(filmstrips(videos, max_frames=12, scale=max(1, 64 // m.resolution))))
    return videos[:, m.conditioning_frames :]


def measure_of(experiment: Experiment, workdir: epath.PathLike) -> Measure:
    """What a run is measured by on its schedule (`training.evaluate_by`).

    Raises:
      CheckpointError: by the stand-in's classifier where there is none; by I3D where its weights are missing or altered.
      UnknownExperimentError: by I3D of clips that are too short for it.
    """
    from dvdgan_lib import metrics  # here, because it brings SciPy and more: seconds before the first step
    from dvdgan_lib.metrics import i3d

    classifier = None
    if experiment.training.evaluate_by == "stand-in classifier":
        classifier = metrics.require_classifier(experiment, workdir)
    else:
        if (frames := experiment.model.clip_frames) < i3d.MIN_FRAMES:
            raise UnknownExperimentError(
                f"I3D takes clips of at least {i3d.MIN_FRAMES} frames, and these have {frames}: don't measure on the way "
                "(evaluate_every = 0), or train longer clips."
            )
        try:
            i3d.load_params(metrics.NETWORK)
        except metrics.WeightsError as error:
            raise CheckpointError(f"{experiment.name} is to be measured on its way. {error}") from error
    seen_real: list[metrics.I3DFeatures] = []  # computed once: half of the work

    def by_i3d(real: np.ndarray, fake: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        seen_real[:] = seen_real or [metrics.features(real)]
        seen = metrics.features(fake)
        fid = metrics.frechet_inception_distance(seen_real[0], seen)
        return {"fid": fid, "inception_score": metrics.inception_score(seen)}

    def by_classifier(real: np.ndarray, fake: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        return {
            "fid": metrics.stand_in_frechet_distance(real, fake, classifier),
            "inception_score": metrics.stand_in_inception_score(fake, classifier),
            "class_accuracy": metrics.class_accuracy(fake, labels, classifier),
        }

    return by_i3d if classifier is None else by_classifier


class BestModel:
    """best/ of a run: model.safetensors with its card, checkpoints/ and best.json of the lowest FID so far."""

    def __init__(self, folder: epath.Path, source: data.VideoSource, clips: int, seed: int, measure: Measure | None):
        """Goes on from what best/ holds.

        Args:
          folder: the run's.
          source: training clips, the real side.
          clips: N of each side.
          seed: of the samples, the same each time.
          measure: see `measure_of`; None where nothing will be measured.
        """
        self.folder, self.source, self.clips, self.seed = folder / "best", source, clips, seed
        self._measure = measure
        self._real: np.ndarray | None = None
        self._real_motion = np.float32(0)
        self._checkpoints: Checkpoints | None = None
        record = self.folder / "best.json"
        self.best = json.loads(record.read_text())["fid"] if record.exists() else float("inf")

    def measure(self, step: int, generator: TrainedGenerator, state: Any, position: Any) -> dict[str, float]:
        """Measures a step's model, and keeps it where it is the best so far.

        Args:
          step: its number.
          generator: its averaged model.
          state: to be saved with it.
          position: the loader's iterator.

        Returns:
          What was measured of few clips by its names in metrics.jsonl, the same in every process: FID, Inception Score,
          and "motion", the samples' mean change from frame to frame over that of the real clips.
        """
        m, n = generator.experiment.model, min(self.clips, len(self.source))
        if self._real is None:
            self._real = data.first_clips(self.source, n)[0]
        latents, labels = draw(m, n, 1.0, (self.seed, 4))
        given = self._real[:, : m.conditioning_frames] if m.conditioning_frames else None
        fake = generate(generator, latents, labels, conditioning=given, progress=False)
        values, text = {}, ""
        if hosts.is_first():
            from dvdgan_lib.selection import motion  # here, because it brings SciPy: a second before the first step

            found = self._measure(self._real, fake, labels)
            values, text = {name: float(result) for name, result in found.items()}, str(found["fid"])
            self._real_motion = self._real_motion or motion(self._real).mean()
            values["motion"] = float(motion(fake).mean() / self._real_motion)
        values, text = hosts.from_first("fid", [values, text])
        value = values["fid"]
        if value < self.best:
            self.best = value
            log.info("Best so far, at step %d: %s; kept in %s.", step, text, self.folder)
            if self._checkpoints is None:
                self._checkpoints = Checkpoints(self.folder / "checkpoints", keep=1)
            self._checkpoints.save(step, state, position)
            if hosts.is_first():
                few = f"{n} clips a side: few, for comparing steps of this run only"
                card = generator.card | {"steps": step, "fid": value, "fid_of": f"{text} ({few})"}
                export(self.folder / "model.safetensors", generator.experiment, generator.params, generator.standing, card)
                # Last: a killed process measures this step again, and then finds it better than what is said here.
                write_atomically(
                    self.folder / "best.json", json.dumps({"step": step, "fid": value, "of": text, "note": few})
                )
        return {name + OF_FEW_CLIPS: number for name, number in values.items()}

    def export_to(self, path: epath.PathLike, experiment: Experiment, card: dict[str, Any]) -> bool:
        """Exports the best model to `path` as what the run ended in; False where nothing was measured.

        The card in best/ is of the run as it was then; since then it may have been lengthened, or resumed on another commit.
        """
        own = self.folder / "model.safetensors"
        if not own.exists():
            return False
        kept = load_generator(own)
        of_best = {name: kept.card[name] for name in ("steps", "fid", "fid_of")}
        export(path, experiment, kept.params, kept.standing, card | of_best)
        return True

    def close(self) -> None:
        """Ends what the checkpoints have under way."""
        if self._checkpoints is not None:
            self._checkpoints.close()
