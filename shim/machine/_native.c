/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The callbacks that Unicorn makes often: one for each basic block, one for each read of a clock or of a register that
 * tells of the CPU.
 *
 * A Monitor counts blocks and stops the emulation before a block executes when a budget is used up or, once it is
 * armed, when control leaves the ranges it was told of or enters one of the entries. It never calls into Python:
 * whoever runs the emulation looks at `reason` when it has stopped.
 *
 * Nothing of Unicorn is linked; the two functions needed of it come as addresses.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdint.h>
#include <string.h>

#define MAX_RANGES 256
#define MAX_TOLD 32
#define MAX_CLOCKS 64
#define MAX_MAINTAINED 256
#define CSR_TIME 0xc01

enum reason { REASON_NONE, REASON_LIMIT, REASON_LEFT, REASON_ENTRY, REASON_CLOCK };

typedef struct uc_struct uc_engine;
typedef int (*stop_function)(uc_engine *);
typedef int (*write_function)(uc_engine *, int, const void *);
typedef int (*read_function)(uc_engine *, int, void *);
typedef int (*memory_function)(uc_engine *, uint64_t, void *, uint64_t);
typedef void (*block_function)(uc_engine *, uint64_t, uint32_t, void *);

/* Unicorn's uc_arm64_cp_reg: an AArch64 system register. */
typedef struct {
    uint32_t crn, crm, op0, op1, op2;
    uint64_t value;
} system_register;

/* Unicorn's uc_tb: a block that has been translated. */
typedef struct {
    uint64_t pc;
    uint16_t instructions, size;
} translated_block;

typedef struct {
    PyObject_HEAD
    unsigned long long blocks;     /* blocks that began to execute */
    unsigned long long limit;      /* stop before this many have */
    unsigned long long previous;   /* address of the last of them */
    unsigned long long stop;       /* address of Unicorn's uc_emu_stop */
    unsigned long long write;      /* address of Unicorn's uc_reg_write */
    unsigned long long time_ns;    /* virtual time */
    unsigned long long read_ns;    /* what one read of the time stamp counter takes */
    unsigned long long tsc_offset; /* the counter at virtual time 0, in nanoseconds */
    unsigned long long tsc_reads;
    unsigned long long tick_ns;    /* a tick of the timer that MRS and RDTIME read */
    unsigned long long host_reads; /* reads of registers that have what Unicorn takes from the host's clock */
    unsigned long long next, next_data; /* another block callback, for blocks that do begin, and what it wants */
    unsigned long long read;       /* address of Unicorn's uc_reg_read */
    unsigned long long read_memory; /* address of Unicorn's uc_mem_read; 0: blocks are not looked into */
    int rax, rcx, rdx;             /* Unicorn's numbers of these registers */
    int cpsr, r0, lr;              /* the same, of a 32-bit Arm CPU; R1 to R12 follow R0 */
    int reason;
    int armed;
    int begun;                     /* the emulation has been started, and no block has begun to execute */
    int range_count, entry_count;
    uint64_t ranges[MAX_RANGES][2];
    uint64_t entries[MAX_RANGES];
    int pc;                        /* Unicorn's number of the program counter, of an Arm CPU */
    int maintained_count;
    uint64_t maintained[MAX_MAINTAINED][2]; /* instructions that maintain caches, and how often they did */
    int clock_count, clocks_taken; /* instructions that read a counter; of how many the host was told */
    uint64_t clocks[MAX_CLOCKS];
    int told_count;
    uint64_t told[MAX_TOLD][2];    /* system registers, as MRS spells them, that have these values */
} Monitor;

/* The monitor of the machine that runs, for callbacks that are given no data. Unicorn runs one at a time. */
static Monitor *running;

static void stop(Monitor *self, uc_engine *uc, enum reason reason)
{
    self->reason = reason;
    ((stop_function)(uintptr_t)self->stop)(uc);
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

static void on_translation(uc_engine *uc, const translated_block *block, const translated_block *previous, void *data)
{
    (void)previous;
    look_into_block(data, uc, block->pc, block->size);
}

static void on_block(uc_engine *uc, uint64_t address, uint32_t size, void *data)
{
    Monitor *self = data;
    int i;

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

/* Returning 1 tells Unicorn that the instruction has been carried out. */
static int on_rdtsc(uc_engine *uc, void *data)
{
    read_tsc(data, uc);
    return 1;
}

static int on_rdtscp(uc_engine *uc, void *data)
{
    Monitor *self = data;
    uint64_t processor = 0;

    read_tsc(self, uc);
    ((write_function)(uintptr_t)self->write)(uc, self->rcx, &processor);
    return 1;
}

/* An AArch64 CPU reads a system register into a general one. */
static uint32_t on_mrs(uc_engine *uc, int target, const system_register *source, void *data)
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
 * CIVAC (DDI 0487, section C5.3). It is counted, and done: kernels do so line by line, and each would be an exception. */
static uint32_t on_sys(uc_engine *uc, int target, const system_register *operation, void *data)
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
static void on_clock(uc_engine *uc, uint64_t address, uint32_t size, void *data)
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
static int on_counter(void *cpu, int number, uint64_t *value)
{
    uint64_t now;

    (void)cpu;
    if (!running)
        return -1;
    now = read_counter(running);
    *value = number == CSR_TIME ? now / (running->tick_ns ? running->tick_ns : 1) : now;
    return 0;
}

static PyObject *address_of_block_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)on_block);
}

