# Everything runs from this folder with the environment in .venv; `make help` lists the targets.

PYTHON ?= python3.11
BIN := .venv/bin
SMOKE := build/smoke
TEST_WORKERS ?= auto

export DVC_NO_ANALYTICS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup repro use test lint smoke lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

# The environment is stamped with the lock that it was made from: an equal lock installs nothing.
setup:  ## Create .venv and install requirements.lock (PYTHON=... chooses the interpreter)
	@cmp -s requirements.lock .venv/installed.lock || $(MAKE) --no-print-directory .install

.PHONY: .install
.install:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "error: $(PYTHON) not found. Install Python 3.11, or name one: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is $$("$(PYTHON)" --version 2>&1); version 3.11 or later is needed" >&2; exit 1; }
	test -x $(BIN)/pip || "$(PYTHON)" -m venv .venv
	rm -f .venv/installed.lock
	$(BIN)/python -m pip install -r requirements.lock
	@cp requirements.lock .venv/installed.lock

repro: setup  ## Run the whole chain: data, teacher, students, evaluation, export, benchmark, report
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro

# Paths with spaces are not for make: call the command itself.
use: setup  ## Switch params.yaml to a recipe: make use RECIPE=configs/students/NAME.py DATA=path/to/coco
	@$(BIN)/python -m pipeline.choice $(RECIPE) --data $(or $(DATA),datasets/coco)

test: setup  ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --maxprocesses 4

lint: setup  ## Check style, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# A copy of this folder as a DVC project of its own: neither dvc.lock nor a result of the full chain is touched.
smoke: setup  ## Run the whole chain in a tiny profile, then check that a second run repeats nothing
	rm -rf $(SMOKE)
	mkdir -p $(SMOKE) .cache
	git ls-files -z --cached --others --exclude-standard | tar --null -T - --ignore-failed-read -cf - | tar -xf - -C $(SMOKE)
	ln -s "$(CURDIR)/.cache" $(SMOKE)/.cache
	rm -f $(SMOKE)/dvc.lock
	@set -e; cd $(SMOKE); export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	dvc config --quiet --local core.no_scm true; \
	python -m pipeline.profiles smoke > smoke.yaml; mv smoke.yaml params.yaml; \
	dvc repro; \
	dvc repro > second.log 2>&1 || { cat second.log; exit 1; }; \
	if grep -E "^(Running stage|Stage '.*' is cached)" second.log | grep -v "'device'"; then \
	  echo "error: the second dvc repro repeated the stages above" >&2; exit 1; fi; \
	echo "smoke: the second dvc repro repeated nothing but the device stage"

# The newest versions that the ranges in pyproject.toml allow, resolved in an environment that is thrown away.
lock:  ## Resolve pyproject.toml anew into requirements.lock
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
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
