# Sluice's targets; `make help` lists them. What a target needs it installs: Go
# tools into bin/, Python packages into bench/.venv. Beyond that a machine needs
# Go, a C compiler for the tests (DuckDB is the referee), and Docker for the
# cluster targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN     := $(CURDIR)/bin
MODULE  := github.com/sluice-engine/sluice
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

# Tools, pinned. buf 1.74 and 1.75 do not install from the Go module proxy: they
# need versions of their own dependencies that it does not have.
GOLANGCI_LINT      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BUF                := github.com/bufbuild/buf/cmd/buf@v1.73.0
PROTOC_GEN_GO      := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
PROTOC_GEN_GO_GRPC := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2

##@ Using it

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# Static and reproducible: no C, no paths of this machine, the version from git.
# The symbol table stays (no -s): profiles and stack traces are worth 10 MB.
GOBUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-w \
  -X $(MODULE)/internal/version.Version=$(VERSION) \
  -X $(MODULE)/internal/version.Commit=$(COMMIT)'

.PHONY: build
build: ## Build the static binary, bin/sluice
	@echo 'building bin/sluice $(VERSION)'
	@$(GOBUILD) -o $(BIN)/sluice ./cmd/sluice

# The size of both demos' data.
export DEMO_ROWS  ?= 2000000
export DEMO_FILES ?= 200

.PHONY: demo
demo: build ## Generate event data, run the event job in one process, show the receipt
	@stamp=demo/.landing-$(DEMO_ROWS)x$(DEMO_FILES); \
	  if [[ -e $$stamp ]]; then echo 'demo/landing is there already (make clean removes it)'; \
	  else rm -rf demo && bin/sluice gen events --out demo/landing --rows $(DEMO_ROWS) --files $(DEMO_FILES) && touch $$stamp; fi
	@rm -rf demo/mart
	bin/sluice repartition demo/landing --partition-by type --out demo/mart
	@printf '%s\n' '' 'What to look at next:' \
	  '  ls demo/mart' \
	  '      one directory per event type' \
	  '  bin/sluice verify demo/landing demo/mart' \
	  '      the same rows, and not one more' \
	  '  bin/sluice plan demo/landing --partition-by type --by device_id -n 16' \
	  '      the program that writes 8,000 files, and the better one' \
	  '  make cluster-demo' \
	  '      the same job on a coordinator and three executors'

##@ A cluster on this machine (needs Docker)

.PHONY: docker-engine
docker-engine:
	@docker info >/dev/null 2>&1 || { \
	  echo 'no Docker engine answers: install Docker (Debian: apt-get install docker.io docker-compose), start it,'; \
	  echo 'and check with "docker info" that you may use it'; exit 1; } >&2

# The image is for the engine's system, which need not be this machine's.
.PHONY: image
image: docker-engine ## Build the container image sluice:latest
	@rm -rf $(BIN)/image && mkdir -p $(BIN)/image/{data,scratch,tmp}
	@chmod 1777 $(BIN)/image/{data,scratch,tmp}
	@echo 'building sluice:latest $(VERSION)'
	@GOOS=linux $(GOBUILD) -o $(BIN)/image/sluice ./cmd/sluice
	docker build -t sluice:latest .

.PHONY: token
token: ## Make the cluster's token and data directory, .cluster/
	@deploy/token.sh

.PHONY: up
up: image token ## Start a coordinator (127.0.0.1:7400) and three executors
	deploy/compose.sh up -d coordinator executor-1 executor-2 executor-3

.PHONY: down
down: ## Stop the cluster and remove its volumes; .cluster/lake stays
	deploy/compose.sh down -v --remove-orphans

.PHONY: cluster-demo
cluster-demo: image token ## Start a cluster, run the event job on it, show the receipt, stop
	@deploy/cluster-demo.sh

##@ Tests

# test/ is a module of its own: it needs cgo for DuckDB, which the product never does.
GOTESTFLAGS ?=

.PHONY: test test-unit test-e2e
test: test-unit test-e2e ## Run every test, end to end ones too (with DuckDB as referee)
test-unit:
	go test $(GOTESTFLAGS) ./...
test-e2e:
	cd test && CGO_ENABLED=1 go test $(GOTESTFLAGS) ./...

