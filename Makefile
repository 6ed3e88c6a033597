# make install | serve | test | check | bench | soak | docs | lock

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
CONFIG ?= config.yaml
SOAK_MINUTES ?= 180

BIN := .venv/bin
INSTALLED := .venv/.installed
INSTALLED_DEV := .venv/.installed-dev
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: install serve test check bench soak docs lock

install: $(INSTALLED)

serve: $(INSTALLED)
	@exec $(BIN)/voxtral serve --config $(CONFIG) --host $(HOST) --port $(PORT)

test: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: $(INSTALLED_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(INSTALLED_DEV)
	$(BIN)/python -m bench

soak: $(INSTALLED_DEV)
	$(BIN)/python -m scripts.remove_guards
	$(BIN)/python -m bench.fuzz --minutes $$(( ($(SOAK_MINUTES) + 9) / 10 ))
	$(BIN)/python -m bench.endurance --minutes $(SOAK_MINUTES)

docs: $(INSTALLED_DEV)
	$(BIN)/python scripts/configuration_docs.py

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(INSTALLED): requirements/serve.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements/serve.txt
	$(PIP) --no-deps -e .
	@touch $@

$(INSTALLED_DEV): requirements/dev.txt requirements/torch.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements/dev.txt
	$(PIP) -r requirements/torch.txt
	$(PIP) --no-deps -e .
	@touch $(INSTALLED) $@

# The locks name no index: each machine uses its own. The first lock holds the others to its versions.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
	--no-emit-index-url --no-emit-package torch --no-emit-package setuptools
WHOLE := --override requirements/overrides.in --extra voxtral --extra microphone --extra bench pyproject.toml requirements/torch-needs.in

lock: $(INSTALLED_DEV)
	$(COMPILE) --upgrade --generate-hashes --extra dev $(WHOLE) -o requirements/dev.txt
	$(COMPILE) --upgrade --generate-hashes -c requirements/dev.txt pyproject.toml -o requirements/serve.txt
	echo "# Everything, pinned. requirements/README.md says what else there is." > requirements.txt
	$(COMPILE) -c requirements/dev.txt $(WHOLE) >> requirements.txt
	cat requirements/torch.txt >> requirements.txt
	echo "-e ." >> requirements.txt
