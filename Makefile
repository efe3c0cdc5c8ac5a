# The targets that people type; Meson does the work. `make` builds what is installed into build/; `make demo` and `make check`
# first install what is missing from Debian's packages. Every target is safe to repeat.

BUILD ?= build
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
FUZZ_SECONDS ?= 10
SOAK_ROUNDS ?= 5
SOAK_CYCLES ?= 200
export BUILD JOBS FUZZ_SECONDS SOAK_ROUNDS SOAK_CYCLES

.PHONY: all setup setup-check demo check install bench differential fuzz mutants soak fmt clean

all:
	@tools/build

setup:
	@tools/setup

# What only the tests need, too.
setup-check:
	@tools/setup check

demo: setup
	@tools/demo

check: setup-check
	@tools/setup-interop
	@tools/check

install: all
	@meson install -C $(BUILD) --no-rebuild

bench: setup-check
	@tools/build
	@tools/bench

# Expressions with a new seed each time, ours beside GitHub's own evaluator.
differential: all
	@tools/setup-interop
	@tools/differential

fuzz: setup-check
	@tools/fuzz

mutants: setup-check
	@tools/mutants

# What takes long: the abuse suite at its full size, this repository's own workflow, a Rust project, the unit tests again and again under the sanitizers,
# and what `make differential` does. About two hours where processors are emulated; `tools/soak PART` does one part.
soak: setup-check
	@tools/soak

fmt:
	@git ls-files 'src/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]' | xargs clang-format -i

clean:
	@rm -rf $(BUILD) build-asan build-clang build-fuzz build-mutants
