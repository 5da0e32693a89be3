# Two commands matter: `make dev` runs Farmgate, `make test` proves it. `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help dev test clients fuzz cuts faults bench-models failover kills load guide engines lint format types contracts unit coverage lock generated bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

dev: $(VENV)/run.stamp ## set up, get a model if there is none, and start Farmgate on http://127.0.0.1:8000
	@$(BIN)/farmgate dev $(ARGS)

test: $(VENV)/dev.stamp ## lint, types, architecture contracts and all tests
	@$(MAKE) --no-print-directory lint types contracts generated coverage

CLIENTS ?= llm langchain langgraph adk crewai vercel

clients: $(CLIENTS:%=$(VENV)-clients/%.stamp) ## real clients against a real gate, each in its own locked environment: CLIENTS='llm adk'
	@$(BIN)/python tools/clients.py $(CLIENTS)

SECONDS ?= 60
TARGETS ?=

fuzz: $(VENV)-fuzz/fuzz.stamp ## fuzz the readers of streams, each so long; what breaks them becomes a test: SECONDS=60 TARGETS='sse openai'
	@$(VENV)-fuzz/bin/python tools/fuzz.py $(SECONDS) $(TARGETS)

CUTS ?= 10000
SEED ?= 1

cuts: $(VENV)/dev.stamp ## streams cut at random bytes, through a real gate: CUTS=10000 SEED=1
	@$(BIN)/python tools/cuts.py $(CUTS) $(SEED)

ROWS ?=
PEER ?=
URL ?= http://127.0.0.1:4000
PORT ?= 9001

faults: $(VENV)/dev.stamp ## the fault matrix of docs/faults.md, through a real gate: ROWS='7 10 25', or PEER=NAME VERSION=... URL=... PORT=9001
	@$(BIN)/python tools/faults.py $(ROWS) $(if $(PEER),--peer $(PEER) --url $(URL) --port $(PORT) $(if $(VERSION),--version $(VERSION)))

KILLS ?= 200
USERS ?= 1000
PAGE ?= yes
ENDURE = $(BIN)/python tools/endure.py $(if $(filter no,$(PAGE)),--no-page) --seed $(SEED)

failover: $(VENV)/dev.stamp ## two targets, one that fails in turn: what callers see; 3 minutes, figures in docs/endurance.md
	@$(ENDURE) failover

kills: $(VENV)/dev.stamp ## kill -9 under load, again and again: is every call on record? KILLS=200 SEED=1
	@$(ENDURE) kills $(KILLS)

load: $(VENV)/dev.stamp ## many streaming users through faults, restarts and reloads: SECONDS=60 USERS=1000, PAGE=no prints only
	@$(ENDURE) load $(SECONDS) $(USERS)

PROOFS ?=

bench-models: $(VENV)-engines/engines.stamp ## models swapped, killed, crowded, unloaded under real callers; 6 minutes, figures in docs/models.md: PROOFS='swaps chaos'
	@$(VENV)-engines/bin/python tools/bench_models.py $(if $(filter no,$(PAGE)),--no-page) --seed $(SEED) $(PROOFS)

guide: $(VENV)-guide/guide.stamp ## train the models of the tests anew, 2 minutes: ARGS=--check only asks what is there
	@$(VENV)-guide/bin/python -m tools.guide_model $(ARGS)

engines: $(VENV)-engines/engines.stamp ## the engines that need libraries of their own, with real models, two minutes: ARGS='-k seed'
	@$(VENV)-engines/bin/python -m pytest -c tests/live/engines/pytest.ini tests/live/engines $(ARGS)

lint: $(VENV)/dev.stamp ## ruff: style and correctness
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

format: $(VENV)/dev.stamp ## rewrite the code in house style
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

types: $(VENV)/dev.stamp ## mypy, strict
	@$(BIN)/mypy

contracts: $(VENV)/dev.stamp ## who may import whom
	@$(BIN)/lint-imports

generated: $(VENV)/dev.stamp ## generated files are up to date
	@$(BIN)/python tools/generate.py --check

unit: $(VENV)/dev.stamp ## the tests without coverage: make unit ARGS='tests/unit/flow -k gate'
	@$(BIN)/pytest $(ARGS)

