# Each target is one command on a fresh machine: Python 3.11 or later, pip and make are enough.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint docs lock clean

PYTHON ?= python3
BIN := .venv/bin
DEMO ?= warehouse --agents 4 --preset fast --steps 600000
# A file's tests share folders and compiled programs: they stay together, longest files first.
PYTEST ?= -n 2 --dist loadfile --no-loadscope-reorder -q

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*##/  make \1\t/p' $(MAKEFILE_LIST)

setup: .venv/.stamp  ## make .venv from requirements.lock, if it is missing or out of date
	@echo "Environment ready: .venv"

# Only a new lock empties the environment: a change of pyproject.toml alone renews our own metadata.
.venv/.stamp: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Hinterland needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' lacks the venv module." >&2; \
	  echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(if $(filter requirements.lock,$?),--clear) .venv
	@total=$$(grep -c '^[a-z].*==' requirements.lock); n=0; \
	echo "Installing up to $$total packages from requirements.lock (about 1.9 GB on disk)"; \
	PYTHONUNBUFFERED=1 $(BIN)/pip install --disable-pip-version-check --progress-bar off \
	  --no-deps --require-hashes -r requirements.lock \
	| while read -r word _; do \
	    case "$$word" in \
	      Collecting|Processing) n=$$((n + 1)); \
	        if [ $$((n % 10)) = 0 ]; then echo "  $$n packages fetched"; fi;; \
	      Installing) echo "  unpacking";; \
	    esac; \
	  done
	@echo "Installing hinterland from this folder"
	@$(BIN)/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## train a small warehouse into a new folder runs/demo-N
	@n=1; while [ -e "runs/demo-$$n" ]; do n=$$((n + 1)); done; \
	echo "$(BIN)/hinterland train $(DEMO) --out runs/demo-$$n"; \
	$(BIN)/hinterland train $(DEMO) --out "runs/demo-$$n"

test: lint  ## lint, then run the tests
	$(BIN)/pytest $(PYTEST)

lint: setup  ## ruff and ty
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ty check --python .venv

docs: setup  ## write docs/api.md from the docstrings
	$(BIN)/python docs/reference.py

# vec-noise stays out: it does not build, and the Lux engine gets what it needs of it from us. The
# lock is complete but for that, so `setup` may and must install it with --no-deps.
lock:  ## renew requirements.lock (needs uv)
	uv pip compile pyproject.toml --extra test --group build --universal --fork-strategy fewest \
	  --python-version 3.11 --generate-hashes --no-header --upgrade --quiet \
	  --no-emit-package vec-noise -o requirements.lock

clean:  ## remove .venv, caches and build outputs; runs/ stays
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
