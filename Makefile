# Every command a developer needs. `make` alone prints this list.
# All targets work on a clean clone; the only things ever fetched are Go modules
# and, for `make test`, the npm packages and jars that tests name (tools/test/npm.sh,
# jars.sh) and, as root on Debian, the packages named in tools/test/apt.sh; and for
# `make test-wide` the jars of its servers.

export GO ?= go
BIN      := bin/ottavo
PKG      ?= ./...
CONFIG   ?= configs/default.yaml
FUZZTIME ?= 30s
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
TOOLS    := .cache/tools

.DEFAULT_GOAL := help
.PHONY: help build build-full run test test-wide race fuzz lint proto demo bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## compile bin/ottavo
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/ottavo

build-full: ## compile bin/ottavo-full, with every backend there is: minutes from nothing, 200 MB
	@mkdir -p bin
	$(GO) build -tags full -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)-full ./cmd/ottavo

run: build ## start it with CONFIG (default configs/default.yaml), which needs no server
	@exec $(BIN) start -c $(CONFIG)

test: ## install the servers that tests use (root on Debian only), then run every test with -race
	@tools/test/apt.sh
	@tools/test/npm.sh
	@tools/test/jars.sh
	@$(GO) build -o $(TOOLS)/test ./tools/test
	@$(TOOLS)/test -race=try $(TESTFLAGS) -- $(PKG)

test-wide: ## run the tests with big servers, which it fetches (Maven and a JDK of 17 or later)
	@tools/test/wide.sh

race: ## run every test again with -race: never cached, in random order
	@$(GO) build -o $(TOOLS)/test ./tools/test
	@$(TOOLS)/test -race=require -fresh -shuffle $(TESTFLAGS) -- $(PKG)

fuzz: ## run every Fuzz function for FUZZTIME (default 30s); FUZZ=name picks, FUZZ_LIMIT=seconds bounds all
	@FUZZTIME=$(FUZZTIME) tools/test/fuzz.sh $(FUZZ)

lint: ## run the linters of .golangci.yml, in the version pinned by tools/lint/go.mod
	@tools/lint/lint.sh $(PKG)

proto: ## regenerate the Go code of spec/proto
	@tools/proto/generate.sh

demo: ## run every demo against an in-process runtime
	@$(GO) build -o $(TOOLS)/test ./tools/test
	@$(TOOLS)/test -fresh $(TESTFLAGS) -- ./demo/...

bench: ## measure against the direct calls and print ratios; BENCHFLAGS=-short takes a minute and a half
	@$(GO) build -o $(TOOLS)/bench ./tools/bench
	@$(GO) build -trimpath -overlay tools/bench/overlay.json -ldflags '$(LDFLAGS)' -o $(TOOLS)/ottavo-bench ./cmd/ottavo
	@$(TOOLS)/bench -sidecar=$(TOOLS)/ottavo-bench $(BENCHFLAGS)
