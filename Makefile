# The commands a person types. Every one first makes .venv from the lock where it is missing or older than the lock.
# Plain recipes only: Apple ships GNU make 3.81.

PRESET ?= laptop
CORES ?= all
FROM_SCRATCH ?=
# What .venv has: without that a `make plan` beside a batch on an accelerator would put another jax in its place.
ACCELERATOR ?= $(patsubst .venv/installed-requirements-%.lock,%,$(firstword $(wildcard .venv/installed-requirements-*.lock)))
PROFILE ?=
LAUNCHER ?=
TESTS ?= tests

LOCK := requirements$(if $(ACCELERATOR),-$(ACCELERATOR)).lock
STAMP := .venv/installed-$(LOCK)
RUN := .venv/bin/python
SCRATCH := $(if $(filter-out 0,$(FROM_SCRATCH)),1,0)
CONFIG := preset=$(PRESET) from_scratch=$(SCRATCH) accelerator=$(if $(ACCELERATOR),$(ACCELERATOR),cpu) \
  $(if $(LAUNCHER),"launcher=$(LAUNCHER)")
# exec: the signals that make passes on must reach Snakemake itself, not a shell in between. setpriv (Linux) ends the
# batch with a checkpoint where make itself is killed the hard way.
SNAKEMAKE := exec $(shell command -v setpriv >/dev/null 2>&1 && echo setpriv --pdeathsig TERM) \
  $(RUN) -m snakemake $(if $(PROFILE),--profile profiles/$(PROFILE),--cores $(CORES) --resources chip=1) --config $(CONFIG) --
BATCH := $(RUN) -m dvdgan_lib.batch_plan
OPTIONS := --preset "$(PRESET)" $(if $(filter 1,$(SCRATCH)),--from-scratch)

# Where this is set, as in many containers, each of a batch's or the tests' processes would compile its libraries anew: for
# longer than most of them work. What is compiled lands in .venv and in __pycache__ folders.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help reproduce plan test test-smoke test-colab mutants lint format notebooks bench lock FORCE
.DEFAULT_GOAL := help

help:
	@echo "make reproduce [PRESET=laptop] [FROM_SCRATCH=1]   all tables and figures (presets: smoke, laptop, colab, paper)"
	@echo "make table_1, figure_04, truncation, claims, ...  one of them"
	@echo "make plan [PRESET=laptop] [FROM_SCRATCH=1]        what would run, hours and gigabytes, cheapest first"
	@echo "make test [TESTS=tests/test_batch.py]             the tests, all but the next"
	@echo "make test-smoke                                   the whole way from nothing, at the smallest size, as a test"
	@echo "make test-colab                                   the library's tests and four notebooks on Colab's versions"
	@echo "make mutants                                      whether the tests find each mistake of tests/mutants.py"
	@echo "make lint, make format, make notebooks            check; format; make the .ipynb from the .py again"
	@echo "make bench                                        the benchmarks"
	@echo "make lock                                         pin the newest versions that pyproject.toml admits"
	@echo "With all of them: ACCELERATOR=tpu|cuda installs jax for it, ACCELERATOR= for the CPU again; CORES=2;"
	@echo "PYTHON=python3.12; PROFILE=slurm."
	@echo "LAUNCHER=srun starts each training on every host of its allocation."

reproduce: $(STAMP)
	@$(BATCH) check $(OPTIONS) && $(SNAKEMAKE) all

table_%: $(STAMP) FORCE
	@$(BATCH) check $(OPTIONS) $@ && $(SNAKEMAKE) $@

figure_%: $(STAMP) FORCE
	@$(BATCH) check $(OPTIONS) $@ && $(SNAKEMAKE) $@

appendix_d claims discriminators memorization prediction truncation: $(STAMP) FORCE
	@$(BATCH) check $(OPTIONS) $@ && $(SNAKEMAKE) $@

plan: $(STAMP)
	@$(BATCH) plan $(OPTIONS)

# One process a core; JAX's own threads would fight over them, but the tests are too small for that to matter. The batch
# from nothing is apart: it takes a third as long as all others together, starts as many processes as there are cores by
# itself, and is not what one waits for after each change. CI runs both.
WHOLE_WAY := tests/test_smoke.py
test: $(STAMP)
	@$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
	  $(if $(findstring $(WHOLE_WAY),$(TESTS)),,--ignore=$(WHOLE_WAY)) $(TESTS)

test-smoke: $(STAMP)
	@$(RUN) -m pytest $(WHOLE_WAY)

# The library must run on what Colab's TPU runtime has, which is older: a second environment, Python 3.13 as there.
# Left out is what tests the batch and the project's tools, which don't run on Colab; and how a run of many hosts ends where
# one is lost: jax 0.7 then exits by itself, with its own message and code. Colab has one host.
COLAB := .venv-colab/bin/python
COLAB_PYTHON ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13*/bin/python3.13) python3.13)
NOT_ON_COLAB := smoke batch batch_run environment mutants notebooks_paired pods
test-colab: .venv-colab/installed
	@PYTHONPATH=. $(COLAB) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -p no:cacheprovider \
	  $(NOT_ON_COLAB:%=--ignore=tests/test_%.py) $(TESTS) \
	  --deselect tests/test_many_hosts.py::test_a_lost_process_ends_the_other_and_a_restart_goes_on
	@set -e; export PYTHONPATH=. JUPYTER_PREFER_ENV_PATH=1; mkdir -p runs/colab-test; \
	for run in "01_data_prep -p experiment kinetics600_64x64_12f" 02_model_walkthrough 03_train \
	    "06_synthesis -p artefacts figure_04,figure_10 -p figures_dir runs/colab-test/artefacts"; do \
	  echo "== $$run"; set -- $$run; name=$$1; shift; \
	  $(COLAB) -m papermill --kernel python3 --language python --cwd . --no-progress-bar -p preset smoke \
	    -p workdir runs/colab-test "$$@" notebooks/$$name.ipynb runs/colab-test/$$name.ipynb > runs/colab-test/$$name.log 2>&1 \
	    || { tail -30 runs/colab-test/$$name.log; exit 1; }; \
	done

