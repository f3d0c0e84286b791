"""The batch: data -> train -> evaluate -> artefacts -> publish.

`make reproduce` calls it; by hand: snakemake --cores 2 --config preset=smoke -- figure_04
Settings: profiles/default. What an artefact needs: dvdgan_lib/batch.py; what makes it stale: dvdgan_lib/staleness.py.
"""

import os
import shlex
import shutil
import sys

from snakemake.exceptions import WorkflowError

sys.path.insert(0, workflow.basedir)
from dvdgan_lib import batch, batch_plan, batch_report, figures_page, staleness

PRESET = str(config.get("preset", "laptop"))
FROM_SCRATCH = bool(int(config.get("from_scratch") or 0))
ACCELERATOR = str(config.get("accelerator") or "cpu")
LAUNCHER = str(config.get("launcher") or "")
RUNS = "runs"
HOME = f"{RUNS}/{PRESET}"
FIGURES = "figures"
EXTENSIONS = batch.EXTENSIONS

try:
    batch.check(PRESET, from_scratch=FROM_SCRATCH, figures=FIGURES, runs=RUNS)
except batch.BatchError as error:
    raise WorkflowError(str(error))

# Kernels must be this Python, not one that the user registered under the same name.
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
os.environ.pop("JUPYTER_PATH", None)

# exec, so that a signal reaches the process that must save its state, and setsid, so that it gets one only: Ctrl-C goes to
# all processes of a terminal, and the batch passes it on (batch_report.stop_on_signals). On Linux setpriv tells the job
# when Snakemake is killed the hard way; without that a training would go on unseen.
DIE_WITH_PARENT = "setpriv --pdeathsig TERM" if shutil.which("setpriv") else ""
SETSID = "import os, sys; os.setsid(); os.execv(sys.executable, [sys.executable] + sys.argv[1:])"
PYTHON = f"exec {DIE_WITH_PARENT} {shlex.quote(sys.executable)} -c {shlex.quote(SETSID)}"
# A launcher ("srun", say) starts the training on every host; the processes find each other as the cluster tells them.
LAUNCH = "import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])"
TRAINER = (
    f"exec {DIE_WITH_PARENT} {shlex.quote(sys.executable)} -c {shlex.quote(LAUNCH)} {LAUNCHER} {shlex.quote(sys.executable)}"
    if LAUNCHER
    else PYTHON
)
DISTRIBUTED = "--distributed" if LAUNCHER else ""
# papermill loads Google's storage library at each start, where it is installed (etils reads buckets with it): as long as all
# the rest of it takes. Notebooks are local files.
START_PAPERMILL = (
    "import os, sys; os.setsid(); sys.modules['gcsfs'] = None; from papermill.__main__ import papermill; papermill()"
)
PAPERMILL = (
    f"exec {DIE_WITH_PARENT} {shlex.quote(sys.executable)} -c {shlex.quote(START_PAPERMILL)}"
    f" --kernel python3 --language python --cwd . --no-progress-bar --log-output"
    f" -p preset {PRESET} -p workdir {RUNS}"
)

# JAX computes on all cores by itself: such a job takes them all, and two never run at once. Snakemake lowers this to
# --cores; the Slurm profile sets its own. At smoke size they do little but compile, mostly on one.
ALL_CORES = 1 if PRESET == "smoke" else 1000

# What computes on an accelerator. A chip belongs to the process that took it first: `make` has one `chip` for all jobs of a
# machine, so that none finds it taken. On Slurm each job has an allocation of its own, with as many GPUs.
CHIP = {"chip": int(ACCELERATOR != "cpu"), "gpu": int(ACCELERATOR == "cuda")}


def model(run):
    return batch.model_path(run, PRESET, RUNS, FROM_SCRATCH)


def curves(artefact):
    return batch.curve_paths(artefact, PRESET, RUNS, FROM_SCRATCH)


def models(artefact):
    return batch.models_of(artefact, PRESET, RUNS, FROM_SCRATCH)


def evaluations(artefact):
    return batch.evaluation_paths(artefact, PRESET, RUNS, FROM_SCRATCH)


def truncations(artefact):
    return list(batch.truncation_paths(artefact, PRESET, RUNS).values())


