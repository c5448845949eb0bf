# Everything runs from this folder with the environment in .venv; `make help` lists the targets.

# The newest that can make an environment: a name on the path may be a version manager's stand-in for a Python that is not
# chosen, and Debian's comes without ensurepip where python3-venv is not installed. Looked for once, where it is used.
TESTED := 3.13 3.12 3.11
PYTHON ?= $(eval PYTHON := $(shell for each in $(TESTED:%=python%); do \
  if $$each -c "import ensurepip, venv" 2>/dev/null; then echo $$each; exit; fi; done; echo python3))$(PYTHON)
BIN := .venv/bin
SMOKE := build/smoke
TEST_WORKERS ?= auto
# Once set up for a GPU, .venv stays so: `make setup GPU=` goes back.
ifeq ($(origin GPU),undefined)
GPU := $(shell grep -qs '^onnxruntime-gpu' .venv/installed.lock && echo 1)
endif
OTHER_RUNTIME := $(if $(GPU),onnxruntime,onnxruntime-gpu)

export DVC_NO_ANALYTICS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
USE_OPTIONS := FORMAT MODEL TEACHER SIZE EPOCHS BATCH METHODS CHOOSE_ON UNLABELLED
.PHONY: help setup repro use test lint smoke guide trt-check gpu-proof lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

# The environment is stamped with what it was made from: an equal list installs nothing. With GPU=1 it is the lock with
# the extra gpu in the place of cpu. That extra is not locked: TensorRT's libraries come from NVIDIA's own index.
setup:  ## Create .venv and install requirements.lock (PYTHON=... for another than the newest Python, GPU=1 for the extra gpu)
	@mkdir -p build/setup
	@$(if $(GPU),$(CHECK_PYTHON))
	@$(if $(GPU),$(LIST_GPU),cat requirements.lock) > build/setup/wanted.txt
	@cmp -s build/setup/wanted.txt .venv/installed.lock || $(MAKE) --no-print-directory .install
	@$(SAY_UNTESTED)
	@$(SAY_OTHER_PYTHON)

INSTALL_PYTHON := Install Python 3.11, 3.12 or 3.13, or name one: make setup PYTHON=/path/to/python3
CHECK_PYTHON = "$(PYTHON)" -c "" 2>/dev/null || { \
    echo "error: $(PYTHON) does not run. $(INSTALL_PYTHON)" >&2; exit 1; }; \
  "$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
    echo "error: $(PYTHON) is $$("$(PYTHON)" --version 2>&1), which is too old. $(INSTALL_PYTHON)" >&2; exit 1; }

# Read from the file that venv writes: nothing is started for it but the Python that would be taken now.
MADE_OF = $$(sed -n 's/^version *= *\([0-9]*\.[0-9]*\).*/\1/p' .venv/pyvenv.cfg 2>/dev/null)
SAY_UNTESTED = made=$(MADE_OF); case "$$made: $(TESTED) " in :*|*" $$made "*) ;; \
  *) echo "note: .venv is of Python $$made, which nothing was tested with; if something fails:" \
    "install Python 3.11, 3.12 or 3.13, rm -r .venv, then make setup";; esac
SAY_OTHER_PYTHON = made=$(MADE_OF); \
  now=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || exit 0; \
  case "$$made" in ""|"$$now") ;; \
    *) echo "note: .venv is of Python $$made, and $(PYTHON) is $$now; for that one: rm -r .venv, then make setup";; esac

.PHONY: .install
.install:
	@$(CHECK_PYTHON)
	test -x $(BIN)/pip || "$(PYTHON)" -m venv .venv
	@$(SAY_UNTESTED)
	rm -f .venv/installed.lock
	@! $(BIN)/python -m pip show --quiet $(OTHER_RUNTIME) 2>/dev/null || \
	  $(BIN)/python -m pip uninstall --yes onnxruntime onnxruntime-gpu
	$(BIN)/python -m pip install -r build/setup/wanted.txt
	@cp build/setup/wanted.txt .venv/installed.lock

LIST_GPU = "$(PYTHON)" -c 'import tomllib; \
  gpu = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["gpu"]; \
  lock = [line for line in open("requirements.lock").read().splitlines() if not line.startswith("onnxruntime==")]; \
  print("\n".join([*lock, "\# extra gpu", *gpu]))'

# An unpacked archive has no .git, without which DVC runs nothing until it is told so; the file it is told in is ignored.
HAS_GIT = git rev-parse --git-dir >/dev/null 2>&1

repro: setup  ## Run the whole chain: data, teacher, students, evaluation, export, benchmark, report
	@$(HAS_GIT) || PATH="$(CURDIR)/$(BIN):$$PATH" dvc config --quiet --local core.no_scm true
	@$(BIN)/python -m pipeline.dvc_state
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro
	@$(BIN)/python -m pipeline.made

# Paths with spaces are not for make: call the command itself.
use: setup  ## Write a params.yaml for your data: make use DATA=path/to/data [RECIPE= MODEL= TEACHER= SIZE= EPOCHS= BATCH= METHODS= CHOOSE_ON= UNLABELLED=]
	@$(BIN)/python -m pipeline.choice $(RECIPE) --data $(or $(DATA),datasets/coco) $(foreach option,$(USE_OPTIONS),\
	  $(if $($(option)),--$(shell echo $(option) | tr A-Z_ a-z-) $($(option))))

