/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the monitor does when Unicorn calls; see _native.h.
 */
#include "_native.h"

Monitor *monitor_running;

static void stop(Monitor *self, uc_engine *uc, enum reason reason)
{
    self->reason = reason;
    ((stop_function)(uintptr_t)self->stop)(uc);
}

void monitor_take_back(Monitor *self)
{
    block_counter *counter = (block_counter *)(uintptr_t)self->counter;

    if (!counter)
        return;
    if (counter->left > 0)
        self->blocks -= counter->left;
    counter->left = 0;
}

/* Let as many blocks begin as are left, if nothing has to be known of them. */
static void grant(Monitor *self)
{
    block_counter *counter = (block_counter *)(uintptr_t)self->counter;

    if (self->armed || self->next || self->limit > INT64_MAX)
        return;
    counter->left = self->limit - self->blocks;
    self->blocks = self->limit;
}

enum clock { NO_CLOCK, COUNTER, CYCLES, OTHER_CLOCK };

/* Whether an instruction of 32-bit Arm reads a counter, or what depends on one: the generic timer or the performance
 * monitors (DDI 0406, sections B8.1 and C12.8). In T32 it is spelt as in A32, with the condition 1110. */
static enum clock clock_of(uint32_t instruction)
{
    uint32_t crn = instruction >> 16 & 15, crm = instruction & 15;

    if ((instruction & 0x0ff00f00) == 0x0c500f00) /* MRRC p15: CNTPCT, CNTVCT */
        return crm == 14 && (instruction >> 4 & 15) < 2 ? COUNTER : NO_CLOCK;
    if ((instruction & 0x0f100f10) == 0x0e100f10) { /* MRC p15 */
        if ((instruction & 0x00ef00ef) == 0x0009000d) /* PMCCNTR */
            return CYCLES;
        return (crn == 14 && (crm == 2 || crm == 3)) || (crn == 9 && crm >= 12) ? OTHER_CLOCK : NO_CLOCK;
    }
    return NO_CLOCK;
}

/* Note an instruction that is to be answered; gives whether there is room for it. */
static int note_clock(Monitor *self, uint64_t address)
{
    int i;

    for (i = 0; i < self->clock_count; i++)
        if (self->clocks[i] == address)
            return 1;
    if (self->clock_count == MAX_CLOCKS)
        return 0;
    self->clocks[self->clock_count++] = address;
    monitor_take_back(self);
    return 1;
}

/* Unicorn answers these reads with the host's clock. The counters are answered by a hook for the one instruction, which
 * the host sets up when it is told of it; all others are counted, once for each block that has one. */
static void look_into_block(Monitor *self, uc_engine *uc, uint64_t address, uint32_t size)
{
    uint8_t bytes[4096];
    uint32_t cpsr = 0, at, step, others = 0, conditional = 0;
    enum clock kind;

    if (size > sizeof(bytes) || ((memory_function)(uintptr_t)self->read_memory)(uc, address, bytes, size))
        return;
    ((read_function)(uintptr_t)self->read)(uc, self->cpsr, &cpsr);
    step = cpsr & 0x20 ? 2 : 4;
    for (at = 0; at + 4 <= size; at += step) {
        uint32_t low = bytes[at] | bytes[at + 1] << 8, high = bytes[at + 2] | bytes[at + 3] << 8;
        /* Halves below 0xe800 are instructions by themselves; IT makes up to four that follow conditional. */
        if (step == 2 && low < 0xe800) {
            conditional -= conditional > 0;
            if ((low & 0xff00) == 0xbf00 && low & 15)
                conditional = low & 1 ? 4 : low & 2 ? 3 : low & 4 ? 2 : 1;
            continue;
        }
        kind = clock_of(step == 2 ? low << 16 | high : high << 16 | low);
        /* Of what IT's state is while an instruction is executed, nobody tells. */
        if (kind == OTHER_CLOCK || (kind != NO_CLOCK && (conditional || !note_clock(self, address + at))))
            others = 1;
        if (step == 2) {
            conditional -= conditional > 0;
            at += 2;
        }
    }
    self->host_reads += others;
}

