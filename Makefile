# Everything that is done by hand or by CI, from an environment of its own in .venv.
#
#     make demo                       the main job, from nothing
#     make test PYTHON=python3.12     the checks, with another interpreter

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

VENV := .venv
RUN := $(VENV)/bin/python -m
STATE := $(VENV)/state

# Without a word about PYTHON an environment that exists is kept; naming another rebuilds it.
WANTS_PYTHON := $(filter-out undefined default,$(origin PYTHON))
PYTHON ?= python3

SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(shell find src -name '*.[ch]pp' 2>/dev/null)

# Of all that pip says: what is fetched and how big it is, and when it is written to disk.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(RUN) pip install --no-input --progress-bar off -c constraints.txt
SHORTLY := | awk '/^ *(Downloading|Using cached) / && !/\.metadata/ { sub(/^ *(Downloading|Using cached) /, ""); \
	sub(/.*\//, ""); sub(/-(py|cp)[0-9].*whl/, ""); print "      " $$0; fflush() } \
	/^Building wheels|^ *Building editable/ && !built++ { print "      compiling logq"; fflush() } \
	/^Installing collected/ { print "      writing all that to disk"; fflush() }'

.PHONY: help demo test lint slow databases fuzz sanitize gpu bench docs clean FORCE

help: ## this list
	@echo "make TARGET [PYTHON=python3.12]; the targets:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "    %-8s %s\n", $$1, $$2 }' Makefile

demo: $(STATE)/package ## train word vectors on Python's own documentation, and show them
	@$(VENV)/bin/logq demo
	@echo "    (the command logq is in this folder's environment: first type  source $(VENV)/bin/activate)"

test: lint ## lint, types and the default tests: what CI runs
	@echo "==> Running the tests (make slow runs the long ones)"
	@$(RUN) pytest -n auto --dist loadfile

lint: $(STATE)/tools ## style and types
	@echo "==> Checking style and types"
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) pyright --pythonpath $(VENV)/bin/python

slow: $(STATE)/tools ## the tests that take long
	@$(RUN) pytest -m slow

databases: $(STATE)/databases ## the tests of hnswlib, which is compiled, and of DuckDB's VSS
	@$(RUN) pytest tests/retrieval tests/cli/test_index.py
	@PYTHONPATH=build/vss $(RUN) pytest tests/retrieval/test_duckdb_index.py

fuzz: $(STATE)/tools ## 100,000 damaged files of every format, in processes with limits of memory and time
	@$(VENV)/bin/python tests/fuzz $(FUZZ)

sanitize: $(STATE)/tools ## the tests of the C++ core under the address, undefined behaviour and thread sanitizers of GCC
	@scripts/sanitize.sh $(VENV)/bin/python

gpu: ## checks and times on a GPU, in 7 minutes, into benchmarks/results; needs a Python with torch for CUDA
	@scripts/gpu.sh $(GPU)

bench: $(STATE)/peers ## speed and quality beside other libraries; DATA=DIR for those that need a corpus or logs
	@$(VENV)/bin/python benchmarks $(if $(DATA),--data $(DATA)) $(BENCH)

docs: $(STATE)/docs ## the site, into build/site, with all links looked at; needs Python 3.11
	@echo "==> Building the site"
	@NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --quiet
	@$(VENV)/bin/python scripts/site/check_site.py build/site

clean: ## remove the environment, builds and caches
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# An editable install sees changes of Python files at once. It is rebuilt when a compiled source or a setting changes,
# and when a module comes, goes or moves, since it notes where each of them lies.

$(STATE)/package: $(STATE)/build-tools $(STATE)/modules $(SOURCES)
	@echo "==> Installing logq and what it needs (some minutes the first time: PyTorch is large)"
	@$(PIP) --no-build-isolation -e '.[map,evaluate]' $(SHORTLY)
	@touch $@

$(STATE)/tools: $(STATE)/build-tools $(STATE)/modules $(SOURCES)
	@echo "==> Installing logq, what it needs and the tools that check it (some minutes the first time: PyTorch is large)"
	@$(PIP) --no-build-isolation -e '.[map,evaluate,dev]' $(SHORTLY)
	@touch $(STATE)/package $@

$(STATE)/peers: $(STATE)/package
	@echo "==> Installing what logq is measured against"
	@$(PIP) gensim $(SHORTLY)
	@touch $@

# VSS, DuckDB's extension for indexes, comes as a package for releases of DuckDB that are older than the one in use.
$(STATE)/databases: $(STATE)/tools
	@echo "==> Installing hnswlib, which is compiled, and DuckDB 1.5.5 with VSS (33 MB, in build/vss)"
	@$(PIP) hnswlib $(SHORTLY)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(RUN) pip install --no-input -q --no-deps --upgrade --target build/vss \
		duckdb==1.5.5 duckdb-extension-vss==1.5.5
	@touch $@

$(STATE)/docs: $(STATE)/build-tools $(STATE)/modules $(SOURCES)
	@$(VENV)/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "What makes the site needs Python 3.11 or later. Name one: make docs PYTHON=python3.12" >&2; \
		exit 1; }
	@echo "==> Installing logq, what it needs and what makes its site (some minutes the first time: PyTorch is large)"
	@$(PIP) --no-build-isolation -e '.[map,evaluate,docs]' $(SHORTLY)
	@touch $(STATE)/package $@

$(STATE)/modules: FORCE | $(STATE)/environment
	@find src -name '*.py' | LC_ALL=C sort > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(STATE)/build-tools: $(STATE)/environment constraints.txt
	@command -v c++ g++ clang++ > /dev/null || { \
		echo "logq has a small core in C++, and there is no compiler here. Please install one:"; \
		echo "    Debian, Ubuntu    sudo apt install g++"; \
		echo "    Fedora            sudo dnf install gcc-c++"; \
		echo "    macOS             xcode-select --install"; \
		exit 1; } >&2
	@$(VENV)/bin/python -c 'import os, sysconfig; os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2> /dev/null || { \
		echo "logq has a small core in C++, and Python's headers for it are missing. Please install them:"; \
		echo "    Debian, Ubuntu    sudo apt install python3-dev"; \
		echo "    Fedora            sudo dnf install python3-devel"; \
		exit 1; } >&2
	@echo "==> Installing the tools that build it"
	@$(PIP) scikit-build-core nanobind hatch-fancy-pypi-readme cmake ninja $(SHORTLY)
	@touch $@

$(STATE)/environment: $(if $(WANTS_PYTHON),FORCE)
	@command -v '$(PYTHON)' > /dev/null || { \
		echo "There is no $(PYTHON) here. Name a Python of 3.10 or later: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
		exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "logq needs Python 3.10 or later, and $(PYTHON) is $$('$(PYTHON)' -V). Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
		exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2> /dev/null || { \
		echo "$(PYTHON) cannot make environments: its module venv is missing. On Debian and Ubuntu:"; \
		echo "    sudo apt install python3-venv"; \
		echo "or name another interpreter: make $(MAKECMDGOALS) PYTHON=python3.12"; \
		exit 1; } >&2
	@version=$$('$(PYTHON)' -c 'import sys; print(sys.version.split()[0], sys.base_prefix)'); \
	if [ ! -f $@ ] || [ "$$version" != "$$(cat $@)" ]; then \
		echo "==> Making the environment $(VENV) with Python $$version"; \
		'$(PYTHON)' -m venv --clear $(VENV); \
		mkdir -p $(STATE); \
		echo "$$version" > $@; \
	fi
