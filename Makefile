# The commands a newcomer learns in a minute. CI calls the same.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: install install-dev run fmt check test bench docs openapi lock clean
.DEFAULT_GOAL := run

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kcpcache needs Python 3.11 or later; say which with: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV): about a minute"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/.installed  ## the program, in .venv
install-dev: $(VENV)/.installed-dev  ## the program and what its tests need

run: install  ## start the server; its data and kubeconfig are in .kcpcache
	$(BIN)/kcpcache start --root-dir .kcpcache $(ARGS)

fmt: install-dev  ## format, and mend what can be mended by itself
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

check: docs  ## lint, types, layers, the page, the Dockerfile, every link of the documentation, known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/oxlint --deny-warnings kcpcache/dashboard/static
	@$(BIN)/python -m tests.known_vulnerabilities

test: install-dev  ## everything, end to end included
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report $(if $(ARGS),--fail-under=0)

bench: install-dev  ## measure; ARGS="--quick" for a short round
	@command -v wrk >/dev/null || echo "wrk is missing (apt-get install wrk): requests come from Python, which may be the limit"
	$(BIN)/python -m tests.bench $(ARGS)

docs: install-dev  ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

openapi: install  ## the committed OpenAPI document, after a change of types
	$(BIN)/kcpcache openapi > openapi/kcpcache.openapi.json

lock:  ## pin the newest versions that pyproject.toml allows
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --upgrade -o requirements.lock pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --upgrade --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist site .coverage*