.venv-colab/installed: requirements-colab.lock $(STAMP)
	@set -e; \
	"$(COLAB_PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || \
	  { echo "Colab has Python 3.13 and there is none as $(COLAB_PYTHON): install it, or name it with COLAB_PYTHON=." >&2; exit 1; }; \
	echo "Installing requirements-colab.lock into .venv-colab ..."; \
	"$(COLAB_PYTHON)" -m venv --clear .venv-colab; \
	index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(RUN) -m pip config get global.index-url 2>/dev/null || true)}}"; \
	env $${index:+"UV_DEFAULT_INDEX=$$index"} .venv/bin/uv pip sync --quiet --require-hashes --python $(COLAB) $<; \
	touch $@

# Half an hour: a hundred mistakes one after the other, each in a process of its own.
mutants: $(STAMP)
	@$(RUN) tests/mutants.py

lint: $(STAMP)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m pytest tests/test_notebooks_paired.py

format: $(STAMP)
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

# --update keeps the cells' ids, so that a pair changes only where its source did; the second command strips outputs.
notebooks: $(STAMP)
	@$(RUN) -m jupytext --quiet --to ipynb --update notebooks/*.py
	@$(RUN) -m jupyter nbconvert --log-level ERROR --clear-output --inplace notebooks/*.ipynb

bench: $(STAMP)
	@set -e; for benchmark in $(filter-out benchmarks/%_torch.py benchmarks/shared.py,$(wildcard benchmarks/*.py)); do echo "== $$benchmark"; $(RUN) $$benchmark; done

# Universal, with hashes, and without an index's address, so that everyone installs from the index they have. The locks
# for accelerators take the first one's versions as constraints: they differ only by what they add.
COMPILE := .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
  --python-version 3.12 pyproject.toml
lock: $(STAMP)
	$(COMPILE) --upgrade -o requirements.lock
	$(COMPILE) --extra tpu --constraint requirements.lock -o requirements-tpu.lock
	$(COMPILE) --extra cuda --constraint requirements.lock -o requirements-cuda.lock
	$(subst 3.12,3.13,$(COMPILE)) --constraint colab-versions.txt -o requirements-colab.lock

requirements-%.lock:
	@echo "There is no lock for ACCELERATOR=$*; there are tpu and cuda, and none of them for the CPU." >&2; exit 1

# The stamp is written last: an installation that broke off is taken up again. pip fetches only uv, pinned and hashed by
# the same lock; uv installs the rest in a quarter of pip's time, from the index that pip is set up for. Where uv cannot,
# pip does.
# The .pth file lets kernels find dvdgan_lib from whatever folder they are started in.
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.12 python3 python3.13 python3.14)
IS_NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 12))'
$(STAMP): $(LOCK)
	@set -e; \
	stop() { echo >&2; echo "$$1" >&2; exit 1; }; \
	if ! $(RUN) $(IS_NEW_ENOUGH) 2>/dev/null; then \
	  for candidate in $(PYTHONS); do \
	    if "$$candidate" $(IS_NEW_ENOUGH) 2>/dev/null; then python="$$candidate"; break; fi; \
	  done; \
	  [ -n "$$python" ] || stop "This needs Python 3.12 or newer and found none as: $(PYTHONS). \
	Install it, then run: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; \
	  echo "Setting up .venv with $$("$$python" --version) ..."; \
	  "$$python" -m venv --clear .venv || stop "Python could not make .venv (above is why); \
	on Debian and Ubuntu its venv module is a package of its own: apt install python3-venv"; \
	fi; \
	rm -f .venv/installed-*; \
	echo "Installing $(LOCK) into .venv ..."; \
	awk '/^[^ #]/ {wanted = /^uv==/} wanted' $(LOCK) > .venv/uv.txt; \
	index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(RUN) -m pip config get global.index-url 2>/dev/null || true)}}"; \
	if $(RUN) -m pip install --quiet --retries 2 --require-hashes --no-deps -r .venv/uv.txt && \
	  env $${index:+"UV_DEFAULT_INDEX=$$index"} .venv/bin/uv pip sync --quiet --require-hashes --python $(RUN) $(LOCK); \
	then :; \
	else \
	  echo "uv could not install the lock; trying pip, which takes some minutes ..."; \
	  $(RUN) -m pip install --quiet --retries 2 --require-hashes --no-deps -r $(LOCK) || stop "Could not install \
	$(LOCK) (above is why). The first set-up needs a network or a package mirror (PIP_INDEX_URL): connect, then run \
	the same command again."; \
	fi; \
	$(RUN) -c 'import os, sysconfig; \
	open(os.path.join(sysconfig.get_path("purelib"), "dvdgan.pth"), "w").write(os.getcwd() + "\n")'; \
	touch $@