void monitor_on_translation(uc_engine *uc, const translated_block *block, const translated_block *previous, void *data)
{
    (void)previous;
    look_into_block(data, uc, block->pc, block->size);
}

void monitor_on_block(uc_engine *uc, uint64_t address, uint32_t size, void *data)
{
    Monitor *self = data;
    int i;

    monitor_take_back(self);
    if (self->blocks >= self->limit) {
        stop(self, uc, REASON_LIMIT);
        return;
    }
    /* Of the first block after each start Unicorn doesn't tell that it is translated. */
    if (self->begun && self->read_memory)
        look_into_block(self, uc, address, size);
    self->begun = 0;
    if (self->clock_count > self->clocks_taken) {
        stop(self, uc, REASON_CLOCK);
        return;
    }
    if (self->armed) {
        for (i = 0; i < self->entry_count; i++)
            if (address == self->entries[i]) {
                stop(self, uc, REASON_ENTRY);
                return;
            }
        for (i = 0; i < self->range_count; i++)
            if (address >= self->ranges[i][0] && address < self->ranges[i][1])
                break;
        if (i == self->range_count) {
            stop(self, uc, REASON_LEFT);
            return;
        }
    }
    self->blocks++;
    if (self->counter)
        grant(self);
    else
        self->previous = address;
    if (self->next)
        ((block_function)(uintptr_t)self->next)(uc, address, size, (void *)(uintptr_t)self->next_data);
}

static uint64_t read_counter(Monitor *self)
{
    /* As Clock.advance has it: time ends, but does not turn over. */
    self->time_ns = self->time_ns > UINT64_MAX - self->read_ns ? UINT64_MAX : self->time_ns + self->read_ns;
    self->tsc_reads++;
    return self->time_ns + self->tsc_offset;
}

static void read_tsc(Monitor *self, uc_engine *uc)
{
    write_function write = (write_function)(uintptr_t)self->write;
    uint64_t value = read_counter(self), low, high;

    low = value & 0xffffffff;
    high = value >> 32;
    write(uc, self->rax, &low);
    write(uc, self->rdx, &high);
}

int monitor_on_rdtsc(uc_engine *uc, void *data)
{
    read_tsc(data, uc);
    return 1;
}

int monitor_on_rdtscp(uc_engine *uc, void *data)
{
    Monitor *self = data;
    uint64_t processor = 0;

    read_tsc(self, uc);
    ((write_function)(uintptr_t)self->write)(uc, self->rcx, &processor);
    return 1;
}

/* An AArch64 CPU reads a system register into a general one. */
uint32_t monitor_on_mrs(uc_engine *uc, int target, const system_register *source, void *data)
{
    Monitor *self = data;
    uint64_t value, number;
    int i;

    if (source->op0 != 3)
        return 0;
    number = source->op0 << 14 | source->op1 << 11 | source->crn << 7 | source->crm << 3 | source->op2;
    for (i = 0; i < self->told_count; i++)
        if (self->told[i][0] == number) {
            ((write_function)(uintptr_t)self->write)(uc, target, &self->told[i][1]);
            return 1;
        }
    /* CNTPCT_EL0 and CNTVCT_EL0 */
    if (source->op1 == 3 && source->crn == 14 && source->crm == 0 && (source->op2 == 1 || source->op2 == 2)) {
        value = read_counter(self) / (self->tick_ns ? self->tick_ns : 1);
        ((write_function)(uintptr_t)self->write)(uc, target, &value);
        return 1;
    }
    /* PMCCNTR_EL0: cycles are nanoseconds. */
    if (source->op1 == 3 && source->crn == 9 && source->crm == 13 && source->op2 == 0) {
        value = read_counter(self);
        ((write_function)(uintptr_t)self->write)(uc, target, &value);
        return 1;
    }
    /* The timers, and the other counters of the performance monitors. */
    if ((source->crn == 14 && source->crm >= 2) || (source->crn == 9 && source->crm >= 12))
        self->host_reads++;
    return 0;
}

