# Everything a person does here. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# What `make run` is given: make run CSV=faces.csv CONFIG=configs/quick.yaml SET="train.epochs=3 ingest.duplicates=keep"
CSV ?=
CONFIG ?=
SET ?=
# For images, compile and submit.
REGISTRY ?=
PUSH ?=
IMAGE ?=
GPU_IMAGE ?=
MLFLOW ?=
HOST ?=
# For soak.
RUNS ?=

# What was given, as one word for the shell, whatever is in it: quotes, blanks, dollars, line feeds. `$(value ...)` takes it
# as it was written; plain `$(CSV)` would have make expand what looks like its own.
unexport CSV CONFIG SET REGISTRY PUSH IMAGE GPU_IMAGE MLFLOW HOST RUNS
define newline


endef
quoted = '$(subst $(newline),'$$'\n'',$(subst ','\'',$(1)))'
option = $(if $(value $(2)),$(1) $(call quoted,$(value $(2))))

RUN_ARGUMENTS = $(call option,--csv,CSV) $(call option,--config,CONFIG) $(foreach one,$(value SET),--set $(call quoted,$(one)))

CLUSTER_ARGUMENTS = $(call option,--image,IMAGE) $(call option,--gpu-image,GPU_IMAGE) $(call option,--tracking-uri,MLFLOW)

##@ Use

.PHONY: run
run: $(READY) ## set up, run the whole DAG here (CSV=, CONFIG=, SET="name=value ..."); without CSV on the drawn sample
	@$(BIN)/ferpipe run $(RUN_ARGUMENTS)

.PHONY: ui
ui: $(READY) ## the MLflow UI on this machine's runs
	@$(BIN)/ferpipe ui

.PHONY: doctor
doctor: $(READY) ## what is missing on this machine, and the cure
	@$(BIN)/ferpipe doctor

##@ Kubeflow

.PHONY: images
images: ## container images, tagged with the commit (REGISTRY=host/name, PUSH=1 to push)
	@images/build $(call option,--registry,REGISTRY) $(if $(value PUSH),--push)

.PHONY: compile
compile: $(READY) ## the pipeline as a file for Kubeflow (IMAGE=, GPU_IMAGE=, MLFLOW=address of the server, CONFIG=, CSV=, SET=)
	@$(BIN)/ferpipe compile $(CLUSTER_ARGUMENTS) $(RUN_ARGUMENTS)

.PHONY: submit
submit: $(READY) ## run it on a cluster (HOST=, IMAGE=, GPU_IMAGE=, MLFLOW=, CONFIG=, CSV=, SET=)
	@$(BIN)/ferpipe submit $(call option,--host,HOST) $(CLUSTER_ARGUMENTS) $(RUN_ARGUMENTS)

##@ Supply

.PHONY: base
base: ## the images' base as its tag stands today, by digest, into images/Dockerfile
	@images/update_base

.PHONY: sbom
sbom: $(READY) ## what an image holds, as CycloneDX (IMAGE=name of one that is here)
	@$(BIN)/python images/sbom.py $(call option,,IMAGE)

.PHONY: licences
licences: $(READY) ## write docs/licences.md: the licence of every package in the images
	@$(BIN)/python images/list_licences.py > docs/licences.md

.PHONY: audit
audit: $(READY) ## known vulnerabilities of the locked packages (needs PyPI's advisories)
	@for lock in requirements.lock requirements-gpu.lock requirements-server.lock; do \
		$(BIN)/uv tool run --quiet --from pip-audit==2.10.1 pip-audit --strict --disable-pip --require-hashes -r $$lock; \
	done

##@ Develop

.PHONY: setup
setup: $(READY) ## the environment in .venv, from the hashed lock file

.PHONY: test
test: $(READY) ## set up, run the tests: all but those that have a target of their own below
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow and not mlproject and not docker and not services and not browser and not go and not abuse and not kills"

.PHONY: test-abuse
test-abuse: $(READY) ## thousands of wrong settings, CSVs, pictures and requests, counted (FERPIPE_ABUSE=0.1: a tenth)
	@$(BIN)/python -m pytest -m abuse tests/abuse

.PHONY: test-kills
test-kills: $(READY) ## the whole run killed sixty times and resumed, counted (FERPIPE_ABUSE=0.1: six times)
	@$(BIN)/python -m pytest -m kills tests/abuse

