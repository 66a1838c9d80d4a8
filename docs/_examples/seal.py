"""A stage: it measures the state at the kernel's entry, and puts a mark into boot_params."""

from hashlib import sha256

from shim.stages.state import State

#: A byte of boot_params that nothing uses (Documentation/arch/x86/zero-page.rst).
PAD = 0x1F0


def seal(state: State) -> None:
    """Runs before the kernel's first instruction."""
    page = state.register("rsi")
    if state.read(page + 0x202, 4) != b"HdrS":
        state.stop("there are no boot_params")
    state.note(f"boot_params: {sha256(state.read(page, 4096)).hexdigest()}")
    state.write(page + PAD, b"\x01")
