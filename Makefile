# Every target installs what it needs into .venv first; `make demo` works from a fresh clone with nothing but Python.
#   PYTHON     the interpreter the environment is made from (3.11 or newer)
#   PIP_FLAGS  more options for pip install, such as an index that holds torch's smaller CPU-only wheel
#   JOBS       how many test processes run at a time
#   SEED       base seed of fuzz: another number draws other graphs and files
#   ARGS       more options for the command behind demo, test, bench, fuzz and interop

PYTHON    ?= python3
PIP_FLAGS ?=
JOBS      ?= 2
SEED      ?= 1
ARGS      ?=

VENV := .venv
BIN  := $(VENV)/bin
# Path-based editable install: type checkers of other projects can follow it (docs/decisions/packaging.md).
PIP_INSTALL = $(BIN)/python -m pip install -q $(PIP_FLAGS) -c constraints.txt --config-settings editable_mode=compat

.PHONY: help demo test lint docs bench fuzz interop clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed-hf ## a story that DuckDB computes from a small Llama, token by token
	@$(BIN)/irsql demo $(ARGS)

test: $(VENV)/installed-dev ## the test suite
	$(BIN)/python -m pytest -n $(JOBS) --ignore=tests/fuzz --ignore=tests/interop $(ARGS)

lint: $(VENV)/installed-dev ## ruff, mypy and pyright
	$(BIN)/ruff check .
	$(BIN)/mypy irsql tests docs/examples/*/irsql_example_*
	$(BIN)/pyright

docs: $(VENV)/installed-dev ## the documentation site, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "the site is in site/: $(BIN)/python -m http.server -d site"

bench: $(VENV)/installed-dev ## speed of a Llama-3.2-1B shape of 8 layers; ARGS="--ablation --peers" compares
	$(BIN)/irsql bench llama-3.2-1b --layers 8 $(ARGS)

fuzz: $(VENV)/installed-dev ## the long randomised tests of a base SEED; GRAPH=N runs one random graph alone
ifdef GRAPH
	$(BIN)/python -m tests.fuzz.running $(GRAPH) $(if $(TARGET),--target $(TARGET))
else
	IRSQL_FUZZ_SEED=$(SEED) HYPOTHESIS_PROFILE=fuzz \
		$(BIN)/python -m pytest -n $(JOBS) --hypothesis-seed=$(SEED) $(ARGS) tests/fuzz
endif

interop: $(VENV)/installed-interop ## real MLIR tools parse and verify the dumps
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS) tests/interop

clean: ## remove the environment, caches and built files
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each set of extras, newer than the files that list what to install.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "irsql needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/installed-hf: pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e '.[hf]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e '.[dev,hf]'
	@touch $@ $(VENV)/installed-hf

$(VENV)/installed-interop: $(VENV)/installed-dev
	$(PIP_INSTALL) -e '.[dev,hf,interop]'
	@touch $@
