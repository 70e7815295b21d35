# Every target starts from nothing: Python 3.11+, pip and make are enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TEST_ARGS ?=
DEMO_DIR ?= demo

.PHONY: help demo test check test-services test-gpu bench docs format clean

help: ## What can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Tidemill needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.1"

# A stamp for each set of packages: a second run installs nothing unless pyproject.toml changed.
$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(PIP) install --quiet --editable ".[demo]"
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(PIP) install --quiet --editable ".[all]" --group test --group lint --group docs
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## The whole life of a model on real data, in about a minute
	$(BIN)/tidemill demo $(DEMO_DIR)

test: $(VENV)/.dev ## The full test suite that needs no root
	$(BIN)/python -m pytest -m "not services and not gpu" -n 2 --dist worksteal $(TEST_ARGS)

check: $(VENV)/.dev ## Lint, format, types, layers, docs against code, fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "fast and not slow and not services and not gpu" -n 2 --dist worksteal $(TEST_ARGS)

test-services: $(VENV)/.dev ## Tests that need Debian packages or servers; installs them where it may
	$(BIN)/python scripts/services.py
	$(BIN)/python -m pytest -m services $(TEST_ARGS)

test-gpu: $(VENV)/.dev ## Tests that need a CUDA device, and torch that can use it
	$(BIN)/python -m pytest -m gpu $(TEST_ARGS)

bench: $(VENV)/.dev ## Each hot path beside its peers, in one run
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

docs: $(VENV)/.dev ## The documentation as a site
	$(BIN)/mkdocs build --strict

format: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what the targets made
	rm -rf $(VENV) .bench build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
