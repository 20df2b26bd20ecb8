# Every everyday act on this repository. `make` or `make help` lists them.
# Needs only make and Python 3.11 or newer with its venv module; the rest comes into .venv from the lock.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
STAMP := $(VENV)/.installed
# Extra words for a tool: `make test ARGS="-k outbox -x"`.
ARGS ?=

# An activated environment elsewhere, or Python's own variables, must not decide what is installed where.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
# A user without a home of its own, as in some containers, has nowhere to keep downloads.
ifneq ($(shell test -w "$$HOME" && echo yes),yes)
export UV_NO_CACHE := 1
endif

.PHONY: help setup check test-unit gallery demo run test faults soak fuzz deploy-check bench bench-quick bench-abuse simulate \
	static lint fmt contracts rules alerts dashboard ci lock servers debian-servers kafka clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## build .venv from the lock (costs nothing when up to date)

# uv's version and hashes are the lock's own, so that one file pins every tool.
$(UV): | requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ { on = 1 } on { print } on && !/\\$$/ { exit }' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt

$(STAMP): requirements.lock pyproject.toml | $(UV)
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
	@echo "$(VENV) is ready: $(BIN)/image-moderation --help"

gallery: setup ## a site with a "Report" button, the service behind it; prints the address to visit
	$(BIN)/python -m examples.gallery $(ARGS)

BROKER ?= redis
demo: setup ## a realistic sample through the real service, checked against a count of its own (BROKER=nats, …)
	$(BIN)/python -m tests.benchmarks.demo --broker $(BROKER) $(ARGS)

BROKER_PORT ?= 6380
run: setup ## the service with a private Valkey or Redis of its own, on 127.0.0.1:6380 (BROKER_PORT=…)
	$(BIN)/image-moderation serve --embedded --broker-port $(BROKER_PORT) $(ARGS)

check: static test-unit ## before each commit: style, types, imports and the unit tests, in half a minute

# One process: workers would save two seconds, and stand in the way of a debugger.
test-unit: setup ## the unit tests alone, in a quarter of a minute
	$(BIN)/pytest tests/unit --quiet $(ARGS)

