.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

PACKAGES = schemas transforms pipelines runners

.PHONY: help setup lint format types test fuzz e2e e2e-full bench bench-memory bench-sigma bench-sigma-replay bench-stream bench-report soak demo demo-monster clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9_-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with HuntBeam and everything to develop it
	@$(BIN)/python -m compileall -q $(PACKAGES) # as pip does; with PYTHONDONTWRITEBYTECODE each start would do it

$(READY): setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "HuntBeam needs Python 3.11 or newer; $$($(PYTHON) --version 2>&1) is $(PYTHON). Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing. On Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

lint: setup ## ruff: style, imports, security; hadolint: the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile runners/image/flex.Dockerfile

format: setup ## let ruff format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: setup ## mypy, strict
	$(BIN)/mypy -p huntbeam
	MYPYPATH=.types:benchmarks $(BIN)/mypy benchmarks/*.py

test: setup ## all tests that need no server
	$(BIN)/python -m pytest -n logical

fuzz: setup ## the same, properties with random cases that are others each time
	$(BIN)/python -m pytest -n logical --hypothesis-profile search

e2e: setup ## tests against real servers, which they start themselves
	$(BIN)/python -m pytest -m "e2e and not full" --durations=10

e2e-full: setup ## the same and those that take long
	$(BIN)/python -m pytest -m "e2e or full"

bench: setup ## replay against DuckDB on one archive: ratios of wall time, CPU and memory
	$(BIN)/python benchmarks/replay.py $(BENCH)

bench-memory: setup ## peak memory of replay from 100 MB to 2 GB of input
	$(BIN)/python benchmarks/replay.py --memory $(BENCH)

bench-sigma: setup ## the rules' matcher against pySigma's SQLite backend
	$(BIN)/python benchmarks/sigma_rules.py $(BENCH)

bench-sigma-replay: setup ## what a replay pays for rules
	$(BIN)/python benchmarks/sigma_rules.py --replay $(BENCH)

bench-stream: setup ## the stream against Kafka Streams: ratios of throughput, CPU, memory and latency
	$(BIN)/python benchmarks/stream.py $(BENCH)

bench-report: setup ## report and serve with a million joined rows: size, opening, answers
	$(BIN)/python benchmarks/report.py $(BENCH)

soak: setup ## the stream for ten minutes at a steady rate: does anything grow
	$(BIN)/python benchmarks/soak.py $(BENCH)

demo: setup ## replay the sample, print the join, write its report
	@$(BIN)/python benchmarks/demo.py

demo-monster: setup ## Monster Agent's way: syslog, Kafka, Flink, OpenSearch, panels (Java 17, Maven)
	@$(BIN)/python benchmarks/demo_monster.py

clean: ## remove everything that make made
	rm -rf $(VENV) .bench .build build out .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
