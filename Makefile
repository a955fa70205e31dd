# Everything a person needs from a fresh clone. `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# python3.11 where there is one, else the first python3; the check below wants 3.11 or later.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
ARGS ?=

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) \
	  | awk 'BEGIN {FS = ":.*## "} {printf "  make %-8s %s\n", $$1, $$2}'

.PHONY: run
run: .venv/.installed ## Take a session through the graph, without keys; ARGS="--help" says more
	@$(BIN)/mahler run $(ARGS)

.PHONY: dev
dev: .venv/.installed ## Start the webserver, the daemon and the local exchange
	@$(BIN)/mahler dev $(ARGS)

.PHONY: test
test: lint types ## Lint, check types and run every test; ARGS goes to pytest
	@echo "· tests"
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

.PHONY: lint
lint: .venv/.installed ## Check rules and format
	@echo "· lint"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .

.PHONY: types
types: .venv/.installed ## Check types, strictly
	@echo "· types"
	@$(BIN)/mypy

.PHONY: bench
bench: .venv/.installed ## Run each program in benchmarks/ and print what it measured
	@for program in benchmarks/*.py; do \
	  [ -e "$$program" ] || { echo "no benchmarks"; break; }; \
	  echo "· $$program"; \
	  $(BIN)/python "$$program" $(ARGS); \
	done

.PHONY: drill
drill: .venv/.installed ## Kill the desk 500 times and its messages 200 times; ARGS="--kills 50" is shorter
	@$(BIN)/python -m drills.kill $(ARGS)
	@$(BIN)/python -m drills.messages

.PHONY: clean
clean: ## Remove the environment, caches and builds; .mahler (your data) stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is younger than what it was made from, so an edited lock installs again.
.venv/.installed: pyproject.toml requirements.lock
	@[ -n "$(PYTHON)" ] || { echo "Mahler needs Python 3.11 or later" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Mahler needs Python 3.11 or later; $(PYTHON) is older" >&2; exit 1; }
	@echo "· environment: .venv from requirements.lock (some minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --editable .
	@touch $@

# Pins and hashes everything the project and its extras need, for every platform and Python 3.11+.
.PHONY: lock
lock: ## Make requirements.lock again from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --output-file requirements.lock --quiet --no-config \
	  --all-extras --no-strip-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --upgrade
