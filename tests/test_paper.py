"""The paper's numbers, against what its text says of them elsewhere."""

from dvdgan_lib import experiments, paper


def test_table_1_agrees_with_the_text():
    # Appendix D: an IS of 110.05 is "twice normal" for 12 frames of 64x64, and an FID of 1.22 "substantially worse".
    first = paper.TABLE_1["kinetics600_64x64_12f"]
    assert 1.9 < 110.05 / first.inception_score < 2.1
    assert first.fid < 1.22
    # Section 4.1.1: truncation is chosen for the best IS; longer and larger videos are harder.
    for row in paper.TABLE_1.values():
        assert row.inception_score_truncated > row.inception_score
        assert row.fid_truncated > row.fid
    twelve = [row.fid for row in paper.TABLE_1.values() if row.num_frames == 12]
    assert twelve == sorted(twelve)


def test_table_1_rows_are_experiments_of_that_size():
    for name, row in paper.TABLE_1.items():
        model = experiments.get(name, "paper").model
        assert (model.num_frames, model.resolution) == (row.num_frames, row.resolution)


def test_tables_2_to_4_agree_with_the_text():
    assert max(paper.TABLE_2, key=lambda name: paper.TABLE_2[name][0]) == "DVD-GAN"
    # 4.2.2: "outperforms all prior adversarial models ... slightly worse than Video Transformer".
    assert sorted(paper.TABLE_3, key=paper.TABLE_3.get)[:2] == ["Video Transformer", "DVD-GAN-FP"]
    # 4.2.1: "the FVD of this video synthesis model is notably better".
    assert paper.TABLE_4["DVD-GAN"][1][0] < paper.TABLE_4["DVD-GAN-FP"][1][0] < paper.TABLE_4["Video Transformer"][1][0]


def test_assumptions_say_what_why_and_what_else():
    assert len({a.topic for a in paper.ASSUMPTIONS}) == len(paper.ASSUMPTIONS)
    for assumption in paper.ASSUMPTIONS:
        assert all([assumption.paper, assumption.choice, assumption.reason, assumption.alternative]), assumption.topic
