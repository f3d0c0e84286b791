"""Widths as the paper prints them, and which settings fit together."""

import dataclasses

import pytest

from dvdgan_lib import configuration, experiments


def test_widths_are_those_that_b_2_prints():
    assert configuration.G_WIDTHS[64] == (8, 8, 8, 4, 2)
    assert configuration.G_WIDTHS[128] == (8, 8, 8, 4, 2, 1)
    assert configuration.D_WIDTHS[64] == (2, 4, 8, 16, 16)
    assert configuration.D_WIDTHS[128] == (1, 2, 4, 8, 16, 16)
    for resolution, widths in configuration.G_WIDTHS.items():
        assert 4 * 2 ** (len(widths) - 1) == resolution, "G doubles 4x4 once a group"
        assert len(configuration.D_WIDTHS[resolution]) == len(widths)


@pytest.mark.parametrize(
    ("part", "changes", "sentence"),
    [
        ("model", {"resolution": 48}, "Resolution 48"),
        ("model", {"phi": "pool3"}, "pool3"),
        ("model", {"k": 13}, "k = 13 of 12"),
        ("model", {"k": 0}, "k = 0"),
        ("model", {"spatial_discriminator": False, "temporal_discriminator": False}, "nothing is left"),
        ("data", {"shuffling": "some"}, "shuffling = 'some' does not exist; there are independent, disjoint"),
        ("data", {"clips_per_class": 0}, "at least 1 clip of each class, or all with None, not 0"),
        ("training", {"steps": 0}, "steps = 0: it must be at least 1"),
        ("training", {"d_updates": 0}, "d_updates = 0"),
        ("model", {"ch": 0}, "ch = 0"),
        ("evaluation", {"standing_batches": 0}, "standing_batches = 0"),
        ("training", {"evaluate_every": 5, "evaluate_clips": 1}, "at least 2 clips"),
        ("model", {"conditioning_frames": 1}, "Prediction from 1 frames with 8 classes"),
        ("model", {"conditioning_frames": -1}, "Prediction from -1 frames"),
    ],
)
def test_parts_that_do_not_fit_are_refused(part, changes, sentence):
    e = experiments.get("kinetics600_64x64_12f")
    e = dataclasses.replace(e, **{part: dataclasses.replace(getattr(e, part), **changes)})
    with pytest.raises(configuration.UnknownExperimentError, match=sentence):
        configuration.check(e)


@pytest.mark.parametrize("changes", [{"shuffling": "disjoint"}, {"clips_per_class": 1}])
def test_other_ways_to_share_the_data_exist(changes):
    e = experiments.get("kinetics600_64x64_12f")
    configuration.check(dataclasses.replace(e, data=dataclasses.replace(e.data, **changes)))
