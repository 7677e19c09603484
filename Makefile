# Build front end: needs Python >= 3.11 with venv, and make. Everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: help demo test check format docs conformance conformance-quick bench clean

help:
	@echo 'make demo               the stories of the README with real traffic, offline'
	@echo 'make test               all tests'
	@echo 'make check              format, lint, types, architecture'
	@echo 'make format             what of it can be put right'
	@echo 'make docs               docs/problems.md from the codes'
	@echo 'make conformance        every judge that lies beside the checkout (JUDGES=../shared)'
	@echo 'make conformance-quick  the part of it that continuous integration runs'
	@echo 'make bench              side by side with a real Envoy'
	@echo 'make clean              takes away what the others have made'

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The command with what it needs to run; the stamp keeps later calls offline.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@$(BIN)/python -m compileall -q sandbox
	@touch $@

# Besides, what tests and checks need.
$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python -m compileall -q sandbox
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/egress demo

test: $(VENV)/.installed-dev
	$(BIN)/pytest -n $(WORKERS) -q

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check sandbox tests bench
	$(BIN)/ruff check sandbox tests bench
	$(BIN)/mypy
	$(BIN)/pytest -q tests/architecture

format: $(VENV)/.installed-dev
	$(BIN)/ruff format sandbox tests bench
	$(BIN)/ruff check --fix sandbox tests bench

docs: $(VENV)/.installed-dev
	$(BIN)/python -m sandbox check --list-codes | $(BIN)/python -c '\
	import pathlib, sys; page = pathlib.Path("docs/problems.md"); \
	page.write_text(page.read_text().partition("| code")[0] + sys.stdin.read())'

conformance: $(VENV)/.installed-dev
	$(BIN)/python tests/conformance/run

conformance-quick: $(VENV)/.installed-dev
	$(BIN)/python tests/conformance/run --quick

bench: $(VENV)/.installed $(VENV)/.installed-bench
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist
