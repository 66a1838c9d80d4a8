"""The emulated machine: RAM, page tables, the CPU's start state, virtual time, and the loop that runs it."""

# Before any module here imports unicorn: the engine chooses which library that loads.
import shim.engine  # noqa: F401
