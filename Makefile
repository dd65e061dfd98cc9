# Two commands on a fresh machine: `make demo` and `make test`. Needs Python 3.11 or later, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# the native kernels are built when the package is installed
NATIVE := $(wildcard src/spikereel/engine/native/*)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test docs lint clean

demo: $(VENV)/.installed
	$(BIN)/spikereel demo --task all

test: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ty check src
	$(BIN)/python -m pytest -n auto

# the site, into site/; SITE_ENV has what builds it and nothing else, as it only reads the sources
SITE_ENV := .venv-docs
docs: $(SITE_ENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(SITE_ENV)/bin/mkdocs build --strict --quiet

$(SITE_ENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(SITE_ENV)
	$(SITE_ENV)/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt mkdocs-material 'mkdocstrings[python]'
	touch $@

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or later is needed; make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt CMakeLists.txt $(NATIVE)
	$(PIP) install -c constraints.txt -e '.[all]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(SITE_ENV) site demo runs predictions build dist
