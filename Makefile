# make chat    talk to the bundled model, or to MODEL=org/name or a folder
# make test    run the tests
# make check   lint, format and types
# make demo-model   train the bundled model anew (hours)

PYTHON ?= python3
VENV := .venv
MODEL ?= demo
LLMCLI := $(VENV)/bin/llmcli
BUILD := setup.py $(wildcard llmcli/core/native/*)

.PHONY: chat test check demo-model clean

chat: $(VENV)/.user
	@$(LLMCLI) chat "$(MODEL)"

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

demo-model: $(VENV)/.dev
	$(VENV)/bin/python -m training.train
	$(VENV)/bin/python -m training.evaluate --write

# Exactly the versions that were tested; --editable, so that an edit runs without another install.
$(VENV)/.user: pyproject.toml constraints.txt $(BUILD) | $(VENV)
	@echo "Installing llmcli into $(VENV) (once; torch is large) ..." >&2
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable . >&2
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(BUILD) | $(VENV)
	@echo "Installing llmcli and what its tests need into $(VENV) ..." >&2
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[dev]" >&2
	@touch $@ $(VENV)/.user

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "llmcli needs Python 3.11 or newer (make PYTHON=python3.12 ...)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
