# SPDX-License-Identifier: Apache-2.0
# A facade: meson builds, debian/control lists what is needed, tests/run.py runs the tiers.  `make help` says what there is.
BUILD ?= build
PYTHON := /usr/bin/python3
export ISTHMUS_BUILD := $(abspath $(BUILD))
MAKEFLAGS += --no-print-directory

.PHONY: all help deps demo bench test test-asan test-kernel test-deb deb lint fuzz coverage soak mutate install clean

all: deps
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) . >/dev/null
	@ninja -C $(BUILD) --quiet

help:
	@printf '%s\n' \
	'make            install missing build dependencies (root), build into $(BUILD)/' \
	'make demo       two clouds in network namespaces, joined, shown, measured, taken down (root); KEEP=1 leaves them up' \
	'make bench      Isthmus beside what else there is, on this machine (root); CASE= WIRE= METRIC= RUNS= SECONDS= narrow it' \
	'make test       every test (root); TIER="unit lab" runs some; the last line counts them' \
	'make test-asan  the same with everything built under ASan and UBSan; any report fails it, also that of a killed daemon' \
	'make test-kernel  unit tests of the programs and a short lab run on the kernel of Debian 12, in QEMU; TESTS="bpf_wire tests/lab/test_x.py"' \
	'make deb        Debian packages isthmusd and isthmus, in $(BUILD)/deb; make test-deb installs, upgrades and removes them' \
	'make lint       warnings as errors (gcc, clang), clang-tidy, cppcheck, scan-build, mandoc and more; STEP="tidy scan"' \
	'make fuzz       libFuzzer targets, TIME=30 seconds each' \
	'make coverage   how much of every decoder the corpora of the fuzzers run: at least 90 % of its lines' \
	'make soak       long runs: CASE="churn stop120", TIME=3600 seconds each (root)' \
	'make mutate     plant bugs one at a time and see the suite catch them (root); MUTANT="name ..."' \
	'make install    DESTDIR= and meson options as usual' \
	'make clean      remove $(BUILD)/ and what a killed test left behind'

deps:
	@tools/deps

demo: all
	@$(PYTHON) -m lab.demo

bench: all
	@$(PYTHON) tests/bench/run.py

test: all
	@$(PYTHON) tests/run.py $(TIER)

test-asan: deps
	@test -f $(BUILD)-asan/build.ninja || meson setup $(BUILD)-asan . -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 >/dev/null
	@ninja -C $(BUILD)-asan --quiet
	@ISTHMUS_BUILD=$(abspath $(BUILD)-asan) $(PYTHON) tests/run.py --sanitized $(TIER)

test-kernel: all
	@$(PYTHON) tests/kernel/guest.py $(TESTS)

deb: deps
	@tools/deb $(BUILD)/deb

test-deb: all
	@$(PYTHON) tests/run.py deb

lint: deps
	@tools/lint $(STEP)

fuzz: deps
	@tools/fuzz $(or $(TIME),30)

coverage: deps
	@tools/fuzz coverage

soak: all
	@$(PYTHON) tests/soak/run.py --time $(or $(TIME),3600) $(CASE)

mutate: deps
	@$(PYTHON) tests/mutate/run.py $(MUTANT)

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	@$(PYTHON) -m lab clean
	@rm -rf $(BUILD)
