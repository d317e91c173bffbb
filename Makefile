# Needs python3 (3.11, 3.12 or 3.13) and make; everything else goes into .venv.
SHELL := /bin/bash
VENV := .venv
STAMP := $(VENV)/installed-dev
DEMO_STAMP := $(VENV)/installed-demo
# Tests start this many processes; 2 is right for a small machine.
TEST_WORKERS ?= 2
PYTEST_FLAGS ?=

.PHONY: demo test lint install clean

# A corpus, a critic, a talking face, its numbers and a video: everything lands in demo/.
demo: $(DEMO_STAMP)
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" JAX_PLATFORMS=cpu launch/demo.sh

test: install
	JAX_PLATFORMS=cpu $(VENV)/bin/python -m pytest -n $(TEST_WORKERS) $(PYTEST_FLAGS)

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

install: $(STAMP)

# A stamp is older than pyproject.toml when the dependencies may have changed. The demo does without
# what only tests need.
$(STAMP): EXTRA := dev
$(DEMO_STAMP): EXTRA := synth
$(STAMP) $(DEMO_STAMP): pyproject.toml
	@set -e; chosen=""; \
	for python in python3.11 python3.12 python3.13 python3; do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	      2>/dev/null; then chosen="$$python"; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
	  echo "make: no Python from 3.11 up to 3.13 found (looked for python3.11, python3.12," \
	       "python3.13, python3); install one of them" >&2; exit 1; fi; \
	if ! $(VENV)/bin/python -m pip --version >/dev/null 2>&1; then \
	  rm -rf $(VENV); "$$chosen" -m venv $(VENV); fi
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRA)]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
