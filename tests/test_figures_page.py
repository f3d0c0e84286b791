"""The index page of figures/: it shows what is there, and the committed one is of the committed figures."""

import json
import re
from pathlib import Path

import pytest

from dvdgan_lib import batch, figures_page


@pytest.mark.parametrize(
    ("artefact", "heading"),
    [
        ("figure_04", "Figure 4"),
        ("table_1", "Table 1"),
        ("prediction", "Prediction"),
        ("appendix_d", "Appendix D"),
    ],
)
def test_headings(artefact, heading):
    assert figures_page.heading(artefact) == heading


def test_page_shows_each_artefact_with_what_lies_beside_it(tmp_path):
    for artefact, more in (("figure_04", ("png", "pdf", "mp4")), ("table_1", ("png", "pdf", "md"))):
        record = {
            "artefact": artefact,
            "commit": "0123456789abcdef",
            "dirty": artefact == "table_1",
            "parameters": {"preset": "laptop", "seed": 3},
            "caption": f"What {artefact} shows.",
            "date": "2026-11-25T00:00:00+00:00",
        }
        (tmp_path / f"{artefact}.json").write_text(json.dumps(record))
        for extension in more:
            (tmp_path / f"{artefact}.{extension}").write_bytes(b"")
    (tmp_path / "growth.json").write_text("{}")  # a benchmark's, not an artefact's
    (tmp_path / "figure_05.json").write_text("half a rec")
    page = figures_page.page(tmp_path)
    assert page.index("## Table 1") < page.index("## Figure 4")
    for text in ("![Figure 4](figure_04.png)", "What figure_04 shows.", "[mp4](figure_04.mp4)", "[md](table_1.md)"):
        assert text in page
    assert "figure_04.md" not in page
    assert "seed 3, commit 01234567 with changes, 2026-11-25" in page
    assert "growth" not in page
    assert "Figure 5" not in page


def test_the_committed_page_is_of_the_committed_figures():
    folder = Path(__file__).parent.parent / "figures"
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert page == figures_page.page(folder)
    for target in re.findall(r"\]\(([^)]+)\)", page):
        assert (folder / target).exists(), f"the page links to {target}, which is not there"
    assert {file.stem for file in folder.glob("*.png")} & batch.ARTEFACTS.keys()
