/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The native recorder: sees every memory access and every block of the emulated CPU and folds them while the emulation
 * goes on.
 *
 * The engine calls `recorder_on_access` and `recorder_on_block` on the thread that emulates; they call into Python
 * never. Accesses are folded between two service calls: `recorder_flush` turns what was counted into rows of the
 * tables `touched` and `coverage/blocks`, which Python fetches now and then. Besides, each access is a row of 16 bytes
 * in a ring of blocks which other threads take, to hash or to store them. When all blocks are full the emulation waits,
 * so memory stays bounded.
 */
#ifndef EFI_SHIM_RECORDER_H
#define EFI_SHIM_RECORDER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <stdint.h>

#define ROWS_PER_BLOCK (1u << 17)
#define BLOCKS 8
#define READERS 2
#define HOT_SLOTS 4096     /* a power of two */
#define MAX_ENTRIES 65536u /* likewise; an index has 16 bits */
#define GRANULE_BITS 16 /* maps are searched and cleared only where 64 KiB of memory have a bit at all */

#define ADDRESS_MASK UINT64_C(0xffffffffffffff)
#define FETCH (UINT64_C(1) << 62)   /* an entry's key: a block of code */
#define SERVICE (UINT64_C(1) << 61) /* an entry's key: accesses by a service */
#define WRITES (UINT64_C(1) << 63)
#define NONE UINT64_MAX

typedef struct {
    uint64_t address, key; /* key: pc | log2(size) << 56 | write << 63 */
} Row;

/* What is looked at in a region; the numbers are those of shim.trace.findings. */
enum flag {
    CHECK_WRITTEN = 1,   /* reads of bytes that nobody wrote */
    FREED = 2,           /* any access: it was given back */
    NOBODYS = 4,         /* any access: it never had an owner */
    BOOT_SERVICES = 8,   /* any access after ExitBootServices */
    CODE = 16,           /* writes */
    EXECUTABLE = 32,     /* all right to execute */
    FRESH = 64,          /* nobody has written it since it was given out */
};
enum finding { UNWRITTEN, TO_FREED, TO_NOBODYS, AFTER_EXIT, TO_CODE, EXECUTED_DATA, FINDINGS };

typedef struct {
    uint64_t start, end;
    uint32_t id, flags; /* id 0: memory that was freed */
    uint64_t bytes[2];  /* [write], by the CPU */
} Range;

enum { READ, WRITTEN, ANYBODY, MAPS };

/* What each access needs of an entry fills a line of the processor's cache; what else there is lies elsewhere. */
typedef struct {
    uint64_t key;         /* a Row's key, or an address or gate with FETCH or SERVICE */
    uint64_t start, span; /* of the region */
    uint64_t count, last_seq;
    uint32_t generation, flags;
    uint32_t region, size; /* size: of a block of code */
    uint32_t range;        /* index of the range + 1, 0: none */
    uint32_t next;         /* next in its bucket, 0 ends the chain */
} Entry;

typedef struct {
    uint64_t first_seq, bytes, findings;
} Rest;

typedef struct {
    uint64_t count, pc, address, call;
    uint32_t region;
} Noticed;

typedef struct {
    char *data;
    size_t size, room;
} Buffer;

/* The rows of tables, as their dtype has them. */
typedef struct __attribute__((packed)) {
    uint8_t origin;
    uint32_t region;
    uint64_t pc;
    uint8_t write, size;
    uint64_t count, bytes, first_seq, last_seq, first_call, last_call, findings;
} TouchedRow;
typedef struct __attribute__((packed)) {
    uint32_t region;
    uint8_t write;
    uint64_t start, end;
} BytesRow;
typedef struct __attribute__((packed)) {
    uint32_t region;
    uint64_t start;
    uint32_t size;
    uint64_t count, call;
} BlockRow;
enum { TOUCHED, BYTES, BLOCKS_TABLE, TABLES };

typedef int (*read_function)(void *, int, void *);
enum { HOOK_WRITE = 17 }; /* Unicorn's UC_MEM_WRITE; the only other kind that comes is UC_MEM_READ */

typedef struct {
    PyObject_HEAD
    /* the current moment */
    Row *at, *stop;
    uint64_t seq_offset; /* an access's number is this + its row's address / 16 */
    uint32_t generation, checks;
    Entry *entries; /* entry 0 is unused */
    uint32_t *owner; /* the regions of the current block's rows, where they are wanted */
    uint64_t top;
    /* A bit for each byte, about the time of its present owner; a byte for each granule that may have bits. */
    uint8_t *maps[MAPS], *granules[MAPS]; /* read by the CPU, written by the CPU, written by anybody */
    unsigned long long call;
    uint64_t totals[2][2]; /* [write][0: accesses, 1: bytes], up to the last flush */
    /* regions, ascending */
    Range *ranges;
    size_t range_count, range_room;
    /* what is being folded */
    Rest *rest;
    uint16_t *buckets;
    uint32_t entry_count;
    Noticed noticed[FINDINGS];
    Buffer out[TABLES];
    uint64_t map_bytes, granule_count;
    /* the ring */
    Row *rows[BLOCKS];
    uint32_t *owners[BLOCKS];
    uint32_t fill[BLOCKS];
    uint64_t produced, consumed[READERS]; /* blocks */
    int readers, closed, failed;
    unsigned long long read_register; /* address of Unicorn's uc_reg_read */
    int pc_register;                  /* Unicorn's number of the program counter */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint16_t hot[HOT_SLOTS], hot_blocks[HOT_SLOTS];
} Recorder;

/* From here on, what shim/trace/_fold.c does. */

/* The number of the next access. */
uint64_t recorder_seq(const Recorder *self);
/* Go on with the ring's next block; its first access has this number. */
void recorder_begin_block(Recorder *self, uint64_t seq);
/* Turn what was folded into rows, in the order of the first access, and begin anew. */
void recorder_flush(Recorder *self);
/* The CPU accessed memory; log2 of the size. */
void recorder_access(Recorder *self, uint64_t pc, uint64_t address, uint32_t log2, int write);
/* The firmware read or wrote memory for the guest. */
void recorder_service_access(Recorder *self, uint64_t gate, uint64_t address, uint64_t size, int write);
/* For the patched engine: called after each access that succeeded; see shim/engine/patch. */
void recorder_on_access(void *uc, int kind, uint64_t pc, uint64_t address, int size, void *data);
/* Released Unicorn's own memory hook, called before the access; the program counter has to be asked for. */
void recorder_on_hook(void *uc, int kind, uint64_t address, int size, int64_t value, void *data);
/* Called at each basic block that begins to execute. */
void recorder_on_block(void *uc, uint64_t address, uint32_t size, void *data);
/* A region is over: write the runs of bytes that were touched there as rows, and forget them. */
void recorder_bury(Recorder *self, const Range *range);
/* A region begins of which nobody has written anything. */
void recorder_freshen(Recorder *self, const Range *range);

#endif
