# Each target sets up what it needs: a virtual environment in the tree, with pinned dependencies.
# Python 3.11 or later with headers and venv, a C compiler and make have to be there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
KERNEL := debian:trixie/cloud-amd64
# What the installation is made of: when one of these is newer, it is made again.
INSTALL_FROM := pyproject.toml constraints.txt $(wildcard shim/*/*.[ch])

.PHONY: engine run test lint docs programs fuzz bench kernels zboot unprivileged foreign fidelity secure-boot conformance boot clean

# Builds the patched engine once, into the user's cache; everything works without it, exact traces slowly.
engine: $(STAMP)
	@$(BIN)/efi-shim engine build || echo "Going on with Unicorn as it was released." >&2

run: engine
	@$(BIN)/efi-shim fetch $(KERNEL) && exec $(BIN)/efi-shim run $(KERNEL); \
	code=$$?; \
	if [ $$code -eq 12 ]; then \
		echo "No kernel could be fetched; running the project's own small EFI program instead." >&2; \
		exec $(BIN)/efi-shim run program:hello; \
	fi; \
	exit $$code

test: $(DEV_STAMP) engine
	$(BIN)/python -m pytest -n auto

lint: $(DEV_STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV_STAMP)
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

# Builds the test programs, and what runs in a guest that is gone on with, again, and compares them with the committed
# ones; needs clang and lld.
programs: $(DEV_STAMP)
	$(BIN)/python -m payloads.programs.build --check
	$(BIN)/python -m shim.boot.guest.build --check

# Looks for inputs that a reader does not stand: SECONDS_EACH for each target, or FUZZ="TARGET…".
SECONDS_EACH ?= 60
fuzz: $(DEV_STAMP)
	$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS_EACH) $(FUZZ)

# Compares boots with those of real firmware in QEMU, and writes docs/fidelity-*.md; needs qemu-system-x86, ovmf,
# qemu-system-arm, qemu-efi-aarch64, swtpm and tpm2-tools. Eight boots and sixteen runs take ten minutes or so.
fidelity: $(DEV_STAMP) engine
	$(BIN)/python tests/fidelity/fidelity.py

# Runs the self-test on our firmware and on EDK II in QEMU, and writes docs/conformance-*.csv; needs qemu-system-x86,
# ovmf, ovmf-ia32, qemu-system-arm, qemu-efi-aarch64, qemu-efi-arm and swtpm. Four boots take two minutes or so.
conformance: $(DEV_STAMP) engine
	PYTHONPATH=tests/fidelity $(BIN)/python tests/conformance/conformance.py

# Loads signed, unsigned and revoked images with Secure Boot on, here and on OVMF, and writes docs/secure-boot-ovmf.md; needs
# qemu-system-x86, ovmf, swtpm and sbsigntool.
secure-boot: $(DEV_STAMP) engine
	$(BIN)/python tests/fidelity/secure_boot.py

# Boots kernels from their hand-offs in QEMU, and writes docs/booted.csv; needs qemu-system-x86, qemu-system-arm,
# qemu-system-misc, opensbi and swtpm. Fourteen boots take ten minutes or so.
boot: $(DEV_STAMP) engine
	PYTHONPATH=tests/fidelity $(BIN)/python tests/booting/booting.py

# Times the tool, also beside QEMU with OVMF or AAVMF, and writes docs/speed.csv; needs qemu-system-x86 and ovmf, qemu-system-arm and qemu-efi-aarch64.
bench: $(STAMP)
	$(BIN)/python tests/bench/against_qemu.py --write
	$(BIN)/python tests/bench/commands.py --write
	$(BIN)/python tests/bench/directory.py --write
	$(BIN)/python tests/bench/dispatch.py --write
	$(BIN)/python tests/bench/booting.py --write
	$(BIN)/python tests/bench/levels.py --write
	$(BIN)/python tests/bench/measurement.py --write

# Runs EFI programs that others made, and writes docs/foreign.csv; takes a quarter of an hour, most of it two tests of memory.
foreign: engine
	$(BIN)/python tests/survey/foreign.py

# Runs kernels with and without privileges, and writes docs/unprivileged.csv; takes two minutes.
unprivileged: engine
	$(BIN)/python tests/survey/unprivileged.py

# Runs every kernel that the archive carries, and writes docs/kernels.csv: hours, of which it goes on where it stopped.
kernels: engine
	$(BIN)/python tests/survey/kernels.py

# Builds zboot images with Linux's own unpacker, runs them, and writes docs/zboot.csv; needs flex, bison, bc, libssl-dev,
# libelf-dev, bsdextrautils, lzop, lz4, zstd, clang, lld and llvm 15 or later, qemu-system-arm and qemu-system-misc.
zboot: engine
	PYTHONPATH=tests/fidelity:tests/booting $(BIN)/python tests/survey/zboot.py

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "efi-shim needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(BIN)/python $(INSTALL_FROM)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(DEV_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .fuzz build *.egg-info docs/_build docs/_generated .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find shim -name '*.so' -delete