def records(artefact):
    """papermill's options for the parameters `curves` and `evaluations`, of notebooks that have them."""
    there = {"curves": curves(artefact), "evaluations": evaluations(artefact)}
    paths = {kind: ", ".join(f"{run}: {path}" for run, path in found.items()) for kind, found in there.items() if found}
    return " ".join(f"-y '{kind}: {{{listed}}}'" for kind, listed in paths.items())


# Left out of the whole; each can still be asked for by its name.
LEFT_OUT = batch.left_out(PRESET, RUNS, FROM_SCRATCH)
CURVES = {run: path for artefact in batch.ARTEFACTS for run, path in curves(artefact).items()}
CLASSIFIERS = batch.classifier_paths(PRESET, RUNS, FROM_SCRATCH)
TRAINED = sorted({*batch.RUNS, *CURVES})
UNTRAINED = [run for run in TRAINED if not os.path.exists(f"{HOME}/{run}/model.safetensors")]


def seed(run):
    return int(run.partition("-seed")[2] or 0)


def artefact_files(folder, artefact):
    return [f"{folder}/{artefact}.{extension}" for extension in EXTENSIONS]


def target(artefact):
    """All files that belong to an artefact, and for the laptop preset the repository's own figures.

    Those on the way too: Snakemake doesn't miss a deleted file where what was made from it is still there.
    """
    known = (PRESET, RUNS, FROM_SCRATCH)
    files = [f"{HOME}/data/{run}.json" for run in batch.looked_at(artefact, *known)]
    files += [model(run) for run in batch.read_by(artefact, *known)]
    files += [*curves(artefact).values(), *evaluations(artefact).values(), *truncations(artefact)]
    files += artefact_files(f"{HOME}/artefacts", artefact)
    return files + (artefact_files(FIGURES, artefact) if PRESET == "laptop" else [])


wildcard_constraints:
    run=r"[a-z0-9_]+(-seed[0-9]+)?",
    artefact="|".join(batch.ARTEFACTS),


# (localrule: done by the batch itself, also where the others go to a cluster.)
rule all:
    localrule: True
    input:
        [target(artefact) for artefact in batch.ARTEFACTS if artefact not in LEFT_OUT],


for name in batch.ARTEFACTS:

    rule:
        name:
            name
        input:
            target(name),
        localrule:
            True


rule data:
    output:
        f"{HOME}/data/{{run}}.json",
    params:
        code=staleness.fingerprint("01_data_prep"),
        settings=lambda wildcards: batch.settings(wildcards.run, PRESET),
        experiment=lambda wildcards: batch.experiment_of(wildcards.run),
        seed=lambda wildcards: seed(wildcards.run),
        # What is the same for all is shown in the first one's notebook.
        demonstrate=lambda wildcards: wildcards.run == batch.TABLE_1[0],
    # Executed notebooks are logs, not outputs: Snakemake deletes outputs of failed jobs, and these say why one failed.
    log:
        notebook=f"{HOME}/notebooks/01_data_prep-{{run}}.ipynb",
        text=f"{HOME}/notebooks/01_data_prep-{{run}}.log",
    shell:
        "{PAPERMILL} -p experiment {params.experiment} -p seed {params.seed} -p demonstrate {params.demonstrate}"
        " notebooks/01_data_prep.ipynb {log.notebook} > {log.text} 2>&1"


# What measures a run as it trains, and its samples: before any run, from scratch. Only those that are missing, as below.
rule classifier:
    wildcard_constraints:
        data="|".join(name for name in batch.CLASSIFIED if not os.path.exists(f"{HOME}/classifier_{name}/model.safetensors"))
        or "none",
    output:
        f"{HOME}/classifier_{{data}}/model.safetensors",
    log:
        notebook=f"{HOME}/notebooks/04_classifier-{{data}}.ipynb",
        text=f"{HOME}/notebooks/04_classifier-{{data}}.log",
    threads: ALL_CORES
    resources:
        **CHIP,
    shell:
        "{PAPERMILL} -p data {wildcards.data} notebooks/04_classifier.ipynb {log.notebook} > {log.text} 2>&1"


