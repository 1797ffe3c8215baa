# `make demo` and `make test` need Python 3.11 or newer, make and pip; the rest is installed into .venv.
# PYTHON=... chooses the interpreter, VENV=... the environment, PYTEST_ARGS=... adds to pytest's
# command line, BENCH_ARGS=... to that of the measurements.

PYTHON ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
export PYTHON
# A hundred interpreters are started, each of which would compile enfila anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-thorough check check-workflows format package docs bench bench-peers chaos clean

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make .venv, or bring it up to date with pyproject.toml and requirements-dev.txt.

$(STAMP): pyproject.toml requirements-dev.txt .ci/make-venv .ci/new-venv .ci/find-python
	@python=$$(.ci/find-python) && .ci/make-venv $(VENV) "$$python"
	@touch $@

demo: $(STAMP) ## Run the example: a queue, its workers, and what they report.
	@$(BIN)/python examples/queue_usage_example.py

# Three processes on two cores: the suite waits for processes and servers too. Each has databases of
# its own. tests/conftest.py says in which order the modules are given out.
test: $(STAMP) ## Run the tests.
	@$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder -m "not thorough" $(PYTEST_ARGS)

# One after the other: some have a bound on time.
test-thorough: $(STAMP) ## Run the tests that take long, or need a quiet machine.
	@$(BIN)/python -m pytest -m thorough $(PYTEST_ARGS)

check: $(STAMP) ## Lint, check the format, the types and the architecture.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(STAMP) ## Format, and repair what the linter can repair.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

check-workflows: ## Look for mistakes and weaknesses in the workflows of GitHub Actions.
	@python=$$(.ci/find-python) && sh .ci/new-venv .venv-workflows "$$python" zizmor
	@.venv-workflows/bin/zizmor --offline .github

docs: ## Build the pages as a site in site/; a link that leads nowhere is an error.
	@python=$$(.ci/find-python) && sh .ci/new-venv .venv-docs "$$python" --requirement requirements-docs.txt
	@.venv-docs/bin/zensical build --clean --strict

package: $(STAMP) ## Build the wheel and the source archive, and test what was built.
	@sh .ci/package $(VENV) $(BIN)/python

bench: $(STAMP) ## Measure adds, drains and pickup (python -m benchmarks.growth: in full tables).
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-peers: $(STAMP) ## Measure it beside other job queues, which are installed below .bench.
	@$(BIN)/python -m benchmarks.peers $(BENCH_ARGS)

chaos: $(STAMP) ## Kill workers and schedulers at random and prove that no job and no tick is lost.
	@$(BIN)/python -m tests.processes.chaos
	@$(BIN)/python -m tests.processes.schedule_chaos

clean: ## Remove the environments and the caches.
	rm -rf $(VENV) .venv313 .venv-docs .venv-workflows site .bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
