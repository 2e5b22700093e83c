# `make` says what there is. Each target sets up what it needs: python >= 3.11, make and a package index are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test lab unit pythons check fix bench contenders chaos chaos-proof faults conformance fuzz lock clean

# Tests start many processes: without caches each of them would compile the sources again.
unexport PYTHONDONTWRITEBYTECODE

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## Run one video generation through the whole stack, and check every promise made of it
	@$(BIN)/reelay demo

dev: $(READY) ## Run the whole stack until Ctrl-C
	@$(BIN)/reelay dev

test: $(READY) ## Run the tests of the product
	@$(BIN)/python -m tests.acceptance.browser.chromium || true  # it says what is left out
	@$(BIN)/python -m tests.node
	@$(BIN)/python -m tests.pgbouncer
	@$(BIN)/python -m tests.acceptance.generated.python_generator
	@$(BIN)/python -m tests.acceptance.doors.openai_2
	@$(BIN)/pytest -q -n auto --maxprocesses 4 --dist worksteal --ignore tests/lab

lab: $(READY) ## Run the tests of what proves it: simulator, embedded stack, chaos, bench, planted bugs
	@$(BIN)/python -m tests.node
	@$(BIN)/pytest -q -n auto --maxprocesses 4 --dist worksteal tests/lab

unit: $(READY) ## Run the tests that start no other program: within a minute
	@$(BIN)/pytest -q -n logical --maxprocesses 4 --dist worksteal tests/unit

pythons: $(READY) ## Run the unit tests and the demo on each Python from 3.11 to 3.13 that is on PATH
	@$(BIN)/python -m tests.lab.pythons

check: $(READY) ## Format, lint and types; changes nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy .

fix: $(READY) ## Format, and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## Measure Reelay beside bare Temporal, DBOS, Restate and no engine at all
	@$(BIN)/python -m lab.bench

contenders: $(READY) ## Install what the bench's contenders have a server of their own for: Restate's, 216 MB
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix lab/bench/contenders/restate --ignore-scripts --no-audit --no-fund

chaos: $(READY) ## Break everything while generations run, then count: JOBS=100 SEED=7 SEEDS=20 SLOTS=2, or PLAN=file
	@$(BIN)/python -m lab.chaos $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SLOTS),--slots $(SLOTS)) $(if $(PLAN),--plan $(PLAN))

chaos-proof: $(READY) ## Plant fourteen bugs, one at a time: the tests must catch each
	@$(BIN)/python -m tests.lab.proof

faults: $(READY) ## Write every fault, with the tests that prove it, to tests/artefacts/faults.md
	@$(BIN)/python -m tests.lab.reliability

conformance: $(READY) ## Write what the five documents say, with the tests that show it, to tests/artefacts/conformance.md
	@$(BIN)/python -m tests.acceptance.documents

fuzz: $(READY) ## Send the API what its document allows, for ten minutes or as told: LASTING=60 SEED=7; then many examples of all else
	@FUZZ_SECONDS=$(or $(LASTING),600) $(if $(SEED),FUZZ_SEED=$(SEED)) $(BIN)/pytest -q -s tests/integration/api/test_fuzzing.py
	@PROPERTY_EXAMPLES=200 MUTANTS=2000 $(BIN)/pytest -q -n logical --maxprocesses 4 --dist worksteal \
		tests/unit tests/integration/api/test_session_cookie.py \
		tests/integration/media/test_decoder_pool.py::test_mutants_are_media_or_bad_media

setup: $(READY) ## Make the virtual environment

# One version of each package for all Pythons: `fewest`. The second lock is the image's: without the embedded stack and
# the tools.
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	--no-emit-index-url --fork-strategy fewest --python-version 3.11
GENERATOR := tests/acceptance/generated/python/requirements
OPENAI_2 := tests/acceptance/doors/openai_2/requirements

lock: $(READY) ## Resolve the dependencies again
	@$(BIN)/python -m pip install --quiet uv
	@$(COMPILE) pyproject.toml --all-extras -o requirements.lock
	@$(COMPILE) pyproject.toml --extra build -o requirements-runtime.lock
	@$(COMPILE) $(GENERATOR).in -o $(GENERATOR).lock
	@$(COMPILE) --no-deps $(OPENAI_2).in -o $(OPENAI_2).lock

clean: ## Remove the virtual environments and the caches
	@rm -rf .venv .venv-3.* .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): requirements.lock pyproject.toml lab/pyproject.toml clients/python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Reelay needs Python 3.11 or newer, and '$(PYTHON)' is not: make PYTHON=/path/to/python3.11 ..." >&2; \
		exit 1; }
	@echo "Setting up $(VENV) (about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e lab -e clients/python
	@touch $@
