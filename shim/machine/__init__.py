"""The emulated machine: RAM, page tables, the CPU's start state, virtual time, and the loop that runs it."""
