"""The batch as it runs: the real Makefile, Snakefile and profile, in a copy of the repository.

Notebooks and, but for one test, the trainer are stand-ins, so that what is tested is the batch: small, quick and made
to fail when asked to.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import psutil
import pytest

from dvdgan_lib import batch

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".venv/installed-requirements.lock"

PARAMETERS = '# %% tags=["parameters"]\npreset = workdir = experiment = model = artefacts = figures_dir = ""\nseed = 0\n'
DRAW = """
from pathlib import Path
if Path("fail").exists():
    assert artefacts != "figure_05", "made to fail"
for artefact in artefacts.split(","):
    for extension in ("png", "pdf", "json", "mp4"):
        Path(f"{figures_dir}/{artefact}.{extension}").write_text("drawn")
"""
NOTEBOOKS = {
    "01_data_prep": """
from pathlib import Path
Path(f"{workdir}/{preset}/data").mkdir(parents=True, exist_ok=True)
Path(f"{workdir}/{preset}/data/{experiment}.json").write_text("{}")
""",
    "04_metrics": """
from pathlib import Path
assert Path(model).is_file()
Path(f"{workdir}/{preset}/{experiment}").mkdir(parents=True, exist_ok=True)
Path(f"{workdir}/{preset}/{experiment}/evaluation.json").write_text("{}")
""",
} | {artefact.notebook: DRAW for artefact in batch.ARTEFACTS.values()}
TRAINER = '''
"""Counts to 40, slowly; keeps the count where it is stopped, and goes on from there."""
import json, signal, sys, time
from pathlib import Path
home = Path("runs/smoke") / sys.argv[1]
stop = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda received, frame: stop.append(received))
checkpoint = home / "checkpoint"
step = first = int(checkpoint.read_text()) if checkpoint.exists() else 0
(home / "experiment.json").write_text(json.dumps({"steps": 40}))
while step < 40:
    time.sleep(0.1 if first else 1.0)
    step += 1
    with open(home / "metrics.jsonl", "a") as metrics:
        metrics.write(json.dumps({"step": step}) + "\\n")
    if stop:
        time.sleep(1.0)
        checkpoint.write_text(str(step))
        (home / "signals").write_text(str(len(stop)))
        sys.exit(128 + stop[0])
(home / "model.safetensors").write_text(f"went on from {first}")
'''


@pytest.fixture
def repository(tmp_path):
    """A copy with stand-ins, which shares our environment."""
    for name in ("Makefile", "Snakefile", "profiles", "requirements.lock", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "dvdgan_lib").mkdir()
    # Whatever the batch needs before a notebook runs, and nothing else.
    modules = "__init__ configuration experiments paper_runs pod_hours batch batch_plan batch_report figures_page staleness"
    for name in modules.split():
        shutil.copy2(ROOT / "dvdgan_lib" / f"{name}.py", tmp_path / "dvdgan_lib")
    (tmp_path / "dvdgan_lib/training.py").write_text(TRAINER)
    (tmp_path / "notebooks").mkdir()
    for name, code in NOTEBOOKS.items():
        notebook = jupytext.reads(f"{PARAMETERS}\n# %%{code}", fmt="py:percent")
        nbformat.write(notebook, tmp_path / f"notebooks/{name}.ipynb")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def make(repository, *arguments):
    """Runs make there; -o keeps it from installing into the environment that these tests run in."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.Popen(
        ["make", "-o", STAMP, *arguments],
        cwd=repository,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=500)
    return process.returncode, output


