"""A small UEFI firmware that sees the CPU and guest memory through two small interfaces.

Supports: the system, boot and runtime tables of UEFI 2.10 with every slot; the memory map, page and pool
allocation; handles, protocols and who has them open; events, timers and task priorities on virtual time;
variables; configuration tables; loading, starting, leaving and unloading images; ExitBootServices of its own;
console output, the initrd's LoadFile2, random numbers from a seed, page permissions.

Does not support: driver binding (ConnectController), wake-up timers, capsules, authenticated writes of
variables. Their slots exist, answer EFI_UNSUPPORTED, and each call to one is recorded.
"""
