from collections.abc import Sequence

REASON_NONE: int
REASON_LIMIT: int
REASON_LEFT: int
REASON_ENTRY: int
REASON_CLOCK: int

class Monitor:
    blocks: int
    limit: int
    previous: int
    counter: int
    stop: int
    write: int
    time_ns: int
    read_ns: int
    tsc_offset: int
    tsc_reads: int
    tick_ns: int
    host_reads: int
    next: int
    next_data: int
    read: int
    read_memory: int
    cpsr: int
    r0: int
    lr: int
    pc: int
    rax: int
    rcx: int
    rdx: int
    reason: int
    @property
    def block_callback(self) -> int: ...
    @property
    def rdtsc_callback(self) -> int: ...
    @property
    def rdtscp_callback(self) -> int: ...
    @property
    def mrs_callback(self) -> int: ...
    @property
    def clock_callback(self) -> int: ...
    @property
    def counter_callback(self) -> int: ...
    @property
    def translation_callback(self) -> int: ...
    @property
    def state(self) -> int: ...
    @property
    def sys_callback(self) -> int: ...
    def take_maintained(self) -> list[tuple[int, int]]: ...
    def begin(self) -> None: ...
    def take_clocks(self) -> list[int]: ...
    def tell(self, registers: Sequence[int]) -> None: ...
    def arm(self, ranges: Sequence[int], entries: Sequence[int]) -> None: ...
