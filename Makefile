# `make latency` is the first thing a user runs, `make test` the first thing a developer runs; `.ci/run` runs the rest.
PYTHON ?= python3
VENV := .venv
TEST := .venv-test
OLDEST := .venv-oldest
INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: latency test system-packages cuda-driver lint types contracts test-oldest aarch64 format clean

latency: $(VENV)/installed
	$(VENV)/bin/edgebench latency --model gusodrop

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(INSTALL) --editable '.[cpu]'
	touch $@

test: $(TEST)/installed
	$(TEST)/bin/python -m pytest

# The attacks of others, which ours are compared with. With their dependencies they would bring torchvision.
PEERS := torchattacks==3.5.1 adversarial-robustness-toolbox==1.20.1

$(TEST)/installed: pyproject.toml Makefile
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python $(INSTALL) --editable '.[test,ray]'
	$(TEST)/bin/python $(INSTALL) --no-deps $(PEERS)
	touch $@

# What the tests of GStreamer need, in the system's Python; without it they are skipped. Never fatal.
SYSTEM_PACKAGES := python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good python3-opencv

system-packages:
	@if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "system-packages: not root, or no apt-get; the tests of GStreamer are skipped without $(SYSTEM_PACKAGES)"; \
	elif ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $(SYSTEM_PACKAGES) >/dev/null; }; then \
		echo "system-packages: apt-get failed; the tests of GStreamer are skipped"; \
	fi

# pycuda, and a CUDA driver that runs on the processor, for the tests of the CUDA layer; minutes, once.
cuda-driver: $(TEST)/installed
	$(TEST)/bin/python tests/cuda_driver/build.py $(TEST)/cuda-driver

lint: $(TEST)/installed
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .

types: $(TEST)/installed
	$(TEST)/bin/mypy

contracts: $(TEST)/installed
	$(TEST)/bin/lint-imports

# All but what needs torch, on the last onnxruntime for Python 3.10, which is what JetPack 6 has.
test-oldest: $(OLDEST)/installed
	$(OLDEST)/bin/python -m pytest -m "not torch" --ignore tests/export

$(OLDEST)/installed: pyproject.toml Makefile
	$(PYTHON_OLDEST) -m venv $(OLDEST)
	$(OLDEST)/bin/python $(INSTALL) --editable '.[camera,report]' onnxruntime==1.23.2 \
		pytest pytest-timeout hypothesis scipy
	touch $@

PYTHON_OLDEST ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.10.*/bin/python) $(shell command -v python3.10) $(PYTHON))

# The main job on 64-bit Arm, emulated; says so and passes where no Arm user space can be had.
aarch64: $(VENV)/installed
	PYTHON=$(CURDIR)/$(VENV)/bin/python scripts/aarch64/check .aarch64

format: $(TEST)/installed
	$(TEST)/bin/ruff check --fix .
	$(TEST)/bin/ruff format .

clean:
	rm -rf $(VENV) $(TEST) $(OLDEST) .aarch64 build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
