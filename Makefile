# The front door. Every target does its own set-up: it finds or installs what it needs (see tests/setup/).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
BIN := target/debug

.DEFAULT_GOAL := help
.PHONY: help build demo console test test-api test-console test-clients test-host lint fmt bench soak fuzz sqlx

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## every program, for development, with the console where Node.js is
	@CONSOLE_ONCE=try tests/setup/console
	@$(CARGO) build --workspace --bins

demo: build ## watch a real plugin be updated, set, rolled back and healed; KEEP=1 leaves it running
	@PLUGMEND_BUILT=1 KEEP=$(KEEP) $(BIN)/plugmend-demo

console: ## the console for people, in a browser; PLUGMEND_API names the control plane; CONSOLE_ONCE=build builds only
	@tests/setup/console

test: build ## all tests that need no root
	@PLUGMEND_BUILT=1 $(BIN)/plugmend-with-postgres tests/setup/run-tests

test-console: build ## the console in a real Chromium, against the real control plane; says why where it is skipped
	@PLUGMEND_BUILT=1 $(BIN)/plugmend-with-postgres tests/setup/test-console

test-api: build ## everything that the OpenAPI document allows and forbids, against a real control plane; says when it is skipped
	@PLUGMEND_BUILT=1 $(BIN)/plugmend-with-postgres tests/setup/test-api

test-clients: build ## the plugin clients, by their own languages, against a real agent; says what it leaves out
	@PLUGMEND_BUILT=1 $(BIN)/plugmend-with-postgres tests/setup/run-client-tests

test-host: build ## what needs root and system packages: PHP-FPM and nginx under load
	@PLUGMEND_BUILT=1 tests/setup/host-packages $(BIN)/plugmend-with-postgres tests/setup/run-host-tests

lint: ## formatting, clippy, dependencies, house rules
	@$(CARGO) fmt --all -- --check
	@$(CARGO) clippy --workspace --all-targets --features plugmend-control-plane/object-storage --quiet -- -D warnings
	@tests/setup/deny
	@$(CARGO) test --quiet -p plugmend-tests --test house

fmt: ## format the code
	@$(CARGO) fmt --all

sqlx: ## write .sqlx anew from the queries in the code (commit the outcome)
	@$(CARGO) build --quiet -p plugmend-tests --bin plugmend-with-postgres
	@$(BIN)/plugmend-with-postgres tests/setup/prepare-queries

bench: ## the figures that must hold, each beside what it is compared with; PARTS="bytes agent detect ingest kill-switch healing" picks some
	@tests/setup/run-bench $(PARTS)

soak: build ## kill agent and control plane at random moments for SOAK_MINUTES (15), then under SOAK_INCIDENTS (10000)
	@PLUGMEND_BUILT=1 $(BIN)/plugmend-soak

fuzz: ## fuzz everything that reads bytes from the network, FUZZ_SECONDS (30) a target; needs nightly and cargo-fuzz
	@tests/setup/run-fuzz
