# Every command that the README names. `make demo` and `make test` start from nothing but Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := 2.13.0
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: setup demo test lint bench clean
.DEFAULT_GOAL := setup

setup: $(READY)

$(READY): pyproject.toml constraints.txt Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mien needs Python 3.11 or newer; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@# A machine without CUDA gets the CPU build, which PyPI itself does not carry for Linux.
	if command -v nvidia-smi >/dev/null || [ "$$(uname)" != Linux ]; then \
	  $(PIP) install torch==$(TORCH); \
	else \
	  $(PIP) install torch==$(TORCH)+cpu 2>/dev/null \
	  || $(PIP) install torch==$(TORCH)+cpu --extra-index-url https://download.pytorch.org/whl/cpu \
	  || $(PIP) install torch==$(TORCH); \
	fi
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/mien demo

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks.analyze

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
