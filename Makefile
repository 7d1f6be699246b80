# What a person, a pre-commit hook and CI call. Everything lives in .venv; nothing is installed elsewhere.

PYTHON ?= python3
# Both by version: a newer torchvision would bring a newer torch, and with it gigabytes of CUDA.
# `make test TORCH=` does without; the tests that compare against torch are then skipped.
TORCH ?= torch==2.13.0 torchvision==0.28.0

VENV_PYTHON := .venv/bin/python
PIP := $(VENV_PYTHON) -m pip --disable-pip-version-check
SOURCES := src tests bench docs tools
BENCHES := $(filter-out load soak storm,$(basename $(notdir $(wildcard bench/*.py))))

export MYPY_CACHE_DIR := .venv/cache/mypy
export RUFF_CACHE_DIR := .venv/cache/ruff

.PHONY: demo serve test check bench bench-rivals docs clean FORCE
.DELETE_ON_ERROR:

demo: .venv/demo.stamp ## recognize real photos through the service
	@$(VENV_PYTHON) -m mingmu.demo

serve: .venv/demo.stamp ## the service, in the foreground
	@.venv/bin/mingmu serve

test: .venv/dev.stamp ## all tests, one process for each processor; `make test PYTEST="-k pixels"` narrows them
	$(VENV_PYTHON) -m pytest -n logical --maxprocesses 4 --dist loadfile $(PYTEST)

check: .venv/dev.stamp ## style, types, layers, generated pages
	$(VENV_PYTHON) -m ruff check $(SOURCES)
	$(VENV_PYTHON) -m ruff format --check $(SOURCES)
	$(VENV_PYTHON) -m mypy
	.venv/bin/lint-imports --cache-dir .venv/cache/import-linter
	$(VENV_PYTHON) docs/generate.py --check

bench: .venv/dev.stamp ## every benchmark, each in its quick form; rivals, storms and the soak take longer
	@for bench in $(BENCHES); do echo "== $$bench"; $(VENV_PYTHON) -m "bench.$$bench" --quick || exit 1; done

bench-rivals: .venv/dev.stamp ## Mingmu beside other servers (an hour; needs wrk): writes docs/rivals.md
	$(VENV_PYTHON) -m bench.rivals --write $(RIVALS)

docs: .venv/dev.stamp ## write the generated pages
	$(VENV_PYTHON) docs/generate.py

clean: ## back to a fresh clone, .venv included
	rm -rf .venv build dist .pytest_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is kept while its interpreter runs, is new enough and belongs to this folder; otherwise it is made again.
NEW_ENOUGH := import sys, venv; sys.exit(sys.version_info < (3, 11))
.venv/folder: FORCE
	@if ! $(VENV_PYTHON) -c 'import pip; $(NEW_ENOUGH)' 2>/dev/null || [ "$$(cat $@ 2>/dev/null || pwd)" != "$$(pwd)" ]; then \
	    $(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || \
	        { echo "Mingmu needs Python 3.11 or newer with venv; $(PYTHON) is: $$($(PYTHON) --version 2>&1). Name another, as in: make PYTHON=python3.12 demo" >&2; exit 1; }; \
	    echo "Making .venv with $$($(PYTHON) --version) …"; \
	    $(PYTHON) -m venv --clear .venv; \
	fi
	@[ -e $@ ] || pwd > $@

# A stamp says: installed as this pyproject.toml asks. While it is newest, pip is not started at all.
.venv/demo.stamp: .venv/folder pyproject.toml
	@echo "Installing Mingmu into .venv (once) …"
	@$(PIP) install --quiet --editable '.[demo]'
	@touch $@

# After demo.stamp, never beside it: two pips in one environment disturb each other under make -j.
.venv/dev.stamp: .venv/demo.stamp
	@echo "Installing the tools for development into .venv (once) …"
	@$(if $(TORCH),$(PIP) install --quiet $(TORCH) || echo "$(TORCH) cannot be installed here: the tests that need it will be skipped." >&2,:)
	@$(PIP) install --quiet --editable '.[dev]'
	@if $(VENV_PYTHON) -c 'import torch' 2>/dev/null; then $(PIP) install --quiet --editable '.[search]'; fi
	@touch $@
