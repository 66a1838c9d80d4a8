/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The callbacks that Unicorn makes often: one for each basic block, one for each read of a clock or of a register that
 * tells of the CPU.
 *
 * A Monitor counts blocks and stops the emulation before a block executes when a budget is used up or, once it is
 * armed, when control leaves the ranges it was told of or enters one of the entries. It never calls into Python:
 * whoever runs the emulation looks at `reason` when it has stopped.
 *
 * The patched engine counts blocks by itself, in the translated code: the monitor grants it as many as may begin before
 * the next one that has to be looked at, and is called for that one.
 *
 * Nothing of Unicorn is linked; the functions needed of it come as addresses.
 */
#ifndef EFI_SHIM_MONITOR_H
#define EFI_SHIM_MONITOR_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

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

/* What the patched engine's uc_efi_shim_blocks leads to. */
typedef struct {
    int64_t left;      /* blocks that may begin without a call; less than 0 during one */
    uint64_t previous; /* address of the last block that began to execute */
} block_counter;

typedef struct {
    PyObject_HEAD
    unsigned long long blocks;     /* blocks that began to execute, and those that are granted */
    unsigned long long limit;      /* stop before this many have */
    unsigned long long previous;   /* address of the last that began, where the engine doesn't note it */
    unsigned long long counter;    /* address of a block_counter; 0: the engine calls for each block */
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
extern Monitor *monitor_running;

/* From here on, what shim/machine/_callbacks.c does. */

/* Take back what was granted: the next block has to be looked at. */
void monitor_take_back(Monitor *self);
/* UC_HOOK_BLOCK: a basic block begins to execute. */
void monitor_on_block(uc_engine *uc, uint64_t address, uint32_t size, void *data);
/* UC_HOOK_EDGE_GENERATED, for 32-bit Arm: a block is translated. */
void monitor_on_translation(uc_engine *uc, const translated_block *block, const translated_block *previous, void *data);
/* UC_HOOK_CODE: before an instruction of 32-bit Arm that reads a counter. */
void monitor_on_clock(uc_engine *uc, uint64_t address, uint32_t size, void *data);
/* UC_HOOK_INSN, in place of the instruction; all but 0 tells Unicorn that it has been carried out. */
int monitor_on_rdtsc(uc_engine *uc, void *data);
int monitor_on_rdtscp(uc_engine *uc, void *data);
uint32_t monitor_on_mrs(uc_engine *uc, int target, const system_register *source, void *data);
uint32_t monitor_on_sys(uc_engine *uc, int target, const system_register *operation, void *data);
/* A function of Unicorn's table of RISC-V CSRs: one of the counters is read. */
int monitor_on_counter(void *cpu, int number, uint64_t *value);

#endif