def test_a_failing_notebook_stops_only_its_own_artefact(repository):
    # Some artefacts of every notebook: all would take twice as long, and fail alike.
    kept = ["table_1", "table_2", "table_3", "table_4", "truncation", "prediction", "memorization", "discriminators"]
    kept += ["appendix_d", "claims", "figure_03", "figure_04", "figure_05", "figure_06", "figure_15"]
    assert {batch.ARTEFACTS[artefact].notebook for artefact in kept} == {a.notebook for a in batch.ARTEFACTS.values()}
    module, before = repository / "dvdgan_lib/batch.py", "\nRUNS = sorted("
    source = module.read_text()
    assert source.count(before) == 1
    module.write_text(source.replace(before, f"\nARTEFACTS = {{name: ARTEFACTS[name] for name in {kept}}}{before}"))
    for run in batch.RUNS:
        (repository / "pretrained" / run).mkdir(parents=True)
        (repository / "pretrained" / run / "model.safetensors").write_text("weights")
    for run in ("phi_crop", "phi_pool4"):
        (repository / "pretrained" / run).mkdir()
        (repository / "pretrained" / run / "curve.json").write_text("two curves of Figure 6, none of the others")
    left_out = {"discriminators", "appendix_d"}
    (repository / "figures").mkdir()
    for artefact in set(kept) - left_out:
        for extension in batch.EXTENSIONS:
            (repository / f"figures/{artefact}.{extension}").write_text("committed")
    (repository / "fail").touch()

    code, output = finish(make(repository, "reproduce"))
    assert code != 0, output
    figures = {path.name: path.read_text() for path in (repository / "figures").iterdir()}
    assert {figures.pop(f"figure_05.{extension}") for extension in batch.EXTENSIONS} == {"committed"}
    assert figures.pop("README.md").startswith("# Tables and figures")
    assert set(figures.values()) == {"drawn"}, output
    assert "table_1.mp4" in figures
    report = output[output.index("steps failed") :]
    assert "artefact figure_05: code cell 2 (from pathlib import Path)\n    AssertionError: made to fail" in report
    assert "figure_04" not in report
    assert not list((repository / "figures").glob("appendix_d.*"))
    assert not list((repository / "runs/laptop").glob("*/train.log")), "trained in spite of pretrained/"

    code, output = finish(make(repository, "plan"))
    planned = [line.split()[:2] for line in output.splitlines()]
    assert [row for row in planned if row[0] in ("data", "train", "evaluate", "artefact", "publish")] == [
        ["publish", "figure_05"],
        ["artefact", "figure_05"],
    ], output

    (repository / "fail").unlink()
    code, output = finish(make(repository, "reproduce"))
    assert code == 0, output
    assert "0 of 2 steps done; now artefact figure_05" in output
    assert (repository / "figures/figure_05.png").read_text() == "drawn"
    assert "Left out: appendix_d, since phi_pool2 is neither in pretrained/ nor trained here" in output
    code, output = finish(make(repository, "plan"))
    assert "Nothing to do" in output


def stop(process, how, run_folder):
    """Stops the batch once the training logs steps; returns what it said and the last step logged."""
    deadline = time.time() + 400
    while not ((metrics := run_folder / "metrics.jsonl").exists() and metrics.read_text()):
        assert process.poll() is None, process.communicate()[0]
        assert time.time() < deadline
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("dvdgan_lib.training" in child.cmdline() for child in children)
    if how == "Ctrl-C":  # a terminal sends it to the whole group
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code != 0
    assert "the same command goes on from there" in output
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    return json.loads(metrics.read_text().splitlines()[-1])["step"]


@pytest.mark.parametrize("how", ["SIGTERM to make", "Ctrl-C"])
def test_a_stopped_batch_leaves_a_checkpoint_and_goes_on_from_it(repository, how):
    folder = repository / "runs/smoke/kinetics600_64x64_48f"
    reached = stop(make(repository, "figure_05", "PRESET=smoke"), how, folder)
    assert 0 < reached < 40
    assert int((folder / "checkpoint").read_text()) == reached
    assert (folder / "signals").read_text() == "1", "a second signal may end a trainer before it has saved"
    code, output = finish(make(repository, "figure_05", "PRESET=smoke"))
    assert code == 0, output
    said = output.index("Before it starts: ")
    assert said < output.index("now train "), "what it takes is said before anything runs"
    assert f"models 0, begun kinetics600_64x64_48f (step {reached} of 40)" in output[said:]
    assert (folder / "model.safetensors").read_text() == f"went on from {reached}"


