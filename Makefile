# Everything a person does with Atoll's source. `make help` explains each target.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(VENV)/bin/uv
LAB := extensions/lab
NATIVE := extensions/native
STAMPS := $(VENV)/stamps
SYSTEM_PYTHON ?= python3
PORT ?=
# More than there are cores: a test waits for other processes half of its time.
TEST_PROCESSES ?= 3
KUBE_TESTS ?= tests/kubernetes
NODE ?= here
QUICK := not platform and not browser and not kubernetes and not slow and not thorough and not crio and not kueue
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE  # every process would compile the sources anew, and pytest the tests

.PHONY: help native install up down status test test-crio test-kueue test-thorough test-examples test-moments test-slow test-fast test-postgres bench bench-cluster lint docs wheel images chart constraints clean

help: ## what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(UV):
	@echo "→ creating $(VENV)"
	@$(SYSTEM_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Atoll needs Python 3.11 or newer; set SYSTEM_PYTHON=/path/to/python3.11"; exit 1; }
	@$(SYSTEM_PYTHON) -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --constraint constraints.txt uv

$(STAMPS)/python: $(UV) pyproject.toml constraints.txt
	@echo "→ installing the Python packages"
	@$(UV) pip install --quiet --python $(PYTHON) --constraint constraints.txt --editable '.[embedded]'
	@mkdir -p $(@D) && touch $@

$(STAMPS)/proxy: $(STAMPS)/python
	@echo "→ installing the proxy"
	@$(PYTHON) -m atoll.apps.proxy_install
	@touch $@

LAB_SOURCES := $(shell find $(LAB) -path $(LAB)/node_modules -prune -o -path $(LAB)/lib -prune -o \
  -path $(LAB)/src/generated -prune -o -type f -print)
MODELS := $(wildcard extensions/atoll/*/models.py extensions/atoll/*/routes.py extensions/atoll/apps/platform_routes.py)

$(STAMPS)/node: $(STAMPS)/python $(LAB)/package.json
	@echo "→ installing the lab extension's packages"
	@cd $(LAB) && npm install --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

build/openapi.json: $(STAMPS)/python $(MODELS)
	@mkdir -p build && $(PYTHON) -m atoll.apps.openapi > $@.draft && mv $@.draft $@

$(STAMPS)/lab: $(STAMPS)/node build/openapi.json $(LAB_SOURCES)
	@echo "→ building the lab extension"
	@mkdir -p build && (cd $(LAB) && npm run --silent build) > build/lab.log 2>&1 || { cat build/lab.log; exit 1; }
	@$(PYTHON) -m atoll.apps.lab_link
	@touch $@

native:
	@$(NATIVE)/build || $(NATIVE)/build none

$(STAMPS)/test: $(STAMPS)/python tests/install-system-packages tests/install-helm
	@echo "→ installing what the tests need"
	@$(UV) pip install --quiet --python $(PYTHON) --constraint constraints.txt --editable '.[embedded,test,docs]'
	@tests/install-system-packages
	@tests/install-helm
	@$(NATIVE)/build
	@touch $@

install: $(STAMPS)/python $(STAMPS)/proxy $(STAMPS)/lab native ## set everything up in .venv (idempotent)

up: install ## start the platform on this machine and print the link (Ctrl-C or `make down` ends it)
	@$(VENV)/bin/atoll up $(if $(PORT),--port $(PORT))

down: ## stop the servers, save them, end the platform
	@$(VENV)/bin/atoll down

status: ## what runs
	@$(VENV)/bin/atoll status || true

test: install $(STAMPS)/test ## every test but the cluster's: unit, contract, service, platform, browser, wheel, demos
	@$(MAKE) --no-print-directory lint
	@cd $(LAB) && npm test --silent
	@tests/run -n $(TEST_PROCESSES) -m "$(QUICK)" --ignore=tests/postgres tests
	@tests/run -n 3 -m "(platform or browser) and not slow and not kubernetes and not thorough" tests

test-postgres: $(STAMPS)/test native ## the service's tests again, on PostgreSQL instead of SQLite
	@tests/run -n 2 --database=postgres --durations=10 \
	  tests/service tests/unit/kit/test_db.py tests/unit/kit/test_events.py tests/unit/jobs/test_identities.py tests/postgres

test-kubernetes: IMAGES ?= hub service agent hold singleuser singleuser-gpu spark
test-kubernetes: $(STAMPS)/test images ## the cluster's tests, in the cluster of KUBECONFIG (REGISTRY= of its images, KUBE_TESTS=, NODE=elsewhere)
	@tests/kubernetes/images/build
	@tests/run -m "kubernetes$(if $(filter here,$(NODE)),, and not on_node)" --timeout=900 --durations=10 $(KUBE_TESTS)

test-kueue: IMAGES ?= singleuser
test-kueue: $(STAMPS)/test images ## jobs beside Kueue, which it builds (needs Go; minutes), in the cluster of KUBECONFIG
	@tests/kubernetes/install-kueue
	@tests/run -m kueue --timeout=900 tests/kubernetes/test_kueue.py

test-fast: $(STAMPS)/test native ## the tests that start no platform
	@tests/run -n $(TEST_PROCESSES) -m "$(QUICK)" --ignore=tests/postgres tests

test-thorough: test-moments test-examples ## both of these

test-moments: $(STAMPS)/test native ## kill -9 at every moment, of which make test has a third; a minute of attacks; a hundred cycles
	@ATOLL_ATTACK_SECONDS=60 tests/run -n 3 --timeout=1800 --durations=5 tests/contract/overlay/test_attacks.py \
	  tests/contract/overlay/test_tiny_files.py tests/contract/agent/test_cycles.py
	@tests/run -n $(TEST_PROCESSES) -m thorough tests

test-examples: $(STAMPS)/test native ## five times the random examples, the same ones in every run
	@ATOLL_EXAMPLES=5 tests/run -n 3 --timeout=1800 --durations=5 tests/contract/overlay tests/contract/test_oci_tools.py \
	  tests/unit/oci/test_directory.py tests/unit/jobs/test_state_machine.py tests/unit/checkpoints/test_node_queue.py \
	  --deselect tests/contract/overlay/test_attacks.py --deselect tests/contract/overlay/test_tiny_files.py

test-crio: $(STAMPS)/test native ## the agent beside a real CRI-O, which it builds (needs Go and a C compiler; minutes)
	@tests/install-crio
	@tests/run -m crio tests/contract/agent

test-slow: $(STAMPS)/test native ## what takes minutes: a hundred cycles, thousands of random trees, a minute of attacks
	@ATOLL_EXPLORE=40 ATOLL_ATTACK_SECONDS=60 tests/run -n 2 --timeout=3600 \
	  tests/contract/overlay tests/contract/test_oci_tools.py tests/unit/oci tests/unit/jobs tests/unit/checkpoints \
	  tests/service/nodes/test_many_at_once.py tests/service/test_hostile_requests.py
	@tests/run --timeout=3600 -m slow tests

lint: $(STAMPS)/test ## ruff, mypy, import contracts, rustc's warnings, eslint, prettier
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@MYPYPATH=extensions $(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(NATIVE)/build lint
	@cd $(LAB) && npm run --silent lint

bench: install $(STAMPS)/test ## the figures, peers beside us: a table, and build/bench.json
	@$(PYTHON) -m tests.benchmarks

bench-cluster: install $(STAMPS)/test ## the figures in the cluster of KUBECONFIG, on its node (REGISTRY= of its images)
	@$(PYTHON) -m tests.benchmarks cluster

docs: $(STAMPS)/test ## build the documentation into build/site, warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet --site-dir build/site

wheel: $(STAMPS)/lab ## the Python package, with all that is built, into dist/
	@$(NATIVE)/build
	@rm -f dist/atoll-*.whl && $(UV) build --quiet --wheel --out-dir dist . && ls dist/atoll-*.whl

images: wheel ## the container images (REGISTRY=, TAG=dev, IMAGES="hub service …", BASE=, IMAGE_BUILDER=)
	@images/build $(IMAGES)

chart: $(STAMPS)/python ## write the chart's values, schema and documentation from helm/values.py
	@PYTHONPATH=extensions:. $(PYTHON) -m helm.write

constraints: $(UV) ## write constraints.txt anew from pyproject.toml's ranges
	@$(UV) pip compile --quiet --no-header --no-annotate --no-emit-index-url --extra embedded --extra test \
	  --extra docs --extra agent --extra kubernetes --extra science --python-version 3.11 --universal pyproject.toml -o constraints.txt --upgrade
	@echo "uv==$$($(UV) --version | cut -d' ' -f2)" >> constraints.txt; sort -u -o constraints.txt constraints.txt

clean: ## remove what was built, not what was installed
	rm -rf build dist $(LAB)/lib $(LAB)/src/generated extensions/atoll/labextension \
	  $(NATIVE)/target extensions/atoll/oci/libatoll_native.so
