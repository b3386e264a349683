# Two commands matter: `make demo` (`make demo-local` where there is no root) and `make test`. Build results live in the cache, outside the checkout.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export S3BUNDLER_CACHE ?= $(HOME)/.cache/s3bundler
export CARGO_TARGET_DIR ?= $(S3BUNDLER_CACHE)/target

# Integration tests mostly wait, for servers and for time to pass.
export RUST_TEST_THREADS ?= $(shell echo $$((4 * $$(getconf _NPROCESSORS_ONLN) + 4)))

# Normally empty: rust-toolchain.toml names the compiler.
toolchain := $(shell .ci/toolchain)
ifneq ($(toolchain),)
export RUSTUP_TOOLCHAIN := $(toolchain)
endif

.PHONY: help tools checkout demo demo-local up down check lint servers test-servers test-cluster test check-extra docs generate fuzz bench interop \
  release-check dist dist-chart dist-sbom dist-sums image image-index image-sign chart-push

help: ## What can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

tools: ## Installs, or names, what the other targets need
	@.ci/tools

# Cargo tells by times what it has built, not by place: what another checkout left would pass for this one's.
checkout:
	@mark=$(CARGO_TARGET_DIR)/checkout; \
	if [ -d $(CARGO_TARGET_DIR) ] && [ "$$(cat $$mark 2>/dev/null)" != "$(CURDIR)" ]; then \
	  cargo clean --quiet --workspace; cargo clean --quiet --workspace --release; \
	fi; \
	mkdir -p $(CARGO_TARGET_DIR); echo "$(CURDIR)" > $$mark

# Without the fuzz targets and tests, whose features cargo would turn on in the programs, too: images are built without.
PROGRAMS := s3bundler s3bundler-operator s3bundler-testbed
BUILD := cargo build --quiet $(PROGRAMS:%=--package %)
DEBUG := $(CARGO_TARGET_DIR)/debug
RELEASE := $(CARGO_TARGET_DIR)/release

demo: tools checkout ## Archives real files with an ArchiveRun on a Kubernetes of its own, as root on Linux (KEEP=1 leaves it up)
	$(BUILD)
	$(DEBUG)/s3bundler-testbed demo-kubernetes --s3bundler $(DEBUG)/s3bundler --operator $(DEBUG)/s3bundler-operator $(if $(KEEP),--keep)

demo-local: tools checkout ## The same on the command line alone, with a local S3 (KEEP=1 leaves the server up)
	$(BUILD)
	$(DEBUG)/s3bundler-testbed demo --s3bundler $(DEBUG)/s3bundler $(if $(KEEP),--keep)

up: tools checkout ## A Kubernetes with S3 and SQS in the background, and the lines for a shell
	@$(BUILD)
	@$(DEBUG)/s3bundler-testbed up --image localhost/s3bundler/operator:dev=$(DEBUG)/s3bundler-operator --image localhost/s3bundler/worker:dev=$(DEBUG)/s3bundler

down: checkout ## Ends what up started
	@$(BUILD)
	@$(DEBUG)/s3bundler-testbed down

check: lint ## Formatting, warnings and unit tests: needs no server
	@.ci/timed "unit tests" cargo test --workspace --lib $(PROGRAMS:%=--bin %)

lint: tools checkout
	@.ci/timed "formatting" cargo fmt --all --check
	@.ci/timed "warnings" cargo clippy --workspace --all-targets -- -D warnings
	@.ci/timed "warnings of the cluster tests" cargo clippy --workspace $(CLUSTER_TESTS) -- -D warnings

# Boot a Kubernetes each. They are no default tests (`test = false`), so that `cargo test --workspace` leaves them out.
CLUSTER_TESTS := --test cluster --test kube

servers: tools checkout
	@.ci/timed "build" cargo build --workspace --all-targets
	@.ci/timed "servers" $(DEBUG)/s3bundler-testbed install

test-servers: servers ## Unit and integration tests, against real S3 and SQS servers and a Kubernetes API server
	@.ci/timed "unit and server tests" cargo test --workspace --no-fail-fast

test-cluster: servers ## The operator in a real cluster, one test for each scenario, as root on Linux
	@.ci/timed "cluster tests" cargo test --workspace --no-fail-fast $(CLUSTER_TESTS)

# Server and cluster tests mostly wait, so they run side by side. What they print follows when each ends.
test: lint ## Every test: all of the above, and ten seconds of each fuzz target
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target test-servers test-cluster
	@.ci/timed "fuzz targets" fuzz/run 10

# Tools that are compiled only to lint, by version, outside the checkout.
LINT := $(S3BUNDLER_CACHE)/lint
CARGO_DENY := 0.20.2
ACTIONLINT := v1.7.12
MDBOOK := 0.5.4

check-extra: tools docs ## Licences and bans of dependencies, workflows, and the documentation with its links
	@.ci/tool $(LINT) cargo-deny $(CARGO_DENY)
	@.ci/timed "dependencies" $(LINT)/bin/cargo-deny --all-features --workspace check bans licenses sources
	@.ci/timed "workflows" go run github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT)

