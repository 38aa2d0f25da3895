# Two commands for a newcomer: `make demo` and `make test`. Both make .venv first.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# files that start processes, train or fold: what `make test-fast` leaves out
SLOWER := tests/recipes tests/docs tests/journeys tests/faults tests/multinode tests/training tests/benchmarking tests/reporting \
  tests/evaluation tests/exporting tests/importing tests/doctor tests/data_prep tests/data/test_held_out.py \
  tests/planning/test_forecast.py tests/test_manners.py tests/test_readme.py tests/models/test_triton.py

.PHONY: install demo test test-fast test-slow lint format clean

install: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $(STAMP)

demo: $(STAMP)  ## build the embedded corpus, pretrain a small model, export it, show what it learned
	PATH="$(CURDIR)/$(BIN):$$PATH" bash launch/demo.sh

test: $(STAMP) lint  ## everything that needs no GPU
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow'

test-fast: $(STAMP) lint  ## what to run while typing: starts no process, trains nothing, folds nothing
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' $(addprefix --ignore=,$(SLOWER))

test-slow: $(STAMP)  ## kills, memory, launchers: what takes minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv runs corpora exports build *.egg-info