# There is a rule only for models that are missing: to Snakemake a trained model is a file that nothing makes stale and no
# rule deletes. Hours of training must not be thrown away for a changed comment, nor for new settings unasked: to train
# again, delete the run's folder. (Marking the input `ancient` would do less: what lies behind is then not checked at once.)
# The only declared output is the final export. Checkpoints lie in the same folder, but Snakemake deletes the outputs of a
# rule that failed or runs again.
rule train:
    wildcard_constraints:
        run="|".join(UNTRAINED) or "none",
    input:
        f"{HOME}/data/{{run}}.json",
        CLASSIFIERS,
    output:
        f"{HOME}/{{run}}/model.safetensors",
    log:
        f"{HOME}/{{run}}/train.log",
    threads: ALL_CORES
    resources:
        **CHIP,
    shell:
        "run={wildcards.run}; seed=${{run##*-seed}}; [ $seed != $run ] || seed=0;"
        " {TRAINER} -m dvdgan_lib.training ${{run%-seed*}} --preset {PRESET} --workdir {RUNS} --seed $seed"
        " {DISTRIBUTED} >> {log} 2>&1"


rule evaluate:
    input:
        data=f"{HOME}/data/{{run}}.json",
        model=lambda wildcards: model(wildcards.run),
    output:
        f"{HOME}/{{run}}/evaluation.json",
    params:
        code=staleness.fingerprint("04_metrics"),
        settings=lambda wildcards: batch.settings(wildcards.run, PRESET),
        experiment=lambda wildcards: batch.experiment_of(wildcards.run),
        seed=lambda wildcards: seed(wildcards.run),
        baselines=lambda wildcards: ",".join(batch.anchors_of(wildcards.run, PRESET, FROM_SCRATCH)),
        real_features=lambda wildcards: (
            batch.REAL_FEATURES if batch.real_features_are_shipped(wildcards.run, PRESET, FROM_SCRATCH) else ""
        ),
    log:
        notebook=f"{HOME}/notebooks/04_metrics-{{run}}.ipynb",
        text=f"{HOME}/notebooks/04_metrics-{{run}}.log",
    threads: ALL_CORES
    resources:
        **CHIP,
    shell:
        "{PAPERMILL} -p experiment {params.experiment} -p seed {params.seed} -p model {input.model}"
        " -p baselines '{params.baselines}' -p real_features '{params.real_features}'"
        " notebooks/04_metrics.ipynb {log.notebook} > {log.text} 2>&1"


# The right half of Table 1's rows; the first row's is the artefact `truncation`.
rule truncate:
    wildcard_constraints:
        run="|".join(batch.TABLE_1[1:]),
    input:
        model=lambda wildcards: model(wildcards.run),
    output:
        f"{HOME}/{{run}}/truncation.json",
    params:
        code=staleness.fingerprint("07_truncation"),
        settings=lambda wildcards: batch.settings(wildcards.run, PRESET),
    log:
        notebook=f"{HOME}/notebooks/07_truncation-{{run}}.ipynb",
        text=f"{HOME}/notebooks/07_truncation-{{run}}.log",
    threads: ALL_CORES
    resources:
        **CHIP,
    shell:
        "{PAPERMILL} -p experiment {wildcards.run} -p artefacts none -y 'models: {{{wildcards.run}: {input.model}}}'"
        " notebooks/07_truncation.ipynb {log.notebook} > {log.text} 2>&1"


# Figures 3, 7 and 8, by one run of their notebook.
rule walkthrough:
    output:
        [f"{HOME}/artefacts/{artefact}.{extension}" for artefact in batch.WALKTHROUGH for extension in EXTENSIONS],
    params:
        code=staleness.fingerprint("02_model_walkthrough"),
        shown=[batch.settings(run, "paper") for artefact in batch.WALKTHROUGH for run in batch.ARTEFACTS[artefact].shown],
        artefacts=",".join(batch.WALKTHROUGH),
    log:
        notebook=f"{HOME}/notebooks/02_model_walkthrough.ipynb",
        text=f"{HOME}/notebooks/02_model_walkthrough.log",
    resources:
        **CHIP,
    shell:
        "{PAPERMILL} -p artefacts {params.artefacts} -p figures_dir {HOME}/artefacts"
        " notebooks/02_model_walkthrough.ipynb {log.notebook} > {log.text} 2>&1"


