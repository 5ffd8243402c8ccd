# The commands people type: `make demo` shows plexus at work, `make test` proves it.

PYTHON ?= python3
BIN := .venv/bin
# tests of one file stay in one worker; on a machine with more cores and memory: make test WORKERS=8
WORKERS ?= 2
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadfile
CODE := src tests scripts $(wildcard studies benchmarks)

.PHONY: help demo install check test browser docs lint format bench soak crosscheck constraints clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         install into .venv, then learn the wiring of a network for the digits"
	@echo "make install      create .venv and install plexus with its tools"
	@echo "make check        formatting, lint, types, unit tests"
	@echo "make test         make check, the end-to-end tests, the site and the pages in a browser (gets one)"
	@echo "make docs         build the documentation into site/, strictly"
	@echo "make lint         formatting, lint and types only"
	@echo "make format       reformat and apply safe lint fixes"
	@echo "make bench        the measured figures, each with its target"
	@echo "make soak         kill runs at random moments 200 times, and compare what they reach (KILLS=20 for fewer)"
	@echo "make crosscheck   compare the statistics of the committed records with those of autorank"
	@echo "make browser      find or install Chromium for the page tests"
	@echo "make constraints  write constraints.txt from what .venv holds"
	@echo "make clean        remove .venv, caches and build products; runs/ stays"

# uv does not read pip's find-links, so a local wheel of torch has to be passed on. `uv sync` and `uv lock` are not
# used: they resolve for every platform, and that brings the CUDA packages.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "plexus needs Python 3.11 or newer, but $(PYTHON) is %d.%d: run make with PYTHON=python3.11 or a newer one" % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt uv
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --python $(BIN)/python --compile-bytecode -c constraints.txt -e '.[dev]'
	@touch $@

install: .venv/.installed

demo: install
	$(BIN)/plexus fit digits

lint: install
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

check: lint
	$(PYTEST) -m "not e2e and not page"

test: lint browser
	$(PYTEST)

docs: install
	$(BIN)/python scripts/docs.py

browser:
	@bash scripts/browser.sh

format: install
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: install
	$(BIN)/python benchmarks/wiring.py exact speed digits cifar retrain report
	$(BIN)/python benchmarks/rotation.py train infer memory bank unit escnn cuda report
	$(BIN)/python benchmarks/probe.py
	$(BIN)/python benchmarks/audit.py planted memory scale faiss notes report
	$(BIN)/python benchmarks/segment.py rle nerve absence report
	$(BIN)/python benchmarks/represent.py labels fewshot balance methods start report
	$(BIN)/python benchmarks/essays.py
	$(BIN)/python benchmarks/front_door_int8.py
	$(BIN)/python benchmarks/guide.py

KILLS ?= 200
soak: install
	$(BIN)/python benchmarks/soak.py --kills $(KILLS)

# in a folder of its own, so that the environment stays as it is tested
crosscheck: install
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --quiet --python $(BIN)/python --target build/crosscheck -c constraints.txt 'autorank>=1.3'
	PYTHONPATH=build/crosscheck MPLCONFIGDIR=build/crosscheck $(BIN)/pytest tests/studies/test_autorank.py

constraints: install
	@{ echo "# Every version of a working installation; 'make constraints' writes this file from .venv."; \
	   $(BIN)/uv pip freeze --python $(BIN)/python --exclude-editable | grep -v '^pip==' | sed -E 's/^([^=]+==[^+]+)\+.*/\1/'; \
	 } > .venv/constraints.txt
	@mv .venv/constraints.txt constraints.txt
	@touch .venv/.installed

clean:
	rm -rf .venv build dist site test-results .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src studies tests -name __pycache__ -type d -prune -exec rm -rf {} +
