# Every command sets up what it needs in .venv, once; only a change of pyproject.toml does it anew.
# Another interpreter:  make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# Written when the set-up is complete, so that one cut short is never trusted.
READY := $(VENV)/.ready
PLUGINS := examples/plugins/agentzero-trio examples/plugins/agentzero-yaml

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help test docs demo bench soak format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

test: $(READY) ## Check style and types, then run every test with branch coverage
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m mypy --strict examples/*.py examples/pipeline/*.py examples/plugins/*/*/*.py benchmarks/*.py docs/*.py
	$(PY) -m pytest --cov --numprocesses 3 --dist worksteal

docs: $(READY) ## Make the documentation in build/docs; a warning is an error
	@$(PY) -m sphinx -q -W --keep-going docs build/docs
	@echo "build/docs/index.html"

demo: $(READY) ## Run the worker pipeline of examples/pipeline on real files
	@$(PY) examples/pipeline/demo.py

bench: $(VENV)/.bench ## Measure speed beside pyzmq and others; write docs/benchmarks.md
	@$(PY) benchmarks/run.py

soak: $(READY) ## Misuse sockets for a minute, and account for every message
	@$(PY) benchmarks/soak.py

format: $(READY) ## Format the code and mend what ruff can mend
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean: ## Remove everything that these commands made
	rm -rf $(VENV) build dist .demo .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml $(PLUGINS:=/pyproject.toml)
	@command -v "$(PYTHON)" >/dev/null || { \
	    echo "AgentZero needs Python 3.11 or later: there is no $(PYTHON) here." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "AgentZero needs Python 3.11 or later; $(PYTHON) is" \
	        "$$("$(PYTHON)" --version 2>&1). Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt install python3-venv." >&2; exit 1; }
	@echo "Setting up $(VENV) (once; it takes about a minute)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(PY) -m pip install -q 'pip>=25.1' # the first one that knows --group
	@$(PY) -m pip install -q -e '.[gevent,cli,pipeline,docs]' $(addprefix -e ,$(PLUGINS)) --group dev
	@touch $@

# Libraries to compare with, which nothing else needs.
$(VENV)/.bench: $(READY)
	@$(PY) -m pip install -q --group bench
	@touch $@