docs: tools ## The documentation as a site, outside the checkout
	@.ci/timed "links" .ci/links
	@.ci/tool $(LINT) mdbook $(MDBOOK) --no-default-features --features search
	@.ci/timed "site" .ci/book $(LINT)/bin/mdbook $(S3BUNDLER_CACHE)/book

generate: checkout ## The files that are made from the code
	S3BUNDLER_GENERATE=1 cargo test --workspace --test integration -- generated:: simulator::

fuzz: checkout ## Every fuzz target for a minute
	fuzz/run 60

bench: tools checkout ## Speed and memory against a peer, and of the operator as root on Linux: the tables of docs/performance.md
	cargo build --release $(PROGRAMS:%=--package %)
	$(RELEASE)/s3bundler-testbed bench --s3bundler $(RELEASE)/s3bundler
	cargo bench --package s3bundler --bench find
	$(RELEASE)/s3bundler-testbed bench-operator --operator $(RELEASE)/s3bundler-operator --s3bundler $(RELEASE)/s3bundler

interop: tools checkout ## Tries KEDA, Argo CD's and Flux' health checks, Prometheus and the dashboard in a cluster, as root on Linux (ONLY=keda,gitops,prometheus,grafana)
	$(BUILD)
	$(DEBUG)/s3bundler-testbed interop --s3bundler $(DEBUG)/s3bundler --operator $(DEBUG)/s3bundler-operator $(addprefix --only=,$(ONLY))

# The steps of .github/workflows/release.yml. Those of images need Docker with buildx, and signatures cosign.
DIST ?= $(S3BUNDLER_CACHE)/dist
REGISTRY ?=
IMAGE ?= operator
VERSION = $(shell .ci/version)
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
ARCH = $(patsubst aarch64,arm64,$(patsubst x86_64,amd64,$(shell uname -m)))
REPOSITORY = $(addsuffix /,$(REGISTRY))s3bundler/$(IMAGE)
SOURCE = $(addprefix $(GITHUB_SERVER_URL)/,$(GITHUB_REPOSITORY))
CARGO_SBOM := 0.10.0

release-check: ## Whether chart, examples and documentation have the workspace's version (TAG=v…: and tag and changelog, too)
	@.ci/version $(TAG)

dist: tools checkout release-check ## Release binaries of this machine as a tar.gz in DIST, with SHA256SUMS
	cargo build --release --locked --package s3bundler --package s3bundler-operator
	@.ci/pack $(DIST) s3bundler-$(VERSION)-$(HOST) $(RELEASE)/s3bundler $(RELEASE)/s3bundler-operator
	@.ci/sums $(DIST)

dist-chart: tools release-check ## The chart as a package in DIST, with SHA256SUMS (REGISTRY=…: the default of its images)
	@.ci/chart $(DIST) $(REGISTRY)
	@.ci/sums $(DIST)

dist-sbom: tools ## What the programs are made of, in CycloneDX, in DIST, with SHA256SUMS
	@.ci/tool $(LINT) cargo-sbom $(CARGO_SBOM)
	@mkdir -p $(DIST)
	@for program in s3bundler s3bundler-operator; do \
	  $(LINT)/bin/cargo-sbom sbom --cargo-package $$program --output-format cyclone_dx_json_1_6 > $(DIST)/$$program-$(VERSION).cdx.json; \
	done
	@.ci/sums $(DIST)

image: release-check ## An image for this machine's architecture (IMAGE=operator or worker, REGISTRY=…; PUSH=1 pushes it)
	docker buildx build --file deploy/docker/$(IMAGE).Dockerfile --platform linux/$(ARCH) --tag $(REPOSITORY):$(VERSION)-$(ARCH) \
	  --label org.opencontainers.image.version=$(VERSION) --label org.opencontainers.image.licenses=Apache-2.0 \
	  --label org.opencontainers.image.revision=$(shell git rev-parse HEAD) $(addprefix --label org.opencontainers.image.source=,$(SOURCE)) \
	  $(if $(PUSH),--push --sbom=true --provenance=mode=max,--load) .

image-index: ## Joins the pushed images of both architectures under the version
	docker buildx imagetools create --tag $(REPOSITORY):$(VERSION) $(REPOSITORY):$(VERSION)-amd64 $(REPOSITORY):$(VERSION)-arm64

image-sign: ## Signs the joined image, keyless, in a workflow with an identity
	cosign sign --yes --recursive $(REPOSITORY)@$$(docker buildx imagetools inspect $(REPOSITORY):$(VERSION) --format '{{json .Manifest}}' | \
	  python3 -c 'import json, sys; print(json.load(sys.stdin)["digest"])')

chart-push: ## Pushes and signs the chart's package in DIST
	@digest=$$(go -C testbed/kube tool helm push $(abspath $(DIST))/s3bundler-$(VERSION).tgz oci://$(REGISTRY)/charts 2>&1 | \
	  tee /dev/stderr | sed -n 's/^Digest: //p'); \
	cosign sign --yes $(REGISTRY)/charts/s3bundler@$$digest
