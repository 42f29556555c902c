# Two commands: `make run` sets up and runs the service, `make test` sets up and tests it.
# To ship it: `make image` (see docs/deploy.md).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
MADE_FROM := pyproject.toml requirements.txt scripts/install.sh

.PHONY: run test setup gate format bento image export-image loadtest bench demo-model clean

run: setup
	@scripts/run.sh

test: setup
	$(BIN)/pytest

# Again, where what the environment is made from has changed since.
setup:
	@cat $(MADE_FROM) | cmp -s - $(STAMP) || { \
		PYTHON="$(PYTHON)" scripts/install.sh $(VENV) && cat $(MADE_FROM) >$(STAMP).new && mv $(STAMP).new $(STAMP); }

gate: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/shellcheck --external-sources scripts/*.sh .github/scripts/*.sh .ci/run
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/zizmor --offline --quiet .github/workflows

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bento: setup
	scripts/bento.sh

image: bento
	scripts/image.sh

export-image: bento
	WITH_TORCH=1 IMAGE=medasr-service:export scripts/image.sh

# LOADTEST has its arguments: make loadtest LOADTEST='--soak 60'
loadtest: setup
	$(BIN)/python -m loadtests $(LOADTEST)

# BENCH has its arguments: make bench BENCH='--rounds 1'
bench: setup
	$(BIN)/python -m benchmarks.speed $(BENCH)

demo-model: setup
	$(BIN)/pip install --quiet -e '.[training]'
	$(BIN)/python -m training
	$(BIN)/python -m training.confidence --write

clean:
	rm -rf $(VENV) build artefacts
