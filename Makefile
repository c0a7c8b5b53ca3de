# coachbook: `make demo` shows it, `make test` tests it, `make help` lists the rest.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt --build-constraint constraints.txt
CATALOGUES := $(wildcard lib/coachbook/locales/*/LC_MESSAGES/coachbook.po)
TESTED := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test verify bench pictures lint environment inventory reference font messages clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: .venv/.setup ## make .venv with coachbook, papermill and jupyter in it

demo: setup ## the sample's retrospectives, then the same pages live (SERVE=0: stop before serving)
	$(BIN)/coachbook demo build/demo $(if $(filter 0,$(SERVE)),--no-serve)

test: .venv/.test ## set up what the tests need, and run them all
	$(TESTED)

verify: .venv/.test ## the longer truth and load checks
	$(TESTED) -m verify

bench: .venv/.test ## measure into build/bench.json (ONLY=name: one row)
	$(BIN)/python -m tests.bench $(ONLY)

pictures: .venv/.test ## photograph every page into build/pictures
	$(BIN)/python -m tests.pictures

lint: .venv/.test ## what pre-commit runs, over everything
	$(BIN)/pre-commit run --all-files

environment: .venv/.test ## write environment.yml anew from pyproject.toml
	$(BIN)/python -m tests.house.environment > environment.yml

inventory: .venv/.test ## write the inventory in ARCHITECTURE.md anew from the tree
	$(BIN)/python -m tests.house.inventory

reference: .venv/.test ## write docs/tables.md and the preset generic anew from the tables
	$(BIN)/python -m tests.house.reference

font: .venv/.test ## write the font that charts are measured with anew
	$(BIN)/python -m tests.house.font

messages: .venv/.test ## bring the catalogues up to the texts in code and notebooks
	$(BIN)/python -m tests.house.messages

clean: ## remove what can be made again
	rm -rf .venv build dist

.venv/.uv: constraints.txt
	@test -n "$(PYTHON)" || { echo "coachbook needs Python 3.11 or newer. Name one: make setup PYTHON=/path/to/python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

# Building also compiles the catalogues.
.venv/.setup: .venv/.uv pyproject.toml hatch_build.py $(CATALOGUES)
	$(INSTALL) --editable .
	@touch $@

.venv/.test: .venv/.setup
	$(INSTALL) --editable '.[test]'
	@touch $@
