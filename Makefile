# make demo    the main job, offline, on the bundled data
# make test    the tests
# make check   format, lint, types, and the direction of imports
# make docs    the site of README.md and docs/, into docs/_build; a dead link or an unknown name is an error
# make docs-links  ask the addresses elsewhere that it links to (needs internet)
# make lock    pin what the tests install, anew

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check docs docs-links lock clean

demo: $(VENV)/.base
	$(BIN)/llmxrec demo demo-workspace

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -W -n --keep-going -q -c docs . docs/_build
	@echo 'wrote docs/_build/index.html'

docs-links: $(VENV)/.dev
	$(BIN)/python -m sphinx -b linkcheck -c docs . docs/_build/links

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,tune,judge,predict]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,torch,tune,openai,judge,predict,study,postgres,docs,dev]'
	touch $@ $(VENV)/.base

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

lock: $(VENV)/.dev
	echo '# What the tests install, pinned; made by: make lock' > constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable | sed 's|+cpu$$||' >> constraints.txt

clean:
	rm -rf $(VENV) demo-workspace docs/_build