test: setup  ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --maxprocesses 4 --dist worksteal

lint: setup  ## Check style, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# A copy of this folder as a DVC project of its own: neither dvc.lock nor a result of the full chain is touched.
smoke: setup  ## Run the whole chain in a tiny profile, then check that a second run repeats nothing
	rm -rf $(SMOKE)
	$(MAKE) --no-print-directory .copy TO=$(SMOKE)
	@set -e; cd $(SMOKE); export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	dvc config --quiet --local core.no_scm true; \
	python -m pipeline.profiles rehearsal smoke > smoke.yaml; mv smoke.yaml params.yaml; \
	dvc repro; \
	dvc repro > second.log 2>&1 || { cat second.log; exit 1; }; \
	if grep -E "^(Running stage|Stage '.*' is cached)" second.log | grep -v "'surroundings'"; then \
	  echo "error: the second dvc repro repeated the stages above" >&2; exit 1; fi; \
	echo "smoke: the second dvc repro repeated nothing but what looks at the machine and the source files"

# The sources without any result; downloads are shared.
.PHONY: .copy
.copy:
	mkdir -p "$(TO)" .cache
	{ if $(HAS_GIT); then git ls-files -z --cached --others --exclude-standard; else $(LIST_SOURCES); fi; } | \
	  tar --null -T - --ignore-failed-read -cf - | tar -xf - -C "$(TO)"
	ln -s "$(CURDIR)/.cache" "$(TO)/.cache"
	rm -f "$(TO)/dvc.lock"

guide: setup  ## Run the commands of docs/own_data.md on a tiny data set, from their own text
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest -m guide -p no:xdist tests/test_guides.py

# What .gitignore leaves, where there is no git to read it.
NO_SOURCES := .venv .venv-trt .cache .hypothesis .pytest_cache .mypy_cache .ruff_cache build data models artefacts reports \
  work_dirs tracking .dvc/cache .dvc/tmp
LIST_SOURCES = find . \( -name __pycache__ $(NO_SOURCES:%=-o -path ./%) -o -path './datasets/?*' ! -name README.md \) \
  -prune -o ! -type d -print0

# An environment of its own, which sees .venv and so is of its Python: TensorRT-RTX takes no part in anything but this.
trt-check: setup  ## Build engines of every detector family with TensorRT-RTX, without a GPU (in .venv-trt)
	test .venv-trt/bin/pip -nt .venv/pyvenv.cfg || $(BIN)/python -m venv --clear .venv-trt
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
	  "$$(.venv-trt/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pipeline.pth"
	.venv-trt/bin/python -m pip install --quiet $$($(LIST_TRT_CHECK))
	OMP_NUM_THREADS=1 .venv-trt/bin/python -m pytest -m trt -p no:xdist --durations=10 tests/deploy

LIST_TRT_CHECK = $(BIN)/python -c 'import tomllib; \
  extra = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["trt-check"]; print(*extra)'

# No set-up: it takes the machine's own Python where there is no .venv, and says what is missing.
gpu-proof:  ## Prove on a GPU what can only be seen on one, in about 10 minutes (docs/gpu.md)
	$(or $(wildcard $(BIN)/python),python3) -m benchmarks.gpu_proof

# The newest versions that the ranges in pyproject.toml allow, resolved in an environment that is thrown away. With the
# oldest Python: a newer one takes versions that the oldest has not (numpy 2.5 and scipy 1.18 are not for 3.11).
lock: PYTHON = python$(lastword $(TESTED))
lock:  ## Resolve pyproject.toml anew into requirements.lock, with the oldest Python
	@$(CHECK_PYTHON)
	rm -rf build/lock
	"$(PYTHON)" -m venv build/lock
	$(LIST_DIRECT) > build/lock/direct.txt
	build/lock/bin/python -m pip install -r build/lock/direct.txt ./requirements/opencv-python
	$(MAKE) --no-print-directory .freeze FROM=build/lock
	rm -rf build/lock

# Writes the versions of the environment FROM into the lock: first the direct ones, then what they bring.
.PHONY: .freeze
.freeze:
	@mkdir -p build/lock
	@{ echo "# Written by 'make lock'. Install it from this folder: pip install -r requirements.lock"; \
	   $(LIST_DIRECT); } > build/lock/direct.txt
	$(FROM)/bin/python -m pip freeze --all --exclude pip --exclude wheel -r build/lock/direct.txt > build/lock/frozen.txt
	sed -e '/^opencv-python[ =]/d' -e 's|^## .*|# brought by the ones above|' \
	    -e 's|^# direct$$|&\n./requirements/opencv-python|' build/lock/frozen.txt > requirements.lock

LIST_DIRECT = "$(PYTHON)" -c 'import tomllib; \
  project = tomllib.load(open("pyproject.toml", "rb"))["project"]; extra = project["optional-dependencies"]; \
  print("\n".join(["\# direct", *project["dependencies"], "\# extra cpu", *extra["cpu"], "\# extra dev", *extra["dev"]]))'

clean:  ## Remove the smoke run and the tools' caches; results, downloads and .venv stay
	rm -rf $(SMOKE) build/lock .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +
