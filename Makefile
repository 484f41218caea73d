# make repro | quick | test | docs: you need Python 3.11 or newer, git and make, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
STAMP := .venv/.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test quick exhaustive docs setup lint lock clean
repro: setup
	@touch .venv/.repro
	@cyborg repair
	dvc repro
	@# If the report ran just now, it has printed its table already.
	@[ results/auc.md -nt .venv/.repro ] || cyborg show

test: setup lint
	pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# Under two minutes on 2 cores: linters, doctests, and every test that runs no whole pipeline, writes
# no whole report and mutates no files.
quick: setup lint
	pytest --numprocesses auto -m "not slow and not exhaustive" -k "not mutations" \
	  --ignore tests/pipeline --ignore tests/results/test_report.py

# 5,000 mutated files for every annotation reader, more moments of killing: about an hour.
exhaustive: setup
	pytest --numprocesses auto -m exhaustive

# Renew the generated blocks of the pages from the modules that they describe.
docs: setup
	python -m cyborg.reference docs/*.md

lint: setup
	ruff check .
	ruff format --check .
	mypy

setup: $(STAMP)

# pip installs uv, and uv installs everything else. Hashes pin both.
$(STAMP): requirements.lock bootstrap.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bootstrap.lock
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock bootstrap.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	touch $@

# Resolve all versions again, for all platforms. The lock holds names, versions and hashes only.
lock: setup
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --extra pipeline --extra dev --python-version 3.11 pyproject.toml -o requirements.lock
	echo 'uv==$(shell $(UV) --version | cut -d" " -f2)' | $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 - -o bootstrap.lock

clean:
	rm -rf .work logs .snakemake