/* An AArch64 CPU in user mode maintains a cache, of which there is none, by an address: IC IVAU, DC CVAC, DC CVAU, DC
 * CIVAC (DDI 0487, section C5.3). It is counted, and done: kernels do so line by line, and each would be a trap. */
uint32_t monitor_on_sys(uc_engine *uc, int target, const system_register *operation, void *data)
{
    Monitor *self = data;
    uint64_t pc = 0;
    int i;

    (void)target;
    if (operation->op0 != 1 || operation->op1 != 3 || operation->crn != 7 || operation->op2 != 1 ||
        (operation->crm != 5 && operation->crm != 10 && operation->crm != 11 && operation->crm != 14))
        return 0;
    ((read_function)(uintptr_t)self->read)(uc, self->pc, &pc);
    for (i = 0; i < self->maintained_count; i++)
        if (self->maintained[i][0] == pc)
            break;
    if (i == MAX_MAINTAINED)
        return 0;
    if (i == self->maintained_count) {
        self->maintained[i][0] = pc;
        self->maintained[i][1] = 0;
        self->maintained_count++;
    }
    self->maintained[i][1]++;
    return 1;
}

/* Whether an instruction with this condition is executed (DDI 0406, section A8.3.1). */
static int holds(uint32_t condition, uint32_t cpsr)
{
    uint32_t n = cpsr >> 31, z = cpsr >> 30 & 1, c = cpsr >> 29 & 1, v = cpsr >> 28 & 1, held;

    switch (condition >> 1) {
    case 0: held = z; break;
    case 1: held = c; break;
    case 2: held = n; break;
    case 3: held = v; break;
    case 4: held = c && !z; break;
    case 5: held = n == v; break;
    case 6: held = n == v && !z; break;
    default: return 1;
    }
    return (condition & 1) != held;
}

/* Before an instruction of 32-bit Arm that reads a counter: do what it does, and let the CPU go on behind it. */
void monitor_on_clock(uc_engine *uc, uint64_t address, uint32_t size, void *data)
{
    Monitor *self = data;
    write_function write = (write_function)(uintptr_t)self->write;
    uint8_t bytes[4];
    uint32_t cpsr = 0, instruction, low, high, first, second, value, next;
    uint64_t counter;
    enum clock kind;

    (void)size;
    if (((memory_function)(uintptr_t)self->read_memory)(uc, address, bytes, sizeof(bytes)))
        return;
    ((read_function)(uintptr_t)self->read)(uc, self->cpsr, &cpsr);
    low = bytes[0] | bytes[1] << 8;
    high = bytes[2] | bytes[3] << 8;
    instruction = cpsr & 0x20 ? low << 16 | high : high << 16 | low;
    kind = clock_of(instruction);
    if (kind != COUNTER && kind != CYCLES)
        return; /* something else is there by now */
    first = instruction >> 12 & 15;
    second = kind == COUNTER ? instruction >> 16 & 15 : 0;
    /* Into the stack pointer or the flags: nobody does that. */
    if (first == 13 || first == 15 || second == 13 || second == 15) {
        self->host_reads++;
        return;
    }
    if (!holds(instruction >> 28, cpsr))
        return;
    counter = read_counter(self);
    if (kind == COUNTER)
        counter /= self->tick_ns ? self->tick_ns : 1;
    value = (uint32_t)counter;
    write(uc, first == 14 ? self->lr : self->r0 + (int)first, &value);
    if (kind == COUNTER) {
        value = (uint32_t)(counter >> 32);
        write(uc, second == 14 ? self->lr : self->r0 + (int)second, &value);
    }
    next = (uint32_t)address + 4 + (cpsr & 0x20 ? 1 : 0);
    write(uc, self->pc, &next);
}

/* A RISC-V CPU reads one of its counters. Its time counts ticks; cycles and instructions count nanoseconds. */
int monitor_on_counter(void *cpu, int number, uint64_t *value)
{
    uint64_t now;

    (void)cpu;
    if (!monitor_running)
        return -1;
    now = read_counter(monitor_running);
    *value = number == CSR_TIME ? now / (monitor_running->tick_ns ? monitor_running->tick_ns : 1) : now;
    return 0;
}
