# `make` lists what there is. Nothing here needs root, a network beyond the package registry,
# or anything but Python 3.11 or later, make, bash, git and Node (for pyright).
#
# Everything runs against the built wheel in $(VENV), never against the tree beside it.

VENV    ?= .venv
PYTHON  ?= $(shell command -v python3.11 || command -v python3)
WORKERS ?= 2
ARGS    ?=
UPGRADE ?=

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN     := $(VENV)/bin
CODE    := $(wildcard src tests bench docs hatch_build.py)
# Directories too, so that a file that went away also makes a new wheel.
SOURCES := $(shell find src -not -name '*.pyc' -not -name __pycache__)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
           --no-header --no-emit-index-url $(if $(UPGRADE),--upgrade)
# Half of the tests start an interpreter or more: none shall compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE
# A file stays with one worker, so that what its tests share is made once. Files are given out in
# their order: by default those of few tests come last, and they are the long ones.
PYTEST  := $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  VENV=DIR installs elsewhere; PYTHON=PATH picks the interpreter; ARGS=... goes to the command.'

.PHONY: setup
setup: $(VENV)/.wheel ## Install the locked tools, build the wheel, install it

$(VENV)/.uv: requirements/bootstrap.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Surgetank needs Python 3.11 or later; name one with PYTHON=/path/to/python3' >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.lock
	@touch $@

$(VENV)/.packages: requirements/dev.lock $(VENV)/.uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.lock
	@touch $@

$(VENV)/.wheel: $(SOURCES) pyproject.toml hatch_build.py README.md LICENSE $(VENV)/.packages
	rm -rf $(VENV)/wheel
	$(BIN)/hatchling build -t wheel -d $(VENV)/wheel
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --reinstall $(VENV)/wheel/*.whl
	@touch $@

.PHONY: drill
drill: setup ## Replay the Azure outage of February 2026; writes azure-2026-02.html
	$(BIN)/surgetank drill azure-2026-02 --seed 1 --report azure-2026-02.html $(ARGS)

.PHONY: check
check: setup ## What CI checks without running: format, lint, types, imports, locks, documentation
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/pyright --pythonpath $(BIN)/python $(CODE)
	PYTHONPATH=src $(BIN)/lint-imports
	@! grep -nE '://|^-|@ ' requirements/*.lock || { echo 'A lock holds names, versions and hashes only.' >&2; exit 1; }
	@$(MAKE) --no-print-directory docs

# Examples first; the second builder takes over what the first has read.
.PHONY: docs
docs: setup ## Build the documentation into $(VENV)/docs, warnings as errors, and run its examples
	$(BIN)/sphinx-build -q -W --keep-going -b doctest -d $(VENV)/docs/read docs $(VENV)/docs/examples
	$(BIN)/sphinx-build -q -W --keep-going -b html -d $(VENV)/docs/read docs $(VENV)/docs/html
	@echo 'The documentation: $(VENV)/docs/html/index.html'

.PHONY: figures
figures: setup ## Play anew what the documentation shows: drawings, numbers, transcripts; minutes
	$(BIN)/python -m docs.figures $(ARGS)

.PHONY: browser
browser: $(VENV)/.packages ## Install Debian's Chromium, as root and where it is missing, for the tests of reports
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && timeout 300 bash -c 'apt-get -qq update && apt-get -qq -y --no-install-recommends install chromium' \
	  >$(VENV)/browser.log 2>&1; } || echo 'No Chromium: the tests of the report page will be skipped.'

.PHONY: test
test: setup browser ## Quick tests with branch coverage: 100% of core and control, 95% overall
	$(PYTEST) -m 'not slow' --cov --cov-report= $(ARGS) | tee $(VENV)/test.log
	@failed=; \
	$(BIN)/coverage report --fail-under=95 || failed=1; \
	echo; echo 'core and control, of which every branch is covered:'; \
	$(BIN)/coverage report --include='*/surgetank/core/*,*/surgetank/control/*' --fail-under=100 || failed=1; \
	tail -n 1 $(VENV)/test.log; \
	test -z "$$failed"

.PHONY: test-long
test-long: setup ## Slow tests: many seeds, long histories, whole scenarios
	$(PYTEST) -m slow -o faulthandler_timeout=1200 $(ARGS)

.PHONY: bench
bench: setup ## Measure side by side with peers; prints figures, asserts none
	@for file in $(filter-out bench/operations%,$(wildcard bench/*.py)); do echo "== $$file"; $(BIN)/python "$$file" $(ARGS); done

.PHONY: bench-operations
bench-operations: setup ## Measure durable operations beside PgQueuer, DBOS, Celery and Procrastinate; minutes
	$(BIN)/python bench/operations.py $(ARGS)

.PHONY: bench-drain
bench-drain: setup ## Drain a backlog by every release law, ours and peers, in every world that ships
	$(BIN)/surgetank bench drain --json drain.json --plot drain.svg $(ARGS)

.PHONY: format
format: setup ## Format, and mend what the linter can
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

.PHONY: lock
lock: $(VENV)/.uv ## Write requirements/*.lock from pyproject.toml; UPGRADE=1 takes newer versions
	$(COMPILE) pyproject.toml -o requirements/run.lock
	$(COMPILE) --group bootstrap -o requirements/bootstrap.lock
	$(COMPILE) pyproject.toml --group dev -c requirements/run.lock -o requirements/dev.lock

.PHONY: clean
clean: ## Remove what these targets made, the environment too
	rm -rf $(VENV) src/surgetank/rehearsal/drill/report/vendor .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist
	find src tests docs $(wildcard bench) -name __pycache__ -type d -prune -exec rm -rf {} +
