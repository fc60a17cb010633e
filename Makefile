# Everything happens in .venv, from pinned packages. Needed beforehand: Python 3.11 or newer, and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo up test quick chaos schemathesis check lock clean

help:  ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST)

# Where it is set, as in many containers, each of the many processes would compile every file it imports anew.
unexport PYTHONDONTWRITEBYTECODE

demo: .venv/demo.installed  ## Show the whole system at work: sample requests, and their pictures
	$(BIN)/darkroom demo

up: .venv/demo.installed  ## Run the whole system until Ctrl-C
	$(BIN)/darkroom up

# Most tests wait for other processes, so there are more of them than cores. tests/side_by_side.py says which files share a
# process, and which begin first.
SIDE_BY_SIDE = --numprocesses $(PROCESSES) --dist loadfile
PROCESSES ?= 6

test: .venv/test.installed  ## Run every test, PROCESSES=6 of their files side by side
	@$(MAKE) --no-print-directory --jobs 2 .venv/infra.installed .venv/test.compiled
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests

quick: .venv/test.installed  ## Run what one runs while editing: the tests of the code and its contracts, without the slow ones
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow" tests/contract tests/unit

chaos: .venv/test.installed  ## Do all that can go wrong to 5,000 tasks; repeat a run with SEED=...
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED))

schemathesis: .venv/test.installed  ## Send each door what its OpenAPI document allows and what not, for five minutes
	$(BIN)/python bench/schemathesis_doors.py $(if $(SEED),--seed $(SEED))

check: .venv/test.installed  ## Check style, types and the directions of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: .venv/test.installed  ## Pin the dependencies of pyproject.toml anew
	scripts/lock

.venv/infra.installed: scripts/install-infra tests/infra/manifests/package.json | .venv/test.installed
	@echo "installing the linters and schemas for tests/infra (once)"
	scripts/install-infra
	@touch $@

# Otherwise each of the processes that run tests would compile all that it imports, at the same time. What is wrong with a
# test, those tell.
.venv/test.compiled: .venv/test.installed
	@$(BIN)/python -m pytest --collect-only --quiet tests >/dev/null || true
	@touch $@

clean:  ## Remove what was installed and made
	rm -rf .venv .venv-checkov .darkroom pictures

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Darkroom needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@echo "making .venv"
	@$(PYTHON) -m venv .venv

.venv/%.installed: requirements/%.txt requirements/uv.txt scripts/install scripts/uv-as-pip pyproject.toml | .venv/bin/python
	@echo "installing what 'make $(MAKECMDGOALS)' needs into .venv (once)"
	@scripts/install $<
	@touch $@
