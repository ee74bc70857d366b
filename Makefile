# Everything happens in a virtual environment of this folder, .venv, made on first use. PYTHON selects the interpreter
# that makes it (3.10 or later), ARGS is handed on to the program that a target runs: make test ARGS="-k transpose"
#
# A target depends on stamp files in .venv, so a second call installs nothing. The install is editable: only a change of
# the compiled sources, or of what is installed, builds again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/pytest
SOURCES := setup.py pyproject.toml $(wildcard pyx/*)
RACE := bench/results/latest.json

.DEFAULT_GOAL := help
.PHONY: help build test test-large fuzz coverage coverage-kernels sanitize sanitize-threads valgrind mutations
.PHONY: lint bench race demo docs clean

help:
	@echo "make demo    train a network on handwritten digits; ends in its accuracy and a picture"
	@echo "make test    the test suite"
	@echo "make test-large, fuzz, coverage, coverage-kernels, sanitize, sanitize-threads, valgrind, mutations"
	@echo "             the long checks, minutes each: docs/promises.md says what each of them holds"
	@echo "make build   compile and install into $(VENV)"
	@echo "make lint    what the pre-commit hooks check: ruff, cython-lint, codespell, mypy"
	@echo "make bench   speed of our own layers (pytest-benchmark)"
	@echo "make race    speed beside PyTorch, ONNX Runtime, OpenVINO and ncnn (a large download)"
	@echo "make docs    the guide as HTML, in site/; runs its examples first"
	@echo "make clean   remove everything that these made"

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.built: $(VENV)/.made $(SOURCES)
	$(PIP) install --editable .
	@touch $@

# An extra of pyproject.toml, such as .extra-test. pyconv is there already, so only what the extra names is installed.
$(VENV)/.extra-%: $(VENV)/.built
	$(PIP) install "pyconv[$*]"
	@touch $@

# onnx wants a newer protobuf than some engine pins.
$(VENV)/.race: $(VENV)/.extra-race
	$(PIP) install --upgrade protobuf
	@touch $@

build: $(VENV)/.built
	$(BIN)/python -m pyconv

# Idle OpenMP threads sleep here: two libraries' spinning threads, or a busy machine, would make many small calls slow.
test: $(VENV)/.extra-test
	OMP_WAIT_POLICY=passive $(PYTEST) $(ARGS)

# 11 GB of memory.
test-large: $(VENV)/.extra-test
	OMP_WAIT_POLICY=passive $(BIN)/pytest -m large $(ARGS)

# New examples for the properties, minutes of them: make fuzz ARGS="-k oracle" for one. A failure prints what repeats it.
fuzz: $(VENV)/.extra-test
	OMP_WAIT_POLICY=passive HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest tests/test_properties.py $(ARGS)

coverage: $(VENV)/.extra-test
	rm -f .coverage*
	$(MAKE) test PYTEST="$(BIN)/coverage run -m pytest"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

coverage-kernels: $(VENV)/.extra-test $(VENV)/.extra-instruments
	PYTHON=$(CURDIR)/$(BIN)/python .ci/instrumented lines $(ARGS)

sanitize: $(VENV)/.extra-test $(VENV)/.extra-instruments
	PYTHON=$(CURDIR)/$(BIN)/python .ci/instrumented address $(ARGS)

sanitize-threads: $(VENV)/.extra-test $(VENV)/.extra-instruments
	PYTHON=$(CURDIR)/$(BIN)/python .ci/instrumented threads $(ARGS)

valgrind: $(VENV)/.extra-test $(VENV)/.extra-instruments
	PYTHON=$(CURDIR)/$(BIN)/python .ci/instrumented valgrind $(ARGS)

mutations: $(VENV)/.extra-test $(VENV)/.extra-instruments
	$(BIN)/python tests/mutations.py build/mutations $(ARGS)

lint: $(VENV)/.extra-lint
	$(BIN)/pre-commit run --all-files --show-diff-on-failure $(ARGS)

bench: $(VENV)/.extra-bench
	$(BIN)/pytest bench $(ARGS)

race: $(VENV)/.race
	$(BIN)/python -m bench.race --output $(RACE) $(ARGS)
	$(BIN)/python -m bench.report $(RACE) --chart $(RACE:.json=.png)

demo: $(VENV)/.extra-examples
	OMP_WAIT_POLICY=passive $(BIN)/python examples/digits.py $(ARGS)

docs: $(VENV)/.extra-docs
	$(BIN)/python docs/snippets.py README.md docs/*.md
	$(BIN)/sphinx-build --fail-on-warning --quiet docs site $(ARGS)
	@echo "site/index.html"

clean:
	rm -rf $(VENV) .coverage* build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f pyconv/_kernels/*.so pyconv/_kernels/*.pyi
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
