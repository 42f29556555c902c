# Two commands: `make run` sets up and runs the service, `make test` sets up and tests it.
# To ship it: `make image` (see docs/deploy.md).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHON

.PHONY: test-arm64 run test setup setup-export setup-test gate format bento image export-image jobs-image supply lock wheel loadtest bench
.PHONY: fuzz demo-model clean

run: setup
	@scripts/run.sh

test: setup-test
	$(BIN)/pytest

# Each installs what is not there yet, and again where what it is made from has changed since.
setup: # what serving needs, and the demo model
	@scripts/install.sh $(VENV) serve

setup-export: # besides, what makes the ONNX artefact of another model: PyTorch, transformers
	@scripts/install.sh $(VENV) export

setup-test: # besides, what the gate and the tests need
	@scripts/install.sh $(VENV) test

gate: setup-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/shellcheck --external-sources scripts/*.sh .github/scripts/*.sh .ci/run
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet .github/workflows .github/dependabot.yml

format: setup-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bento: $(if $(BAKE),setup-export,setup)
	scripts/bento.sh

image: bento
	scripts/image.sh

export-image: bento
	WITH_TORCH=1 IMAGE=medasr-service:export scripts/image.sh

jobs-image: bento # with what MEDASR_JOBS=on needs
	WITH_JOBS=1 IMAGE=medasr-service:jobs scripts/image.sh

# The wheel and the sdist, in dist/
wheel: setup
	$(BIN)/pip install --quiet build
	$(BIN)/python -m build --outdir dist .

# What the image installs: its licences, its SBOM, its known faults; and made anew, once a month.
supply: setup
	scripts/supply.sh

lock: setup
	scripts/lock.sh

# On another machine than ARM64: the image's wheels by emulation (qemu-user-static), the texts as here
test-arm64: setup-test
	$(BIN)/pytest tests/arm64/emulated.py

# LOADTEST has its arguments: make loadtest LOADTEST='--soak 60'
loadtest: setup-test
	$(BIN)/python -m loadtests $(LOADTEST)

# BENCH has its arguments: make bench BENCH='--rounds 1'
bench: setup-test
	$(BIN)/python -m benchmarks.speed $(BENCH)

# Goes on where it stopped; FUZZ has its arguments: make fuzz FUZZ='--until 1000000'
fuzz: setup-test
	$(BIN)/python -m tests.fuzz $(FUZZ)

demo-model: setup-test
	$(BIN)/pip install --quiet -e '.[training]'
	$(BIN)/python -m training
	$(BIN)/python -m training.build_lm
	$(BIN)/python -m training.confidence --write
	$(BIN)/python -m training.artefact

clean:
	rm -rf $(VENV) build dist artefacts
