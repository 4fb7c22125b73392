# `make demo` and `make test` make .venv here if it isn't there; the second time they need no network.

# The first that runs and is 3.10 to 3.12; a version manager may have names on the path that don't run.
PYTHON ?= $(or $(shell for p in python3 python3.12 python3.11 python3.10; do \
  $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; \
  done),$(error no Python 3.10 to 3.12 found; name one with PYTHON=...))
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo_out

BASE_STAMP := $(VENV)/.installed-base
TEST_STAMP := $(VENV)/.installed-test
PACKAGING := setup.py pyproject.toml

# torch and NumPy start one thread a core in every process, and the graph is several processes.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint format clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

demo: $(BASE_STAMP) ## video in, 3D people out: writes $(OUT)/
	$(BIN)/dualpose demo --out $(OUT)

test: $(TEST_STAMP) lint ## ruff, mypy and pytest, with the test extras
	$(BIN)/python -m pytest

lint: $(TEST_STAMP) ## ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: $(TEST_STAMP) ## let ruff format everything and mend what it can
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

clean: ## remove .venv, caches and output
	rm -rf $(VENV) $(OUT) .mypy_cache .ruff_cache .pytest_cache build *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(BASE_STAMP): $(PACKAGING) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(TEST_STAMP): $(PACKAGING) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test,train]'
	touch $@ $(BASE_STAMP)
