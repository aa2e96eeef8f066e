# make lists the targets. Each does the set-up it needs: scripts/setup.sh.

SHELL   := /bin/sh
SETUP   := ./scripts/setup.sh
PKG     ?= ./...
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help demo build test check fmt vet lint bench soak chaos clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1#\2/p' $(MAKEFILE_LIST) | awk -F '#' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: build ## everything against the sandbox, on a private Postgres; ARGS="--once --days 45"
	@$(SETUP) postgres
	@./bin/dunlin demo $(ARGS)

build: ## the program: bin/dunlin
	@$(SETUP) go
	@mkdir -p bin
	@go build -ldflags "-X main.version=$(VERSION)" -o bin/dunlin ./cmd/dunlin

test: ## all tests with the race detector, on a real Postgres; PKG=./segments/... TESTFLAGS="-run Tick -v"
	@$(SETUP) go compiler postgres
	go test -race -timeout 8m $(TESTFLAGS) $(PKG)

check: fmt vet lint test ## what CI runs: formatting, vet, lint, test

fmt: ## fail on files that gofmt would change
	@$(SETUP) go
	@files=$$("$$(go env GOROOT)/bin/gofmt" -l .); if [ -n "$$files" ]; then echo "not formatted; run gofmt -w on:"; echo "$$files"; exit 1; fi

vet: ## go vet
	@$(SETUP) go
	go vet $(PKG)

lint: ## tools/lint: staticcheck, errcheck and our own, at the versions that tools/go.mod pins
	@$(SETUP) go
	@mkdir -p bin
	@go test -C tools ./...
	@go build -C tools -o ../bin/lint ./lint
	./bin/lint $(PKG)

# With neither PKG nor BENCH it is the product's figures, at the sizes that
# cmd/dunlin/bench_test.go names: BENCH_SMALL, BENCH_LARGE, BENCH_JOIN …
bench: ## the figures, into docs/benchmarks.md; or others: PKG=./internal/pgdev BENCH=Start
	@$(SETUP) go postgres
ifeq ($(origin PKG)$(BENCH),file)
	go test -run '^$$' -bench '^BenchmarkFigures$$' -benchtime 1x -timeout 0 $(TESTFLAGS) ./cmd/dunlin
else
	go test -run '^$$' -bench '$(or $(BENCH),.)' $(if $(BENCH),,-skip '^BenchmarkFigures$$') -benchmem $(TESTFLAGS) $(PKG)
endif

soak: ## rules, ticks and the mirror against their references, on and on: SOAK=10m for each of the three
	@$(SETUP) go postgres
	go test -count=1 -timeout 24h -v -run 'TestCompile_AgreesWithEval|TestHistory_soak' ./segments -soak $(or $(SOAK),10m)
	go test -count=1 -timeout 24h -v -run 'TestConverge_soak' ./stripesync -soak $(or $(SOAK),10m)

chaos: ## workers and Postgres killed in a merchant's life, judged; SEEDS=3 KILLS=1000 CUSTOMERS=5000 DAYS=60
	@$(SETUP) go postgres
	go test -count=1 -timeout 24h -v -parallel 3 -run '^TestChaos_(broken|large)$$' ./cmd/dunlin -chaos-seeds $(or $(SEEDS),3) -chaos-kills $(or $(KILLS),1000) -chaos-customers $(or $(CUSTOMERS),5000) -chaos-days $(or $(DAYS),60)

clean: ## remove what was built
	@rm -rf bin
