"""The whole way from nothing, at smoke size: data, trained models, evaluations, artefacts of every notebook."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import papermill
import pytest

from dvdgan_lib import batch, experiments
from dvdgan_lib.sampling import sample
from dvdgan_lib.trained_generator import load_generator

ROOT = Path(__file__).resolve().parent.parent
RUN = "kinetics600_64x64_12f"
# Of artefacts that a notebook draws alike, of models that are alike at this size, one: all take half as long again, which
# `make reproduce PRESET=smoke` is for. That there is a rule for everything is asked of the plan.
DRAWN = ["table_1", "table_2", "table_3", "table_4", "truncation", "prediction", "memorization", "appendix_d", "claims"]
DRAWN += [f"figure_{number:02}" for number in (2, 3, 4, 5, 6, 7, 8, 9, 15)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A copy of the repository in which the batch has run; it shares our environment."""
    folder = tmp_path_factory.mktemp("smoke")
    for name in ("Makefile", "Snakefile", "profiles", "requirements.lock", "pyproject.toml", "dvdgan_lib", "notebooks"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    # The stand-ins' classifiers judge, as in any clone; the generators that lie beside them there are not read.
    shutil.copytree(ROOT / "pretrained", folder / "pretrained")
    (folder / ".venv").symlink_to(sys.prefix)
    reproduce(folder)
    return folder


def run(folder, *command):
    # As a user would start it: not by our make, nor compiled as quickly as other tests are, since I3D would run slower.
    ours = ("MAKE", "MFLAGS", "XLA_FLAGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def reproduce(folder):
    """What `make reproduce` starts, for some artefacts."""
    # Beside another process of tests it has one of two cores: three processes would take longer than two.
    cores = "1" if "PYTEST_XDIST_WORKER" in os.environ else "all"
    return run(folder, sys.executable, "-m", "snakemake", "--cores", cores, "--config", "preset=smoke", "--", *DRAWN)


def test_there_is_a_way_to_everything(made):
    """What is left to do is the other artefacts, and what they alone need."""
    assert {batch.ARTEFACTS[artefact].notebook for artefact in DRAWN} == {a.notebook for a in batch.ARTEFACTS.values()}
    # -o keeps make from installing into the environment that these tests run in.
    planned = run(made, "make", "-o", ".venv/installed-requirements.lock", "plan", "PRESET=smoke").splitlines()
    steps = [line.split()[:2] for line in planned]
    assert {step[1] for step in steps if step[:1] == ["artefact"]} == batch.ARTEFACTS.keys() - set(DRAWN)
    assert {step[1] for step in steps if step[:1] == ["train"]} == {"kinetics600_256x256_12f", "kinetics600_128x128_48f"}


def test_what_was_drawn_is_there_with_its_provenance(made):
    for artefact in DRAWN:
        files = {path.suffix: path for path in (made / "runs/smoke/artefacts").glob(f"{artefact}.*")}
        assert {".png", ".pdf", ".json"} <= files.keys()
        assert files[".png"].stat().st_size > 5000
        record = json.loads(files[".json"].read_text())
        assert record["parameters"]["preset"] == "smoke"
        if batch.ARTEFACTS[artefact].shown:  # drawn from the configuration, whatever the preset
            assert "at the paper's size" in record["caption"]
        else:
            assert "stand-in" in record["caption"]  # named where its numbers or pictures appear
        assert all(model["steps"] == 4 and "stand-in" in model["data"] for model in record["models"])


def test_table_1_keeps_the_paper_and_ours_in_columns_of_their_own(made):
    header, _, paper, ours, *_ = (made / "runs/smoke/artefacts/table_1.md").read_text().splitlines()
    columns, paper, ours = ([cell.strip() for cell in line.split("|")[1:-1]] for line in (header, paper, ours))
    assert not any(a and b for a, b in zip(paper[3:], ours[3:], strict=True))
    by = [column for column, number in zip(columns[3:], ours[3:], strict=True) if number]
    assert all(any(network in column for network in ("K400", "stand-in classifier", "class accuracy")) for column in by)
    assert len(by) == 5
    measured = json.loads((made / f"runs/smoke/{RUN}/evaluation.json").read_text())["samples"]
    assert f"{measured['fvd']['value']:.2f}" in ours


def test_trained_model_samples_the_same_videos_again(made):
    generator = load_generator(made / f"runs/smoke/{RUN}")
    videos = sample(generator, 3, seed=5)
    assert videos.shape == (3, 12, 8, 8, 3)
    np.testing.assert_array_equal(videos, sample(generator, 3, seed=5))
    assert generator.experiment == experiments.get(RUN, "smoke")


def test_second_run_has_nothing_to_do(made):
    assert "Nothing to be done" in reproduce(made)


def test_training_notebook_shows_the_run(made):
    """Also that the run, trained by the batch, is the one that the notebook finds: it has no step left to make."""
    output = made / "runs/03_train.ipynb"
    papermill.execute_notebook(
        made / "notebooks/03_train.ipynb", output, {"preset": "smoke"}, cwd=made, kernel_name="python3", progress_bar=False
    )
    text = output.read_text()
    assert "image/png" in text
    assert "video" in text
