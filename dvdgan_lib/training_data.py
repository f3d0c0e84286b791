"""What a run learns from: its data set or the stand-in that is at hand, and for prediction the frames it is given."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np

from dvdgan_lib import data, experiments
from dvdgan_lib.configuration import Experiment

log = logging.getLogger(__name__)


def with_data_at_hand(experiment: Experiment) -> Experiment:
    """The experiment on the data that is on this machine.

    On `colab` that is the stand-in, with its classes and stride 1, where the paper's data set is not prepared; the log says
    so. A model's record then names what it learned from, and its numbers stand with the stand-in's. Others are unchanged.
    """
    d = experiment.data
    if experiment.preset != "colab" or d.folder or d.name not in data.PREPARED:
        return experiment
    where = data.prepared_folder(d.name)
    if data.is_prepared(where):
        return experiment
    stand_in, num_classes = experiments.STAND_INS[d.name]
    log.warning("There is no prepared %s in %s: %s stands in for it.", d.name, where, stand_in)
    model = experiment.model
    if not model.conditioning_frames:  # prediction has one class for all (B.4)
        model = dataclasses.replace(model, num_classes=num_classes)
    return dataclasses.replace(experiment, model=model, data=dataclasses.replace(d, name=stand_in, stride=1))


def with_folder(experiment: Experiment, data_dir: str) -> Experiment:
    """The experiment on a prepared data set, or on a folder of one's own videos, one subfolder a class.

    There is no classifier of such videos: I3D measures the run on its way.
    """
    return dataclasses.replace(
        experiment,
        data=dataclasses.replace(experiment.data, folder=data_dir),
        training=dataclasses.replace(experiment.training, evaluate_by="I3D"),
    )


def load_source(experiment: Experiment, split: str = "train") -> data.VideoSource:
    """The experiment's data set; for prediction, which doesn't condition on classes (B.4), all that synthesis has.

    `clips_per_class` limits what is trained on. The test split stays whole: it says what the model does elsewhere. Which
    data set it is on `colab`: `with_data_at_hand`.

    Raises:
      data.DataError: it can't be read, or has no such clips or classes; one sentence.
    """
    experiment = with_data_at_hand(experiment)
    m, d = experiment.model, experiment.data
    name, num_classes = d.name, m.num_classes
    if m.conditioning_frames:  # of a stand-in, too, what synthesis learns from: Table 4 compares the two
        num_classes = dict(experiments.STAND_INS.values()).get(name)
    try:
        return data.load(
            "folder" if d.folder else name,
            split,
            num_frames=m.clip_frames,
            resolution=m.resolution,
            stride=d.stride,
            num_classes=None if d.folder else num_classes,
            data_dir=d.folder,
            clips_per_class=d.clips_per_class if split == "train" else None,
        )
    except ValueError as error:  # of settings that this data set doesn't have
        raise data.DataError(f"{d.folder or name} can't serve {experiment.name}: {error}") from error


def given_frames(experiment: Experiment, source: data.VideoSource, num: int) -> np.ndarray | None:
    """The first C frames of a data set's first clips, uint8 [num, C, H, W, 3], to predict from; None for synthesis."""
    c = experiment.model.conditioning_frames
    return data.first_clips(source, num)[0][:, :c] if c else None


def given_for_statistics(experiment: Experiment, source: data.VideoSource) -> np.ndarray | None:
    """`given_frames` for `standing_statistics`, uint8 [N, C, H, W, 3]; None for synthesis.

    N is what the statistics take, and at most 512: by then the clips hardly matter, and decoding them takes its time.
    """
    wanted = experiment.training.batch_size * experiment.evaluation.standing_batches
    return given_frames(experiment, source, min(wanted, len(source), 512))
