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
.PHONY: help demo test lint format parameters results speed clean

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

parameters: $(TEST_STAMP) ## write config/pipeline.yaml, docs/parameters.md and the comments of config/training/ from the settings
	$(BIN)/dualpose parameters > $(VENV)/pipeline.yaml && mv $(VENV)/pipeline.yaml config/pipeline.yaml
	$(BIN)/dualpose parameters --markdown > $(VENV)/parameters.md && mv $(VENV)/parameters.md docs/parameters.md
	$(BIN)/python -m dualpose_ros.lab.training.settings_files

# Demos on a machine that does nothing else: their rate is measured too.
RESULTS := docs/results
results: $(TEST_STAMP) ## measure the shipped networks anew (an hour or two) and write docs/results.md; needs DUALPOSE_DATA
	@test -d "$$DUALPOSE_DATA" || { echo "DUALPOSE_DATA names no folder; see docs/data.md" >&2; exit 2; }
	rm -f $(RESULTS)/demo_*.json
	for run in 1 2 3 4 5; do $(BIN)/dualpose demo --no-overlay --out build/demo_$$run || exit; done
	for what in trajectory top-down bottom-up "fusion --ground" ablation refinement ground; do \
	  $(BIN)/dualpose eval $$what --json $(RESULTS)/$${what%% *}.json || exit; done
	$(BIN)/dualpose synth frames --count 400 --seed 1000 --out build/frames \
	  --mocap "$$DUALPOSE_DATA/motion" --body "$$(ls "$$DUALPOSE_DATA"/makehuman/*.npz | head -1)"
	for what in detector joints; do \
	  $(BIN)/dualpose eval $$what --data build/frames --json $(RESULTS)/$$what.json || exit; done
	if test -d "$$DUALPOSE_DATA/coco_sample"; then \
	  $(BIN)/dualpose eval photographs --root "$$DUALPOSE_DATA/coco_sample" --json $(RESULTS)/photographs.json && \
	  $(BIN)/dualpose eval scores --sequences 0 --root "$$DUALPOSE_DATA/coco_sample" --every-split \
	    --json $(RESULTS)/people.json; fi
	$(BIN)/dualpose eval scores --json $(RESULTS)/scores.json --out docs/images \
	  $$(test -d "$$DUALPOSE_DATA/real" && echo --root "$$DUALPOSE_DATA/real" --incomplete lspet)
	$(BIN)/dualpose results $(foreach run,1 2 3 4 5,--demo build/demo_$(run)/summary.json)

speed: $(TEST_STAMP) ## time the graph anew (some minutes, on a machine that does nothing else) and write docs/speed.md
	for what in stages people transport pipeline; do \
	  $(BIN)/dualpose bench $$what --json $(RESULTS)/speed/$$what.json || exit; done
	$(BIN)/dualpose bench pipeline --composed --json $(RESULTS)/speed/composed.json
	$(BIN)/dualpose bench page --results $(RESULTS)/speed

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
