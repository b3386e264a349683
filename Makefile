# Two commands matter: `make demo` and `make test`. Build results live in the cache, outside the checkout.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export S3BUNDLER_CACHE ?= $(HOME)/.cache/s3bundler
export CARGO_TARGET_DIR ?= $(S3BUNDLER_CACHE)/target

.PHONY: help tools demo test lint fuzz bench

help: ## What can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

tools: ## Installs, or names, what the other targets need
	@.ci/tools

demo: tools ## Archives real objects on a local S3, verifies them, reads one back (KEEP=1 leaves the server up)
	cargo build --quiet -p s3bundler -p s3bundler-testbed
	$(CARGO_TARGET_DIR)/debug/s3bundler-testbed demo --s3bundler $(CARGO_TARGET_DIR)/debug/s3bundler $(if $(KEEP),--keep)

# One set of features for everything (--workspace), or cargo would build the dependencies twice.
test: tools lint ## Every test, against real servers
	cargo build --workspace --all-targets
	$(CARGO_TARGET_DIR)/debug/s3bundler-testbed install
	cargo test --workspace
	fuzz/run 10

lint: ## Formatting and warnings
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fuzz: ## Every fuzz target for a minute
	fuzz/run 60

bench: tools ## Speed and memory against a peer: the tables of docs/performance.md
	cargo build --release -p s3bundler -p s3bundler-testbed
	$(CARGO_TARGET_DIR)/release/s3bundler-testbed bench --s3bundler $(CARGO_TARGET_DIR)/release/s3bundler
