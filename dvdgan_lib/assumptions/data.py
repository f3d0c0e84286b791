"""Assumptions about the data sets and the clips that are cut from them."""

from __future__ import annotations

from dvdgan_lib.assumptions import Assumption

ASSUMPTIONS = (
    Assumption(
        "resize",
        '"a bilinear resize" (B.1)',
        "antialiased",
        "unaliased frames; what image libraries do by default",
        "without antialiasing, as TensorFlow 1 did",
    ),
    Assumption(
        "UCF-101's training videos",
        '"a smaller dataset of 13,320 videos" (4.1.2), no split named',
        "split 1's training list",
        "the study of memorisation needs videos that were not trained on (C.1)",
        "all 13,320, or another split",
    ),
    Assumption(
        "order of classes",
        "not said",
        "UCF-101's classInd.txt; Kinetics' names sorted; both from 0",
        "the official order, and that of I3D's logits",
        "any other: only names matter",
    ),
    Assumption(
        "pruned and doubled videos of Kinetics",
        '"Kinetics is occasionally pruned and so we cannot give an exact size" (2.3)',
        "what the lists name and the disk has; of a clip with two labels the first row",
        "no other way",
        "a fixed list of survivors",
    ),
    Assumption(
        "Kinetics-600's test set",
        '"Test Set FVD" (Table 4)',
        "the test list where one is given, else the validation list's clips; the caption names the split's clips",
        "test clips are the ones that seldom survive with their labels",
        "no number without test clips",
    ),
    Assumption(
        "where a Kinetics clip begins and ends",
        '"10-second high-resolution YouTube clips" (2.3)',
        "the row's seconds of a longer video; a file up to 2 seconds too long is the clip itself",
        "videos cut without encoding again run on to the next key frame",
        "cut exactly",
    ),
    Assumption(
        "stride of UCF-101 and BAIR",
        "every other frame for Kinetics-600, none skipped for its prediction (2.3, 4.2.1); nothing for UCF-101 and BAIR",
        "1",
        "16 frames without skipping are what C3D sees, and what TGAN and its followers generate; BAIR's clips are too short "
        "for 16 at stride 2",
        "2",
    ),
    Assumption(
        "videos shorter than a clip",
        '"All three datasets contain videos with more frames than we generate" (B.1)',
        "left out, and counted in the data set's description",
        "the sentence holds but for damaged copies, and for Kinetics' shortest at stride 2",
        "repeat the last frame",
    ),
    Assumption(
        "clips for measurements",
        "random crops and sequences are said for training (B.1)",
        "the middle window and the middle crop of each video, of training (Table 1, Table 4's first column) or of test",
        "the same clips each time",
        "random ones, drawn once",
    ),
    Assumption(
        "frame rates",
        "not said",
        "as they are: a clip's duration is its frames over its own video's rate",
        "plain reading of frames and strides",
        "resample all to 25 frames a second",
    ),
    Assumption(
        "how Kinetics-600 is stored",
        "not said",
        "the ten seconds encoded again at a short side of 128 pixels (to choose), H.264 4:4:4, CRF 14",
        "sizes that a lab can keep and decode; about 40 dB from the direct path at 64x64 (notebooks/01_data_prep)",
        "the uploaded files, three times as large and slower to decode",
    ),
    Assumption(
        "pixel aspect ratio",
        "not said",
        "stored pixels",
        "anamorphic flags are seldom right in what users uploaded",
        "scaled by the flag",
    ),
)