# Measuring doubles a test's time: the rooms whose coverage has a floor go first, all others run as they are.
MEASURED := tests/wire tests/contract tests/matrix tests/unit/core tests/unit/flow
PYTEST := $(BIN)/pytest -q -n 2 --dist loadfile --durations=5

coverage: $(VENV)/dev.stamp
	@$(PYTEST) --cov --cov-report=term $(MEASURED)
	@$(BIN)/python tools/coverage_floor.py
	@$(PYTEST) $(MEASURED:%=--ignore=%)

lock: $(VENV)/dev.stamp ## compile requirements/*.txt from pyproject.toml
	@tools/lock.sh

bench: $(VENV)/dev.stamp ## the benchmarks of bench/README.md
	@$(BIN)/python bench/run.py $(ARGS)

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) $(VENV)-clients $(VENV)-fuzz $(VENV)-guide $(VENV)-engines .fuzz tests/live/clients/vercel/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage dist

# One virtual environment for both commands: what `make dev` needs first, the test tools on top.
$(VENV)/bin/python:
	@echo "creating $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Farmgate needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing what Farmgate needs (requirements/run.txt)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/run.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "installing the test tools (requirements/dev.txt)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

# One environment for each client, made anew when its lock changes.
$(VENV)-clients/vercel.stamp: tests/live/clients/vercel/package-lock.json | $(VENV)/dev.stamp
	@echo "installing the client vercel ($<)"
	@command -v npm >/dev/null || { echo "The Vercel AI SDK needs Node 20 or newer, with npm: install it, or name other clients in CLIENTS"; exit 1; }
	@cd tests/live/clients/vercel && npm ci --no-audit --no-fund --silent
	@mkdir -p $(@D) && touch $@

$(VENV)-clients/%.stamp: requirements/clients/%.txt | $(VENV)/dev.stamp
	@echo "installing the client $* ($<)"
	@$(BIN)/uv venv -q --clear --no-project --python $(BIN)/python $(VENV)-clients/$*
	@$(BIN)/uv pip install -q --python $(VENV)-clients/$*/bin/python --require-hashes --no-deps -r $<
	@touch $@

# Training, apart from everything: torch is large. It is the only one without a hash, since each machine has its build,
# and pip installs it, since pip is where a machine says which.
TORCH := torch==2.13.0
$(VENV)-guide/guide.stamp: requirements/guide.txt | $(VENV)/dev.stamp
	@echo "installing what trains the guide ($<, $(TORCH))"
	@$(PYTHON) -m venv --clear $(VENV)-guide
	@$(BIN)/uv pip install -q --python $(VENV)-guide/bin/python --require-hashes --no-deps -r $<
	@$(VENV)-guide/bin/python -m pip install -q $(TORCH)
	@touch $@

# The gate, the test tools, and what the engines load.
$(VENV)-engines/engines.stamp: requirements/transformers.txt requirements/onnx.txt requirements/classic.txt requirements/dev.txt pyproject.toml | $(VENV)/dev.stamp
	@echo "installing what the engines load (requirements/transformers.txt, requirements/onnx.txt, requirements/classic.txt, $(TORCH))"
	@$(PYTHON) -m venv --clear $(VENV)-engines
	@$(BIN)/uv pip install -q --python $(VENV)-engines/bin/python --require-hashes --no-deps -r requirements/dev.txt -r requirements/transformers.txt -r requirements/onnx.txt -r requirements/classic.txt
	@$(VENV)-engines/bin/python -m pip install -q $(TORCH)
	@$(VENV)-engines/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The fuzzer and what the readers import, apart from the test tools: it needs a wheel for this Python.
$(VENV)-fuzz/fuzz.stamp: requirements/fuzz.txt | $(VENV)/dev.stamp
	@echo "installing the fuzzer ($<)"
	@$(BIN)/uv venv -q --clear --no-project --python $(BIN)/python $(VENV)-fuzz
	@$(BIN)/uv pip install -q --python $(VENV)-fuzz/bin/python --require-hashes --no-deps -r $<
	@touch $@
