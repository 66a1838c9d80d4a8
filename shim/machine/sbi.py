"""What runs in M-mode below a RISC-V machine's firmware (RISC-V Supervisor Binary Interface, version 2.0).

It has the base extension and no other, and says so when it is probed: our firmware, which calls nothing, stands where
the others would be asked for. Registers of the machine read as zero, as QEMU's do. Each call is told of by its name,
whether there is an answer to it or not.
"""

from __future__ import annotations

from dataclasses import dataclass

SUCCESS, NOT_SUPPORTED = 0, -2
BASE = 0x10
#: Version 2.0 of the specification.
SPECIFICATION = 2 << 24

#: Functions of the base extension (chapter 4) that have a fixed answer: specification, implementation and its version,
#: mvendorid, marchid, mimpid. No registered number is ours, so the implementation has one of those that are free.
_ANSWERS = {0: SPECIFICATION, 1: 0x4546_4953, 2: 1, 4: 0, 5: 0, 6: 0}
_PROBE = 3

#: The extensions and their functions in the order of their numbers (chapters 4 to 16).
EXTENSIONS = {
    BASE: (
        "BASE",
        "get_spec_version get_impl_id get_impl_version probe_extension get_mvendorid get_marchid get_mimpid",
    ),
    0x5449_4D45: ("TIME", "set_timer"),
    0x73_5049: ("IPI", "send_ipi"),
    0x5246_4E43: (
        "RFENCE",
        (
            "remote_fence_i remote_sfence_vma remote_sfence_vma_asid remote_hfence_gvma_vmid remote_hfence_gvma "
            "remote_hfence_vvma_asid remote_hfence_vvma"
        ),
    ),
    0x48_534D: ("HSM", "hart_start hart_stop hart_get_status hart_suspend"),
    0x5352_5354: ("SRST", "system_reset"),
    0x50_4D55: (
        "PMU",
        (
            "num_counters counter_get_info counter_config_matching counter_start counter_stop counter_fw_read "
            "counter_fw_read_hi snapshot_set_shmem"
        ),
    ),
    0x4442_434E: ("DBCN", "console_write console_read console_write_byte"),
    0x5355_5350: ("SUSP", "system_suspend"),
    0x4350_5043: ("CPPC", "probe read read_hi write"),
    0x4E41_434C: ("NACL", "probe_feature set_shmem sync_csr sync_hfence sync_sret"),
    0x53_5441: ("STA", "steal_time_set_shmem"),
}
#: Those of version 0.1, where an extension is one function (chapter 5).
LEGACY = (
    "set_timer", "console_putchar", "console_getchar", "clear_ipi", "send_ipi", "remote_fence_i", "remote_sfence_vma",
    "remote_sfence_vma_asid", "shutdown",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """A call: the instruction that made it, a7 and a6, a0 to a5, and the answer in a0 and a1."""

    pc: int
    number: int
    function_number: int
    arguments: tuple[int, ...]
    error: int
    value: int

    @property
    def extension(self) -> str:
        """Its name, or its number where there is none of that."""
        if self.number < len(LEGACY):
            return "legacy"
        return EXTENSIONS[self.number][0] if self.number in EXTENSIONS else f"{self.number:#x}"

    @property
    def function(self) -> str:
        """Its name, or its number."""
        if self.number < len(LEGACY):
            return LEGACY[self.number]
        names = EXTENSIONS[self.number][1].split() if self.number in EXTENSIONS else []
        return names[self.function_number] if self.function_number < len(names) else f"{self.function_number:#x}"


def call(pc: int, extension: int, function: int, arguments: tuple[int, ...]) -> Call:
    """Answer a call; *arguments* are a0 to a5."""
    error, value = _answer(extension, function, arguments[0])
    return Call(pc, extension, function, arguments, error, value)


def _answer(extension: int, function: int, argument: int) -> tuple[int, int]:
    if extension != BASE:
        return NOT_SUPPORTED, 0
    if function == _PROBE:
        return SUCCESS, int(argument == BASE)
    if function in _ANSWERS:
        return SUCCESS, _ANSWERS[function]
    return NOT_SUPPORTED, 0
