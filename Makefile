# The short commands over the CMake presets; `make help` lists them. Everything is built under build/PRESET.
.DEFAULT_GOAL := build
JOBS ?= $(shell nproc)
SHELL := /bin/bash
TEST ?= *
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
# For systems where tools/install-deps cannot work: SPOOR_SKIP_DEPS=1 make ...
DEPS = $(if $(SPOOR_SKIP_DEPS),true,tools/install-deps)
compile = cmake --preset $(1) -Wno-dev >/dev/null && cmake --build --preset $(1) -j $(JOBS)

.PHONY: help build debug demo check bench model corpus benchmark asan tsan coverage fuzz format format-check install clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

build: ## the optimised build: build/release/spoor
	@$(DEPS)
	@$(call compile,release)

debug: ## the build for a debugger: build/debug/spoor
	@$(DEPS)
	@$(call compile,debug)

demo: build ## trace the recordings in samples/ and write an HTML report
	@tools/demo build/release

check: ## build and run all tests (TEST='test_tape*': only those)
	@$(DEPS)
	@$(call compile,release)
	@tools/run-tests build/release '$(TEST)'

corpus: ## build the public corpus from packages in build/corpus (SMALL=1: a small one; CORPUS_FLAGS: see corpus/build --help)
	@$(if $(SPOOR_SKIP_DEPS),true,corpus/install-deps)
	@corpus/build $(if $(SMALL),--small) --jobs $(JOBS) $(CORPUS_FLAGS)

benchmark: build ## train and evaluate systems on the public corpus, tables into docs/benchmark.md (CORPUS, SEEDS="1 2", SCORES=NAME=FILE)
	@tools/benchmark build/release/spoor '$(or $(CORPUS),build/corpus)' --doc docs/benchmark.md --jobs $(JOBS) --seeds '$(or $(SEEDS),1)' \
		$(foreach s,$(SCORES),--scores '$(s)') $(BENCHMARK_FLAGS)

asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(DEPS)
	@$(call compile,asan)
	@tools/run-tests build/asan '$(TEST)'

tsan: ## all tests under ThreadSanitizer
	@$(DEPS)
	@$(call compile,tsan)
	@tools/run-tests build/tsan '$(TEST)'

coverage: ## all tests, then the line coverage of src/
	@$(DEPS)
	@$(call compile,coverage)
	@tools/coverage build/coverage '$(TEST)'

fuzz: ## every fuzz target for FUZZ_SECONDS (60)
	@$(DEPS) $(if $(SPOOR_SKIP_DEPS),,--develop)
	@$(call compile,fuzz)
	@tools/fuzz build/fuzz $(FUZZ_SECONDS)

bench: build ## speed and memory, against the peers that are installed
	@tools/bench build/release

model: build ## train the default model anew (needs the corpus and Whisper-tiny; minutes)
	@tools/model build/release

format: ## show where the sources leave .clang-format (changes nothing)
	@$(DEPS) $(if $(SPOOR_SKIP_DEPS),,--develop)
	@tools/format

install: ## install under DESTDIR and PREFIX (/usr/local)
	@$(DEPS)
	@$(call compile,release)
	@cmake --install build/release --prefix '$(PREFIX)'

clean: ## remove build/
	rm -rf build