rule artefact:
    wildcard_constraints:
        artefact="|".join(name for name in batch.ARTEFACTS if name not in batch.WALKTHROUGH),
    input:
        models=lambda wildcards: [model(run) for run in models(wildcards.artefact)],
        evaluations=lambda wildcards: list(evaluations(wildcards.artefact).values()),
        truncations=lambda wildcards: truncations(wildcards.artefact),
        curves=lambda wildcards: list(curves(wildcards.artefact).values()),
        after=lambda wildcards: [
            f"{HOME}/artefacts/{artefact}.json"
            for artefact in batch.ARTEFACTS[wildcards.artefact].after
            if artefact not in LEFT_OUT
        ],
    output:
        [f"{HOME}/artefacts/{{artefact}}.{extension}" for extension in EXTENSIONS],
    params:
        notebook=lambda wildcards: batch.ARTEFACTS[wildcards.artefact].notebook,
        code=lambda wildcards: staleness.fingerprint(batch.ARTEFACTS[wildcards.artefact].notebook),
        models=lambda wildcards: ", ".join(
            f"{run}: {model(run)}" for run in models(wildcards.artefact)
        ),
        records=lambda wildcards: records(wildcards.artefact),
    log:
        notebook=f"{HOME}/notebooks/{{artefact}}.ipynb",
        text=f"{HOME}/notebooks/{{artefact}}.log",
    resources:
        **CHIP,
    # What the notebook adds beside the declared files (a video, a Markdown table) must not outlive what it belongs to.
    shell:
        "rm -f {HOME}/artefacts/{wildcards.artefact}.*;"
        " {PAPERMILL} -p artefacts {wildcards.artefact} -p figures_dir {HOME}/artefacts"
        " -y 'models: {{{params.models}}}' {params.records}"
        " notebooks/{params.notebook}.ipynb {log.notebook} > {log.text} 2>&1"


if PRESET == "laptop":

    # A rule of its own: the repository's figures are replaced by new ones, never deleted by a notebook that fails.
    rule publish:
        localrule: True
        input:
            [f"{HOME}/artefacts/{{artefact}}.{extension}" for extension in EXTENSIONS],
        output:
            [f"{FIGURES}/{{artefact}}.{extension}" for extension in EXTENSIONS],
        shell:
            "cp {HOME}/artefacts/{wildcards.artefact}.* {FIGURES}/"


onstart:
    try:
        batch.hold_lock(HOME)
    except batch.BatchError as error:
        raise WorkflowError(str(error))
    # Snakemake's own books: each job of this run, and what has become of it.
    NAMED = ("run", "artefact", "data")  # what a job is of; `all` is of none
    JOBS = {job: next(filter(None, map(job.wildcards.get, NAMED)), None) for job in workflow.dag.needrun_jobs()}
    JOBS |= {job: "02_model_walkthrough" for job in JOBS if job.rule.name == "walkthrough"}
    JOBS = {job: batch_plan.step(job.rule.name, target, PRESET, FROM_SCRATCH) for job, target in JOBS.items() if target}
    if estimate := batch_report.estimate(JOBS.values(), HOME, FROM_SCRATCH):
        print(estimate, file=sys.stderr, flush=True)

    def states():
        for job, step in JOBS.items():
            running = job in workflow.scheduler.running
            yield step, "done" if workflow.dag.finished(job) else "running" if running else "waiting"

    batch_report.stop_on_signals()
    batch_report.Progress(states, HOME).start()


onsuccess:
    for artefact, runs in LEFT_OUT.items():
        print(f"Left out: {artefact}, since {', '.join(runs)} is neither in pretrained/ nor trained here (make plan FROM_SCRATCH=1).")
    print(f"\nAll is up to date: tables and figures in {FIGURES if PRESET == 'laptop' else HOME + '/artefacts'}/.")
    if PRESET == "laptop":
        figures_page.write(FIGURES)


onerror:
    failed = [(" ".join([job.rule.name, *job.wildcards]), list(job.log)) for job in workflow.scheduler.failed]
    print(batch_report.failures(failed), file=sys.stderr)
    if PRESET == "laptop":
        figures_page.write(FIGURES)
