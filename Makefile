# What a person types. Every target sets up what it needs; a second time that takes no time.
#
#   make run CHAIN=base RPC_URL=https://...     any setting can be given like this

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

BIN := .venv/bin
PY := src tests bench tools contracts

.PHONY: help run setup test test-long test-pg lint format bench docs lock clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)$$/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

run:  ## start everything: database, devnet (or CHAIN=... RPC_URL=...), indexer, API, explorer
	@tools/setup run
	@RENOWN_DATA_DIR="$$(tools/data-dir)" exec $(BIN)/renown up $(ARGS)

setup:  ## only install what run, test and lint need
	@tools/setup test
	@tools/setup lint

test:  ## all tests, the repeating ones with small counts
	@tools/setup test
	@contracts/run-tests
	@tools/tests $(ARGS)

test-long:  ## the long ones too, with many more random examples
	@tools/setup test
	@contracts/run-tests
	@RENOWN_CRAWL_DEATHS=2 RENOWN_KILLS=30 RENOWN_OPERATION_KILLS=30 RENOWN_NIGHT_KILLS=30 RENOWN_FAILOVERS=5 RENOWN_CHECKED_READS=100000 RENOWN_FUZZ_EXAMPLES=200 RENOWN_KILL_EVENTS=100000 RENOWN_PAST_BLOCKS=50 RENOWN_PAST_AGENTS=0 \
	    $(BIN)/pytest -q -m "long or not long" --hypothesis-profile=long --timeout=3600 $(ARGS)

test-pg:  ## the database tests on the system's PostgreSQL (PG_BIN=... for another)
	@tools/setup test
	@RENOWN_TEST_PG_BIN="$${PG_BIN:-$$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}" \
	    $(BIN)/pytest -q $(or $(ARGS),tests/integration)

lint:  ## style, types, layers
	@tools/setup lint
	@$(BIN)/ruff check $(PY)
	@$(BIN)/ruff format --check $(PY)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@! grep -n '://' requirements/*.txt

format:  ## let ruff put the code into its form
	@tools/setup lint
	@$(BIN)/ruff check --fix-only --quiet $(PY)
	@$(BIN)/ruff format --quiet $(PY)

bench:  ## benchmarks, each with its limit or peer (ARGS=--list names them)
	@tools/setup test
	@$(BIN)/python -m bench $(ARGS)

docs:  ## write the generated pages and the checked-in schema anew
	@tools/setup run
	@$(BIN)/python tools/reference.py $(ARGS)
	@$(BIN)/python -m tools.dashboards $(ARGS)

lock:  ## resolve dependencies anew (ARGS=--upgrade for newer ones)
	@tools/lock $(ARGS)

clean:  ## remove what was built and installed here; data in .renown stays
	rm -rf .venv contracts/node_modules contracts/out contracts/cache dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(PY) -name __pycache__ -type d -prune -exec rm -rf {} +
