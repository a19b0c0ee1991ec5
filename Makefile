# `make` lists the targets. Each does its own set-up: a virtual environment in .venv, from the pinned lock.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# DVC runs `podium` by name; nothing else of the environment is needed.
RUN := PATH="$(abspath $(BIN)):$$PATH" TF_CPP_MIN_LOG_LEVEL=3 DVC_NO_ANALYTICS=1

.DEFAULT_GOAL := help
.PHONY: help setup submission report test test-fast test-jax lint check docs lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"podium needs Python 3.11, 3.12 or 3.13, not {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(VENV)/ready  ## the virtual environment with the pinned dependencies
	@test -d .dvc || { echo "no .dvc here: clone the repository whole"; exit 2; }

submission: setup  ## download, extract, fit, ensemble: ends with submissions/<competition>.csv and its scores
	@$(RUN) podium check-params
	@$(RUN) dvc repro --quiet download
	@$(RUN) podium check-params --data
	@$(RUN) dvc repro --quiet
	@$(RUN) podium scores

report: setup  ## one page of scores, charts and images: reports/<competition>/report.html
	@$(RUN) podium check-params
	@$(RUN) dvc repro report
	@echo "see reports/*/report.html"

test-fast: setup  ## the tests without DVC, Keras and a browser: under a minute
	@$(RUN) pytest -n auto --dist loadgroup -m "not (keras or dvc or browser or slow)"

test: setup  ## every test
	@$(RUN) pytest -n auto --dist loadgroup

test-jax: setup  ## the tests of all that Keras runs, with JAX in the place of TensorFlow
	@$(RUN) KERAS_BACKEND=jax pytest -n auto --dist loadgroup tests/engines tests/training tests/backbones/test_pooling.py \
		tests/backbones/test_efficientnet_lite.py

lint: setup  ## style, types and import rules
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) lint-imports

check: lint test  ## what CI runs: lint and tests

docs: setup  ## the documentation as a site, in site/; it reads offline
	@$(RUN) NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "see site/index.html"

lock:  ## pin all dependencies again, with hashes and without a registry's name (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		--group dev pyproject.toml --output-file requirements.lock

clean:  ## remove the environment and the machine's row cache; outputs are DVC's: see `dvc gc`
	rm -rf $(VENV) .podium