# One more than the machine has cores, but four at most: most tests wait for servers more than they compute. A file
# stays with one process, for its servers' sake.
WORKERS = $(shell cores=$$(nproc 2> /dev/null || echo 2); echo $$((cores < 3 ? cores + 1 : 4)))
test: setup ## all tests but the long ones, with branch coverage
	$(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadfile --cov --cov-report=term:skip-covered --cov-report=xml:build/coverage.xml $(ARGS)

# Two processes, for most tests wait for what times out.
faults: setup ## every fault on every broker, half an hour; prints a table (ARGS="--seed N -k name")
	$(BIN)/pytest tests/faults tests/integration -m soak --numprocesses=2 --faults-json=build/faults.json $(ARGS)

MINUTES ?= 30
soak: setup ## a site in use with a fault every 20 s, on one broker (BROKER=nats, MINUTES=30)
	$(BIN)/pytest tests/faults/test_soak.py -m soak -s -k "[$(BROKER)]" --minutes=$(MINUTES) \
		--faults-json=build/soak.json $(ARGS)

simulate: setup ## replicas on a virtual clock among failing servers, more seeds than `make test` has (ARGS="--seeds 1000")
	$(BIN)/python -m tests.simulation $(ARGS)

FUZZ_SECONDS ?= 600
fuzz: setup ## look for ten minutes for messages that the parser judges wrongly (FUZZ_SECONDS=…); the corpus stays in build/fuzz/
	$(BIN)/python -m tests.fuzz.parser --seconds $(FUZZ_SECONDS) $(ARGS)

deploy-check: setup ## what can be proven of deploy/ without a container engine or a cluster; `make test` does it too
	$(BIN)/pytest tests/deploy $(ARGS)

bench: setup ## measure speed, latency, memory and start (ten minutes; BROKER=nats, …); results go to build/bench/
	$(BIN)/python -m tests.benchmarks.bench --broker $(BROKER) $(ARGS)

bench-quick: setup ## the same in about a minute, with fewer rounds
	$(BIN)/python -m tests.benchmarks.bench --quick $(ARGS)

bench-abuse: setup ## simulate what crowds of fake accounts can buy under each policy (a few minutes); to build/bench-abuse/
	$(BIN)/python -m tests.benchmarks.abuse $(ARGS)

static: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

lint: static ## every static check; edits nothing
	$(BIN)/check-jsonschema --check-metaschema $$(find contracts -name '*.schema.json' | sort)
	$(BIN)/image-moderation contracts

fmt: setup ## format and fix what can be fixed by machine
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

contracts: setup ## write contracts/ anew from the code
	$(BIN)/image-moderation contracts --write

rules: setup ## write the Kubernetes copy of deploy/prometheus/rules.yaml anew
	$(BIN)/python -m deploy.prometheus.prometheus_rule

alerts: ## check the alert rules and run their tests (needs promtool)
	promtool check rules deploy/prometheus/rules.yaml
	promtool test rules deploy/prometheus/rules_test.yaml

dashboard: setup ## write the Grafana dashboard anew from its code
	$(BIN)/python -m deploy.grafana.dashboard

ci: lint test ## what CI runs

# Pins that still satisfy pyproject.toml stay; `make lock ARGS=--upgrade` moves them all.
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --python $(BIN)/python --python-version 3.11 \
	--no-header --no-emit-index-url --no-emit-find-links pyproject.toml
lock: $(UV) ## write both requirements locks anew from pyproject.toml
	$(COMPILE) --all-extras -o requirements.lock $(ARGS)
	$(COMPILE) --extra kafka --extra nats --extra rabbitmq --extra tracing \
		-c requirements.lock -o deploy/requirements.lock
	@! grep -nE '://|^(--?[a-z]|#)' requirements.lock deploy/requirements.lock \
		|| { echo "a lock names a host, an option or a path" >&2; exit 1; }

# Debian packages of the real servers that tests start by themselves, each on its own port or socket, and of the
# programs that check what is handed to them: promtool is in prometheus, systemd-analyze in systemd. openssl makes the
# certificates of tests.
SERVERS := redis-server redis-tools nats-server rabbitmq-server chromium prometheus systemd openssl
servers: debian-servers kafka ## install the servers the tests use (Debian, as root; Kafka where Maven can fetch it)

debian-servers:
	@if [ "$$(id -u)" != 0 ]; then echo "make servers installs Debian packages: run it as root" >&2; exit 1; fi; \
	missing=(); command -v node > /dev/null && command -v npm > /dev/null || missing+=(nodejs npm); \
	for package in $(SERVERS); do \
		dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing+=($$package); \
	done; \
	if [ $${#missing[@]} = 0 ]; then echo "all there: $(SERVERS)"; exit 0; fi; \
	policy=/usr/sbin/policy-rc.d; kept=; \
	if [ -e $$policy ]; then kept=$$(mktemp -u $$policy.XXXXXX); mv $$policy $$kept; fi; \
	restore() { rm -f $$policy; if [ -n "$$kept" ]; then mv $$kept $$policy; fi; }; \
	trap restore EXIT; \
	printf '#!/bin/sh\nexit 101\n' > $$policy; chmod 755 $$policy; \
	apt-get update -qq; \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"

# 54 MB that `make clean` leaves, because not every machine that has them can fetch them again. `java` runs it. Maven
# takes its settings, and so its registry, from the machine. Where it can't, tests use librdkafka's mock.
KAFKA := .servers/kafka
KAFKA_LOG := .servers/maven.log
KAFKA_POM := tests/support/brokers/kafka/pom.xml
kafka: ## fetch the real Kafka that tests start, by Maven (no root needed)
	@if cmp -s $(KAFKA_POM) $(KAFKA)/pom.xml; then echo "all there: Kafka in $(KAFKA)"; exit 0; fi; \
	if ! command -v mvn > /dev/null; then echo "no Kafka: mvn is not on PATH; tests use a mock"; exit 0; fi; \
	rm -rf $(KAFKA); mkdir -p $(KAFKA); \
	if mvn --quiet --batch-mode --file $(KAFKA_POM) dependency:copy-dependencies -DincludeScope=runtime \
		-DoutputDirectory="$(CURDIR)/$(KAFKA)" > $(KAFKA_LOG) 2>&1; \
	then cp $(KAFKA_POM) $(KAFKA)/pom.xml; echo "Kafka is in $(KAFKA)"; \
	else rm -rf $(KAFKA); echo "no Kafka: Maven reached no registry that has it ($(KAFKA_LOG)); tests use a mock"; fi

clean: ## remove .venv, caches and build results
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