static PyObject *address_of_rdtsc_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)on_rdtsc);
}

static PyObject *address_of_rdtscp_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)on_rdtscp);
}

static PyObject *address_of_mrs_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)on_mrs);
}

static PyObject *address_of_sys_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)on_sys);
}

static PyObject *address_of_clock_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)on_clock);
}

static PyObject *address_of_counter_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)on_counter);
}

static PyObject *address_of_translation_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)on_translation);
}

static PyObject *address_of_state(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)self);
}

static int read_addresses(PyObject *source, uint64_t *into, Py_ssize_t most)
{
    Py_ssize_t count = PySequence_Size(source), i;

    if (count < 0)
        return -1;
    if (count > most) {
        PyErr_SetString(PyExc_ValueError, "too many numbers");
        return -1;
    }
    for (i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(source, i);
        if (!item)
            return -1;
        into[i] = PyLong_AsUnsignedLongLong(item);
        Py_DECREF(item);
        if (PyErr_Occurred())
            return -1;
    }
    return (int)count;
}

static PyObject *arm(PyObject *object, PyObject *arguments)
{
    Monitor *self = (Monitor *)object;
    PyObject *ranges, *entries;
    uint64_t new_ranges[MAX_RANGES][2], new_entries[MAX_RANGES];
    int range_values, entry_count;

    if (!PyArg_ParseTuple(arguments, "OO", &ranges, &entries))
        return NULL;
    range_values = read_addresses(ranges, &new_ranges[0][0], 2 * MAX_RANGES);
    if (range_values < 0)
        return NULL;
    if (range_values % 2) {
        PyErr_SetString(PyExc_ValueError, "a range has a start and an end");
        return NULL;
    }
    entry_count = read_addresses(entries, new_entries, MAX_RANGES);
    if (entry_count < 0)
        return NULL;
    memcpy(self->ranges, new_ranges, sizeof(self->ranges[0]) * (range_values / 2));
    memcpy(self->entries, new_entries, sizeof(self->entries[0]) * entry_count);
    self->range_count = range_values / 2;
    self->entry_count = entry_count;
    self->armed = 1;
    Py_RETURN_NONE;
}

static PyObject *tell(PyObject *object, PyObject *registers)
{
    Monitor *self = (Monitor *)object;
    uint64_t told[MAX_TOLD][2];
    int values = read_addresses(registers, &told[0][0], 2 * MAX_TOLD);

    if (values < 0)
        return NULL;
    if (values % 2) {
        PyErr_SetString(PyExc_ValueError, "a register has a number and a value");
        return NULL;
    }
    memcpy(self->told, told, sizeof(self->told[0]) * (values / 2));
    self->told_count = values / 2;
    Py_RETURN_NONE;
}

static PyObject *take_maintained(PyObject *object, PyObject *unused)
{
    Monitor *self = (Monitor *)object;
    PyObject *taken = PyList_New(0);
    int i;

    (void)unused;
    for (i = 0; taken && i < self->maintained_count; i++) {
        PyObject *item = Py_BuildValue("KK", (unsigned long long)self->maintained[i][0],
                                       (unsigned long long)self->maintained[i][1]);
        if (!item || PyList_Append(taken, item) < 0)
            Py_CLEAR(taken);
        Py_XDECREF(item);
    }
    self->maintained_count = 0;
    return taken;
}

static PyObject *take_clocks(PyObject *object, PyObject *unused)
{
    Monitor *self = (Monitor *)object;
    PyObject *found = PyList_New(0);

    (void)unused;
    while (found && self->clocks_taken < self->clock_count) {
        PyObject *address = PyLong_FromUnsignedLongLong(self->clocks[self->clocks_taken]);
        if (!address || PyList_Append(found, address) < 0) {
            Py_XDECREF(address);
            Py_CLEAR(found);
            break;
        }
        Py_DECREF(address);
        self->clocks_taken++;
    }
    return found;
}