.PHONY: race race-unit race-e2e
race: race-unit race-e2e ## Run every test under the race detector
race-unit:
	CGO_ENABLED=1 go test -race $(GOTESTFLAGS) ./...
race-e2e:
	cd test && CGO_ENABLED=1 go test -race $(GOTESTFLAGS) ./...

FUZZTIME ?= 30s

# `go test -fuzz` takes one target of one package at a time.
.PHONY: fuzz
fuzz: ## Run every fuzz target in turn, FUZZTIME (30s; 10000x is a count) each
	@targets=$$(grep -rEo --include='*_test.go' --exclude-dir='.?*' '^func Fuzz[A-Za-z0-9_]+' . | sort) || \
	  { echo 'there is no fuzz target in this tree' >&2; exit 1; }; \
	echo "$$targets" | \
	while IFS=: read -r file func; do \
	  target=$${func#func }; dir=$$(dirname "$$file"); \
	  echo "== $$target in $$dir, $(FUZZTIME)"; \
	  (cd "$$dir" && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x .) </dev/null; \
	done

BENCH_ROWS    ?= 2000000
BENCH_FILES   ?= 200
BENCH_PAIRS   ?= 5
BENCH_CODEC   ?= snappy
BENCH_THREADS ?= 2
BENCH_PEERS   ?= duckdb,duckdb-sorted,polars

.PHONY: bench
bench: build bench/.venv/.installed ## Compare with DuckDB and Polars, pair by pair (see bench/README.md)
	bench/.venv/bin/python bench/run.py --rows $(BENCH_ROWS) --files $(BENCH_FILES) --pairs $(BENCH_PAIRS) \
	  --codec $(BENCH_CODEC) --threads $(BENCH_THREADS) --peers $(BENCH_PEERS)

bench/.venv/.installed: bench/requirements.txt
	python3 -m venv bench/.venv
	bench/.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

##@ Work on the source

.PHONY: generate
generate: tool-buf tool-protoc-gen-go tool-protoc-gen-go-grpc ## Make the Go code of the protocols, proto/gen
	$(BIN)/buf generate

# Compares with a second generation, not with git, so it judges the tree as it is.
.PHONY: generate-check
generate-check: tool-buf tool-protoc-gen-go tool-protoc-gen-go-grpc ## Check that proto/gen is what its sources make
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	  $(BIN)/buf generate -o "$$fresh"; \
	  diff -r "$$fresh/proto/gen" proto/gen || { echo 'proto/gen is not what proto/ makes: run make generate'; exit 1; }

.PHONY: lint
lint: tool-golangci-lint tool-buf ## Check formatting, vet, golangci-lint and the protocols
	@unformatted=$$(gofmt -l .); \
	  [[ -z $$unformatted ]] || { printf 'not formatted with gofmt:\n%s\n' "$$unformatted"; exit 1; }
	go vet ./...
	cd test && CGO_ENABLED=1 go vet ./...
	$(BIN)/golangci-lint run ./...
	cd test && CGO_ENABLED=1 $(BIN)/golangci-lint run ./...
	$(BIN)/buf lint

.PHONY: ci
ci: ## Everything that CI runs, on a machine like CI's
	.ci/run

.PHONY: clean
clean: ## Remove what the targets made: binaries, demo, benchmark and cluster data
	rm -rf bin demo bench/data bench/.venv .cluster

# tool-NAME installs the tool pinned above as bin/NAME. The stamp carries the
# version, so a new pin installs anew.
define tool
.PHONY: tool-$(1)
tool-$(1): $$(BIN)/.tools/$(1)@$$(lastword $$(subst @, ,$(2)))
$$(BIN)/.tools/$(1)@$$(lastword $$(subst @, ,$(2))):
	@echo 'installing $(2) into bin/'
	@GOBIN=$$(BIN) go install $(2)
	@mkdir -p $$(@D) && rm -f $$(@D)/$(1)@* && touch $$@
endef
$(eval $(call tool,golangci-lint,$(GOLANGCI_LINT)))
$(eval $(call tool,buf,$(BUF)))
$(eval $(call tool,protoc-gen-go,$(PROTOC_GEN_GO)))
$(eval $(call tool,protoc-gen-go-grpc,$(PROTOC_GEN_GO_GRPC)))