.PHONY: soak
soak: $(READY) ## 30 small runs in one folder, and what each leaves behind, as a table (RUNS=30)
	@$(BIN)/python -m benchmarks.soak --runs $(or $(call option,,RUNS),30)

.PHONY: test-slow
test-slow: $(READY) ## the slow ones: a search, an ensemble's life, resumed runs, processes that meet, Keras on JAX
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m slow

.PHONY: test-mlproject
test-mlproject: $(READY) ## every entry point of MLproject under a real `mlflow run`
	@$(BIN)/python -m pytest -m mlproject

.PHONY: test-services
test-services: $(READY) ## tests with real servers: PostgreSQL, S3, MLflow's two (installs what is missing; needs root)
	@$(BIN)/python -m pytest -m services

.PHONY: test-kubeflow
test-kubeflow: $(READY) ## the compiled pipeline through the Kubeflow backend's own compiler (needs Go)
	@$(BIN)/python -m pytest -m go

.PHONY: test-docker
test-docker: $(READY) ## build the images, and run the whole DAG in them (installs a Docker engine; needs root)
	@$(BIN)/python -m pytest -m docker

.PHONY: test-browser
test-browser: $(READY) ## the MLflow UI and the report in a headless browser (installs Chromium; needs root)
	@$(BIN)/python -m pytest -m browser

.PHONY: screenshots
screenshots: $(READY) ## take the pictures of docs/screenshots anew (needs Chromium; half an hour)
	@PYTHONPATH=.:tests $(BIN)/python tests/browser/take_screenshots.py

.PHONY: lint
lint: $(READY) ## ruff and pyright
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

.PHONY: bench
bench: $(READY) ## what is fast, measured beside what people would otherwise do (CSV=FER2013 unpacked; none: no ingest)
	@$(if $(value CSV),,echo "== ingest: left out, it needs FER2013; make bench CSV=fer2013.csv")
	@for name in $(filter-out soak $(if $(value CSV),,ingest),$(sort $(basename $(notdir $(wildcard benchmarks/*.py))))); do \
		echo "== $$name"; \
		case $$name in ingest | balance) set -- $(call option,,CSV) ;; *) set -- ;; esac; \
		$(BIN)/python -m "benchmarks.$$name" "$$@"; \
	done

.PHONY: mlproject
mlproject: $(READY) ## write MLproject anew from the parameters
	@$(BIN)/python -m mlflow_project.write_mlproject

LOCK = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --quiet

.PHONY: lock
lock: $(READY) ## resolve the lock files anew
	@$(LOCK) -o requirements.lock
	@$(LOCK) --extra gpu --no-emit-package tensorflow-cpu -o requirements-gpu.lock
	@$(LOCK) --extra dev -o requirements-dev.lock
	@$(subst compile pyproject.toml,compile --group server --constraints requirements.lock,$(LOCK)) -o requirements-server.lock

.PHONY: clean
clean: $(READY) ## remove what local runs left in .ferpipe, of whatever age; what versions or unfinished runs need stays
	@$(BIN)/ferpipe clean --older-than 0

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# uv where there is one, or where pip can fetch it; else pip, which takes longer and gives the same packages.
$(READY): requirements-dev.lock pyproject.toml
	@started=$$SECONDS; \
	if uv=$$(command -v uv); then \
		"$$uv" venv --quiet --allow-existing --python '>=3.11,<3.14' $(VENV); \
	else \
		python=$$(for name in python3 python3.13 python3.12 python3.11; do \
			if "$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
			then echo $$name; break; fi; done); \
		if [ -z "$$python" ]; then \
			echo "fer-pipeline needs Python 3.11, 3.12 or 3.13, or uv: install one of them and try again" >&2; exit 1; fi; \
		"$$python" -m venv $(VENV); \
		awk '/^uv==/ {found = 1} found {print} found && !/\\$$/ {exit}' requirements-dev.lock > $(VENV)/uv.lock; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock || true; \
		uv=$$([ -x $(BIN)/uv ] && echo $(BIN)/uv || true); \
	fi; \
	if [ -n "$$uv" ] && "$$uv" pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.lock; then \
		"$$uv" pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .; \
	else \
		$(BIN)/python -m ensurepip >/dev/null 2>&1 || true; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	fi; \
	touch $(READY); \
	echo "set up in $$((SECONDS - started)) s"