static PyObject *begin(PyObject *self, PyObject *unused)
{
    PyObject *before = (PyObject *)running;

    (void)unused;
    Py_INCREF(self);
    running = (Monitor *)self;
    running->begun = 1;
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

static PyMemberDef members[] = {
    {"blocks", T_ULONGLONG, offsetof(Monitor, blocks), 0, "blocks that began to execute"},
    {"limit", T_ULONGLONG, offsetof(Monitor, limit), 0, "stop before this many have"},
    {"previous", T_ULONGLONG, offsetof(Monitor, previous), 0, "address of the last block that began to execute"},
    {"stop", T_ULONGLONG, offsetof(Monitor, stop), 0, "address of uc_emu_stop"},
    {"write", T_ULONGLONG, offsetof(Monitor, write), 0, "address of uc_reg_write"},
    {"time_ns", T_ULONGLONG, offsetof(Monitor, time_ns), 0, "virtual time in nanoseconds"},
    {"read_ns", T_ULONGLONG, offsetof(Monitor, read_ns), 0, "virtual time that a counter read takes"},
    {"tsc_offset", T_ULONGLONG, offsetof(Monitor, tsc_offset), 0, "the CPU's counter at virtual time 0, in nanoseconds"},
    {"tsc_reads", T_ULONGLONG, offsetof(Monitor, tsc_reads), 0, "reads of the CPU's counter"},
    {"tick_ns", T_ULONGLONG, offsetof(Monitor, tick_ns), 0, "nanoseconds that a tick of the CPU's timer takes"},
    {"host_reads", T_ULONGLONG, offsetof(Monitor, host_reads), 0, "reads of what Unicorn takes from the host's clock"},
    {"next", T_ULONGLONG, offsetof(Monitor, next), 0, "address of another block callback, 0: none"},
    {"next_data", T_ULONGLONG, offsetof(Monitor, next_data), 0, "what it wants as user data"},
    {"read", T_ULONGLONG, offsetof(Monitor, read), 0, "address of uc_reg_read"},
    {"read_memory", T_ULONGLONG, offsetof(Monitor, read_memory), 0, "address of uc_mem_read, 0: blocks aren't looked into"},
    {"pc", T_INT, offsetof(Monitor, pc), 0, "Unicorn's number of the program counter"},
    {"cpsr", T_INT, offsetof(Monitor, cpsr), 0, "Unicorn's number of CPSR"},
    {"r0", T_INT, offsetof(Monitor, r0), 0, "Unicorn's number of R0"},
    {"lr", T_INT, offsetof(Monitor, lr), 0, "Unicorn's number of LR"},
    {"rax", T_INT, offsetof(Monitor, rax), 0, "Unicorn's number of RAX"},
    {"rcx", T_INT, offsetof(Monitor, rcx), 0, "Unicorn's number of RCX"},
    {"rdx", T_INT, offsetof(Monitor, rdx), 0, "Unicorn's number of RDX"},
    {"reason", T_INT, offsetof(Monitor, reason), 0, "why the emulation was stopped"},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getters[] = {
    {"block_callback", address_of_block_callback, NULL, "address of the UC_HOOK_BLOCK callback", NULL},
    {"rdtsc_callback", address_of_rdtsc_callback, NULL, "address of the RDTSC callback", NULL},
    {"rdtscp_callback", address_of_rdtscp_callback, NULL, "address of the RDTSCP callback", NULL},
    {"mrs_callback", address_of_mrs_callback, NULL, "address of the MRS callback", NULL},
    {"sys_callback", address_of_sys_callback, NULL, "address of the SYS callback, for AArch64's user mode", NULL},
    {"clock_callback", address_of_clock_callback, NULL,
     "address of the UC_HOOK_CODE callback for one of the clocks", NULL},
    {"counter_callback", address_of_counter_callback, NULL, "address of the callback for RISC-V counters", NULL},
    {"translation_callback", address_of_translation_callback, NULL,
     "address of the UC_HOOK_EDGE_GENERATED callback, for 32-bit Arm", NULL},
    {"state", address_of_state, NULL, "what the callbacks want as user data", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"begin", begin, METH_NOARGS, "begin(): this monitor's machine is the one that runs now"},
    {"arm", arm, METH_VARARGS,
     "arm(ranges, entries): stop before a block outside all ranges (flat: start, end, ...) or at an entry"},
    {"take_maintained", take_maintained, METH_NOARGS,
     "take_maintained(): addresses of instructions that maintained caches in user mode, and how often since the last time"},
    {"take_clocks", take_clocks, METH_NOARGS,
     "take_clocks(): addresses of instructions of 32-bit Arm that read a counter, and were not told of before"},
    {"tell", tell, METH_O,
     "tell(registers): MRS of these gives these values (flat: number, value, ...; numbers of 16 bits, from op0 on)"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_members, members},
    {Py_tp_getset, getters},
    {Py_tp_methods, methods},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_doc, "Counts blocks, stops the emulation in time, and keeps virtual time."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "shim.machine._native.Monitor",
    .basicsize = sizeof(Monitor),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "shim.machine._native",
    .m_doc = "Native callbacks for Unicorn.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *made = PyModule_Create(&module);
    PyObject *type = made ? PyType_FromSpec(&spec) : NULL;

    if (!type || PyModule_AddObjectRef(made, "Monitor", type) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(made);
        return NULL;
    }
    Py_DECREF(type);
    if (PyModule_AddIntConstant(made, "REASON_NONE", REASON_NONE) < 0 ||
        PyModule_AddIntConstant(made, "REASON_LIMIT", REASON_LIMIT) < 0 ||
        PyModule_AddIntConstant(made, "REASON_LEFT", REASON_LEFT) < 0 ||
        PyModule_AddIntConstant(made, "REASON_ENTRY", REASON_ENTRY) < 0 ||
        PyModule_AddIntConstant(made, "REASON_CLOCK", REASON_CLOCK) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