def test_the_real_training_is_stopped_and_goes_on(repository):
    """The same with dvdgan_lib's own trainer, given more steps than it will get to."""
    shutil.copytree(ROOT / "dvdgan_lib", repository / "dvdgan_lib", dirs_exist_ok=True)
    settings = repository / "dvdgan_lib/experiments.py"

    def set_steps(steps):
        text, found = re.subn(r"(def _smoke.*?\bsteps=)\d+", rf"\g<1>{steps}", settings.read_text(), flags=re.DOTALL)
        assert found == 1
        settings.write_text(text)

    set_steps(100_000)
    folder = repository / "runs/smoke/kinetics600_64x64_12f"
    reached = stop(make(repository, "figure_04", "PRESET=smoke"), "Ctrl-C", folder)
    assert str(reached) in os.listdir(folder / "checkpoints")
    assert not (folder / "model.safetensors").exists()
    set_steps(reached + 2)
    code, output = finish(make(repository, "figure_04", "PRESET=smoke"))
    assert code == 0, output
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, reached + 3))
    assert (folder / "model.safetensors").stat().st_size > 0


def test_lost_weights_stop_the_batch_at_once(repository):
    (repository / f"pretrained/{batch.RUNS[0]}").mkdir(parents=True)
    code, output = finish(make(repository, "figure_04"))
    assert code != 0
    assert re.match(r"pretrained/\S+/model.safetensors is missing: restore it .*, or use FROM_SCRATCH=1\.\n", output)
    code, output = finish(make(repository, "plan", "FROM_SCRATCH=1"))
    assert code == 0, output
    assert len(re.findall("^train ", output, re.MULTILINE)) == len(
        {*batch.RUNS, *(run for a in batch.ARTEFACTS.values() for run in a.curves)}
    )


def test_unwritable_figures_stop_the_batch_at_once(repository):
    (repository / "figures").write_text("a file")
    code, output = finish(make(repository, "reproduce"))
    assert code != 0
    assert output.splitlines()[0].startswith("Cannot write into figures/")
    assert not (repository / "runs/laptop").exists()


def test_what_computes_on_an_accelerator_runs_one_at_a_time(repository):
    """A TPU belongs to the process that took it first: a second notebook beside it would end in an error."""
    planned = [
        sys.executable,
        "-m",
        "snakemake",
        "--dry-run",
        "--profile",
        "none",
        "--workflow-profile",
        "none",
        "--cores",
        "4",
    ]
    planned += ["--config", "preset=smoke", "accelerator=tpu", "--", "figure_03", "table_1"]
    said = subprocess.run(planned, cwd=repository, capture_output=True, text=True, check=True).stdout
    rules = {}
    for block in re.split(r"\n(?=rule |localrule )", said):
        if block.startswith("rule "):
            rules[block.split()[1].strip(":")] = "chip=1" in block
    computing = {"train", "evaluate", "walkthrough", "artefact"}
    assert {rule for rule, alone in rules.items() if alone} == computing
    command = lambda *more: finish(make(repository, "-n", "reproduce", *more))[1]  # noqa: E731
    assert "--cores all --resources chip=1 " in command()
    assert "chip" not in command("PROFILE=slurm"), "there each job has chips of its own"


def test_make_keeps_the_jax_that_is_installed(repository):
    """`make plan` beside a batch on GPUs: another lock would take jax away from its next steps."""
    (repository / ".venv").unlink()
    (repository / ".venv").mkdir()
    accelerator = lambda *more: re.findall(r"accelerator=(\w+)", finish(make(repository, "-n", "reproduce", *more))[1])  # noqa: E731
    assert accelerator() == ["cpu"]
    for name in ("requirements-cuda.lock", ".venv/installed-requirements-cuda.lock"):  # the stamp is the newer
        (repository / name).touch()
    assert accelerator() == ["cuda"]
    assert accelerator("ACCELERATOR=") == ["cpu"]
