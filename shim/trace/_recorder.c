/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The native recorder: sees every memory access of the emulated CPU and folds it while the emulation goes on.
 *
 * `on_access` is called by the engine for each access, on the thread that emulates; it calls into Python never. Rows
 * of 16 bytes go into a ring of blocks which another thread takes with `take` and gives back with `give`, to hash or
 * to store them. When all blocks are full the emulation waits, so memory stays bounded.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROWS_PER_BLOCK (1u << 17)
#define BLOCKS 8
#define HOT_SLOTS 8192 /* a power of two */

typedef struct {
    uint64_t address, key; /* key: pc | log2(size) << 56 | write << 63 */
} Row;

typedef struct {
    uint64_t start, end;
    uint32_t id, flags;
    uint32_t first, unused; /* its entries; 0 ends the chain */
} Range;

enum { READ, WRITTEN, ANYBODY, MAPS };
enum { CHECK_WRITTEN = 1 }; /* reads of bytes that nobody wrote are counted there */

typedef struct {
    uint64_t key;
    uint32_t region, next, sibling; /* next in its bucket, next of its region; 0 ends a chain */
    uint64_t start, end;   /* of the region, as long as the generation is the current one */
    uint64_t generation;
    uint64_t count, first_seq, last_seq, first_call, last_call;
    uint32_t flags;
} Entry;

typedef int (*read_function)(void *, int, void *);
enum { HOOK_WRITE = 17 }; /* Unicorn's UC_MEM_WRITE; the only other kind that comes is UC_MEM_READ */

typedef struct {
    PyObject_HEAD
    /* the current moment */
    unsigned long long seq, call;
    uint64_t generation;
    uint64_t totals[2][2]; /* [write][0: accesses, 1: bytes] */
    /* regions, ascending */
    Range *ranges;
    size_t range_count, range_room;
    /* folded accesses */
    Entry *entries; /* entry 0 is unused */
    uint32_t entry_count, entry_room, free_first, nobodys_first;
    uint32_t *buckets, bucket_count;
    uint32_t hot[HOT_SLOTS];
    /* A bit for each byte, about the time of its present owner. */
    uint8_t *maps[MAPS]; /* read by the CPU, written by the CPU, written by anybody */
    /* reads of bytes that nobody had written: how many, and the first of them */
    unsigned long long unwritten, unwritten_pc, unwritten_address, unwritten_call;
    uint32_t unwritten_region;
    uint64_t map_bytes, top;
    /* the ring */
    Row *rows[BLOCKS];
    uint32_t fill[BLOCKS];
    unsigned head, tail, full; /* the emulation fills head, the reader takes tail */
    Row *at, *stop;
    int closed, failed;
    unsigned long long read_register; /* address of Unicorn's uc_reg_read */
    int pc_register;                  /* Unicorn's number of the program counter */
    pthread_mutex_t lock;
    pthread_cond_t changed;
} Recorder;

/* --- the ring ---------------------------------------------------------------------------------------------------- */

static void next_block(Recorder *self)
{
    pthread_mutex_lock(&self->lock);
    self->fill[self->head] = (uint32_t)(self->at - self->rows[self->head]);
    self->head = (self->head + 1) % BLOCKS;
    self->full++;
    pthread_cond_broadcast(&self->changed);
    while (self->full == BLOCKS && !self->closed)
        pthread_cond_wait(&self->changed, &self->lock);
    pthread_mutex_unlock(&self->lock);
    self->at = self->rows[self->head];
    self->stop = self->at + ROWS_PER_BLOCK;
}

/* --- folding ----------------------------------------------------------------------------------------------------- */

static Range *range_at(const Recorder *self, uint64_t address)
{
    size_t low = 0, high = self->range_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (self->ranges[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low && address < self->ranges[low - 1].end ? &self->ranges[low - 1] : NULL;
}

static uint32_t hash(uint64_t key, uint32_t region)
{
    uint64_t mixed = (key ^ (uint64_t)region << 40) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(mixed >> 32);
}

static int grow_entries(Recorder *self)
{
    uint32_t room = self->entry_room ? self->entry_room * 2 : 4096, i;
    Entry *entries = realloc(self->entries, room * sizeof(*entries));
    uint32_t *buckets = calloc(room, sizeof(*buckets));

    if (entries)
        self->entries = entries;
    if (!entries || !buckets) {
        free(buckets);
        return -1;
    }
    free(self->buckets);
    self->buckets = buckets;
    self->bucket_count = self->entry_room = room;
    for (i = 1; i < self->entry_count; i++) {
        uint32_t bucket = hash(entries[i].key, entries[i].region) & (room - 1);
        entries[i].next = buckets[bucket];
        buckets[bucket] = i;
    }
    if (!self->entry_count) {
        memset(entries, 0, sizeof(*entries));
        self->entry_count = 1;
    }
    return 0;
}

/* The entry for this kind of access to whatever region holds the address now; 0 where memory has run out. */
static uint32_t find_entry(Recorder *self, uint64_t key, uint64_t address)
{
    Range *range = range_at(self, address);
    uint32_t region = range ? range->id : 0, index;
    Entry *entry;

    index = self->bucket_count ? self->buckets[hash(key, region) & (self->bucket_count - 1)] : 0;
    while (index && (self->entries[index].key != key || self->entries[index].region != region))
        index = self->entries[index].next;
    if (!index) {
        uint32_t *bucket, *family = range ? &range->first : &self->nobodys_first;
        if (self->free_first) {
            index = self->free_first;
            self->free_first = self->entries[index].next;
        } else {
            if (self->entry_count == self->entry_room && grow_entries(self) < 0)
                return 0;
            index = self->entry_count++;
        }
        bucket = &self->buckets[hash(key, region) & (self->bucket_count - 1)];
        entry = &self->entries[index];
        memset(entry, 0, sizeof(*entry));
        entry->key = key;
        entry->region = region;
        entry->first_seq = self->seq;
        entry->first_call = self->call;
        entry->next = *bucket;
        *bucket = index;
        entry->sibling = *family;
        *family = index;
    }
    entry = &self->entries[index];
    entry->generation = self->generation;
    /* Memory that nobody owns is looked up each time: it may begin and end anywhere. */
    entry->start = range ? range->start : address;
    entry->end = range ? range->end : address + 1;
    entry->flags = range ? range->flags : 0;
    return index;
}

/* Bits of a map that stand for size bytes at address; an access has at most 8 bytes, so two bytes of bits hold them. */
static inline uint16_t map_bits(uint64_t address, uint32_t size)
{
    return (uint16_t)(((1u << size) - 1) << (address & 7));
}

static inline void map_set(uint8_t *map, uint64_t address, uint16_t bits)
{
    uint16_t word;

    memcpy(&word, map + (address >> 3), 2);
    /* Most bytes are touched again and again: leave the cache line clean. */
    if ((word & bits) != bits) {
        word |= bits;
        memcpy(map + (address >> 3), &word, 2);
    }
}

static inline int map_all(const uint8_t *map, uint64_t address, uint16_t bits)
{
    uint16_t word;

    memcpy(&word, map + (address >> 3), 2);
    return (word & bits) == bits;
}

static inline void record(Recorder *self, uint64_t pc, uint64_t address, uint32_t size, uint32_t log2, int write)
{
    uint64_t key = pc | (uint64_t)log2 << 56 | (uint64_t)write << 63;
    uint32_t slot = (uint32_t)(pc ^ pc >> 13 ^ (uint64_t)write << 5) & (HOT_SLOTS - 1);
    Entry *entry = &self->entries[self->hot[slot]];

    self->at->address = address;
    self->at->key = key;
    if (++self->at == self->stop)
        next_block(self);
    if (entry->key != key || entry->generation != self->generation || address - entry->start >= entry->end - entry->start) {
        uint32_t index = find_entry(self, key, address);
        if (!index) {
            self->failed = 1;
            return;
        }
        self->hot[slot] = index;
        entry = &self->entries[index];
    }
    entry->count++;
    entry->last_seq = self->seq++;
    entry->last_call = self->call;
    self->totals[write][0]++;
    self->totals[write][1] += size;
    if (address < self->top) {
        uint16_t bits = map_bits(address, size);
        map_set(self->maps[write], address, bits);
        if (write)
            map_set(self->maps[ANYBODY], address, bits);
        else if (entry->flags & CHECK_WRITTEN && !map_all(self->maps[ANYBODY], address, bits) && !self->unwritten++) {
            self->unwritten_pc = pc;
            self->unwritten_address = address;
            self->unwritten_call = self->call;
            self->unwritten_region = entry->region;
        }
    }
}

static const uint8_t LOG2[65] = {[1] = 0, [2] = 1, [4] = 2, [8] = 3};

/* Called by the patched engine after each access that succeeded; see shim/engine/patch. */
static void on_access(void *uc, int kind, uint64_t pc, uint64_t address, int size, void *data)
{
    (void)uc;
    record(data, pc, address, (uint32_t)size, LOG2[size & 63], kind == HOOK_WRITE);
}

/* Called by released Unicorn's own memory hook, before the access; the program counter has to be asked for. */
static void on_hook(void *uc, int kind, uint64_t address, int size, int64_t value, void *data)
{
    Recorder *self = data;
    uint64_t pc = 0;

    (void)value;
    ((read_function)(uintptr_t)self->read_register)(uc, self->pc_register, &pc);
    record(self, pc, address, (uint32_t)size, LOG2[size & 63], kind == HOOK_WRITE);
}

/* --- for Python -------------------------------------------------------------------------------------------------- */

/* Takes all entries of a chain out of the table; what they counted goes to the list. */
static int bury(Recorder *self, uint32_t first, PyObject *list)
{
    while (first) {
        Entry *entry = &self->entries[first];
        uint32_t sibling = entry->sibling, *link = &self->buckets[hash(entry->key, entry->region) & (self->bucket_count - 1)];
        PyObject *row = Py_BuildValue(
            "IKOiKKKKKK", entry->region, (unsigned long long)(entry->key & UINT64_C(0xffffffffffffff)),
            entry->key >> 63 ? Py_True : Py_False, 1 << (entry->key >> 56 & 7), (unsigned long long)entry->count,
            (unsigned long long)(entry->count << (entry->key >> 56 & 7)), (unsigned long long)entry->first_seq,
            (unsigned long long)entry->last_seq, (unsigned long long)entry->first_call,
            (unsigned long long)entry->last_call);

        if (!row || PyList_Append(list, row) < 0) {
            Py_XDECREF(row);
            return -1;
        }
        Py_DECREF(row);
        while (*link != first)
            link = &self->entries[*link].next;
        *link = entry->next;
        entry->next = self->free_first;
        entry->key = 0;
        entry->generation = 0;
        self->free_first = first;
        first = sibling;
    }
    return 0;
}

static PyObject *method_splice(PyObject *object, PyObject *arguments)
{
    Recorder *self = (Recorder *)object;
    Py_ssize_t first, last, bytes, i;
    const char *data;
    size_t count, tail;
    PyObject *rows;

    if (!PyArg_ParseTuple(arguments, "nny#", &first, &last, &data, &bytes))
        return NULL;
    count = (size_t)bytes / sizeof(Range);
    if (first < 0 || last < first || (size_t)last > self->range_count || (size_t)bytes % sizeof(Range)) {
        PyErr_SetString(PyExc_ValueError, "no such ranges");
        return NULL;
    }
    if (self->range_count + count > self->range_room) {
        size_t room = 2 * (self->range_count + count);
        Range *ranges = realloc(self->ranges, room * sizeof(*ranges));
        if (!ranges)
            return PyErr_NoMemory();
        self->ranges = ranges;
        self->range_room = room;
    }
    rows = PyList_New(0);
    for (i = first; rows && i < last; i++)
        if (bury(self, self->ranges[i].first, rows) < 0)
            Py_CLEAR(rows);
    if (!rows)
        return NULL;
    tail = self->range_count - (size_t)last;
    memmove(self->ranges + first + count, self->ranges + last, tail * sizeof(Range));
    memcpy(self->ranges + first, data, count * sizeof(Range));
    self->range_count = (size_t)first + count + tail;
    self->generation++;
    return rows;
}

/* The rows of memory that nobody owned. */
static PyObject *method_nobodys(PyObject *object, PyObject *unused)
{
    Recorder *self = (Recorder *)object;
    PyObject *rows = PyList_New(0);

    (void)unused;
    if (rows && bury(self, self->nobodys_first, rows) < 0)
        Py_CLEAR(rows);
    self->nobodys_first = 0;
    self->generation++;
    return rows;
}

static PyObject *method_access(PyObject *object, PyObject *arguments)
{
    Recorder *self = (Recorder *)object;
    unsigned long long pc, address;
    unsigned int size;
    int write;

    if (!PyArg_ParseTuple(arguments, "KKIp", &pc, &address, &size, &write))
        return NULL;
    if (size != 1 && size != 2 && size != 4 && size != 8) {
        PyErr_SetString(PyExc_ValueError, "an access has 1, 2, 4 or 8 bytes");
        return NULL;
    }
    /* It may have to wait for the thread that takes the rows, which needs the interpreter. */
    Py_BEGIN_ALLOW_THREADS
    record(self, pc, address, size, LOG2[size], write);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* Sets or clears the bits of start..end in one map. */
static void map_range(uint8_t *map, uint64_t start, uint64_t end, int set)
{
    while (start < end && start & 7) {
        uint8_t bit = (uint8_t)(1u << (start & 7));
        map[start >> 3] = (uint8_t)(set ? map[start >> 3] | bit : map[start >> 3] & ~bit);
        start++;
    }
    while (start < end && end & 7) {
        uint8_t bit = (uint8_t)(1u << (--end & 7));
        map[end >> 3] = (uint8_t)(set ? map[end >> 3] | bit : map[end >> 3] & ~bit);
    }
    if (start < end)
        memset(map + (start >> 3), set ? 0xff : 0, (end - start) >> 3);
}

static PyObject *method_mark(PyObject *object, PyObject *arguments)
{
    Recorder *self = (Recorder *)object;
    unsigned long long start, end;
    int map, set;

    if (!PyArg_ParseTuple(arguments, "iKKp", &map, &start, &end, &set))
        return NULL;
    if (map < 0 || map >= MAPS) {
        PyErr_SetString(PyExc_ValueError, "no such map");
        return NULL;
    }
    if (end > self->top)
        end = self->top;
    map_range(self->maps[map], start, end, set);
    Py_RETURN_NONE;
}

static PyObject *method_covered(PyObject *object, PyObject *arguments)
{
    Recorder *self = (Recorder *)object;
    unsigned long long start, end;
    int map;

    if (!PyArg_ParseTuple(arguments, "iKK", &map, &start, &end))
        return NULL;
    if (map < 0 || map >= MAPS || end > self->top || start > end || start & 7) {
        PyErr_SetString(PyExc_ValueError, "give a map, and a range within memory from a multiple of 8");
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)self->maps[map] + (start >> 3), (Py_ssize_t)((end - start + 7) >> 3));
}

/* Wait for a block of rows and give it as a memoryview; None when there will be no more. */
static PyObject *method_take(PyObject *object, PyObject *unused)
{
    Recorder *self = (Recorder *)object;
    unsigned full;

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&self->lock);
    while (!self->full && !self->closed)
        pthread_cond_wait(&self->changed, &self->lock);
    full = self->full;
    pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS
    if (!full)
        Py_RETURN_NONE;
    return PyMemoryView_FromMemory((char *)self->rows[self->tail], (Py_ssize_t)(self->fill[self->tail] * sizeof(Row)),
                                   PyBUF_READ);
}

static PyObject *method_give(PyObject *object, PyObject *unused)
{
    Recorder *self = (Recorder *)object;

    (void)unused;
    pthread_mutex_lock(&self->lock);
    if (self->full) {
        self->tail = (self->tail + 1) % BLOCKS;
        self->full--;
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->lock);
    Py_RETURN_NONE;
}

/* Hand over the block that is not full yet, and let `take` end. */
static PyObject *method_close(PyObject *object, PyObject *unused)
{
    Recorder *self = (Recorder *)object;

    (void)unused;
    pthread_mutex_lock(&self->lock);
    if (!self->closed) {
        self->closed = 1;
        self->fill[self->head] = (uint32_t)(self->at - self->rows[self->head]);
        if (self->fill[self->head])
            self->full++;
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->lock);
    Py_RETURN_NONE;
}

static PyObject *get_totals(PyObject *object, void *closure)
{
    Recorder *self = (Recorder *)object;

    (void)closure;
    return Py_BuildValue("KKKK", (unsigned long long)self->totals[0][0], (unsigned long long)self->totals[1][0],
                         (unsigned long long)self->totals[0][1], (unsigned long long)self->totals[1][1]);
}

static PyObject *get_first_unwritten(PyObject *object, void *closure)
{
    Recorder *self = (Recorder *)object;

    (void)closure;
    return Py_BuildValue("KKIK", self->unwritten_pc, self->unwritten_address, self->unwritten_region, self->unwritten_call);
}

static PyObject *get_access_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)on_access);
}

static PyObject *get_hook_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)on_hook);
}

static PyObject *get_state(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)self);
}

static PyObject *recorder_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    unsigned long long top;
    Recorder *self;
    int i;

    if (keywords || !PyArg_ParseTuple(arguments, "K", &top))
        return NULL;
    self = (Recorder *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (!self)
        return NULL;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    self->top = top;
    self->map_bytes = top / 8 + 16;
    for (i = 0; i < MAPS; i++) {
        void *map = mmap(NULL, self->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        self->maps[i] = map == MAP_FAILED ? NULL : map;
    }
    for (i = 0; i < BLOCKS; i++)
        self->rows[i] = malloc(ROWS_PER_BLOCK * sizeof(Row));
    self->generation = 1;
    if (!self->maps[READ] || !self->maps[WRITTEN] || !self->maps[ANYBODY] || !self->rows[BLOCKS - 1] || grow_entries(self) < 0) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->at = self->rows[0];
    self->stop = self->at + ROWS_PER_BLOCK;
    return (PyObject *)self;
}

static void recorder_dealloc(PyObject *object)
{
    Recorder *self = (Recorder *)object;
    PyTypeObject *type = Py_TYPE(object);
    int i;

    for (i = 0; i < MAPS; i++)
        if (self->maps[i])
            munmap(self->maps[i], self->map_bytes);
    for (i = 0; i < BLOCKS; i++)
        free(self->rows[i]);
    free(self->ranges);
    free(self->entries);
    free(self->buckets);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"call", T_ULONGLONG, offsetof(Recorder, call), 0, "service calls that have begun"},
    {"count", T_ULONGLONG, offsetof(Recorder, seq), READONLY, "accesses so far"},
    {"unwritten", T_ULONGLONG, offsetof(Recorder, unwritten), READONLY, "reads of bytes that nobody had written"},
    {"failed", T_INT, offsetof(Recorder, failed), READONLY, "whether memory ran out, so that counts are missing"},
    {"read_register", T_ULONGLONG, offsetof(Recorder, read_register), 0, "address of uc_reg_read"},
    {"pc_register", T_INT, offsetof(Recorder, pc_register), 0, "Unicorn's number of the program counter"},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getters[] = {
    {"totals", get_totals, NULL, "reads, writes, bytes read, bytes written", NULL},
    {"first_unwritten", get_first_unwritten, NULL, "the first such read: pc, address, region, calls begun", NULL},
    {"access_callback", get_access_callback, NULL, "address of the callback for the patched engine", NULL},
    {"hook_callback", get_hook_callback, NULL, "address of the UC_HOOK_MEM_READ|WRITE callback", NULL},
    {"state", get_state, NULL, "what the callbacks want as user data", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"splice", method_splice, METH_VARARGS, "splice(first, last, ranges): replace live regions; gives the rows of those that go"},
    {"nobodys", method_nobodys, METH_NOARGS, "the rows of memory that nobody owned"},
    {"access", method_access, METH_VARARGS, "access(pc, address, size, write): one access of the CPU"},
    {"mark", method_mark, METH_VARARGS, "mark(map, start, end, value): set or clear the bits of a range"},
    {"covered", method_covered, METH_VARARGS, "covered(map, start, end): the bits of a range, lowest address first"},
    {"take", method_take, METH_NOARGS, "wait for rows; None when there will be no more"},
    {"give", method_give, METH_NOARGS, "the rows that were taken are no longer needed"},
    {"close", method_close, METH_NOARGS, "no more accesses will come"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, recorder_new},   {Py_tp_dealloc, recorder_dealloc}, {Py_tp_members, members},
    {Py_tp_getset, getters},     {Py_tp_methods, methods},
    {Py_tp_doc, "Recorder(top): folds the accesses to memory below the address top."}, {0, NULL},
};

static PyType_Spec spec = {
    .name = "shim.trace._recorder.Recorder",
    .basicsize = sizeof(Recorder),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "shim.trace._recorder",
    .m_doc = "The native recorder of memory accesses.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__recorder(void)
{
    PyObject *made = PyModule_Create(&module);
    PyObject *type = made ? PyType_FromSpec(&spec) : NULL;

    if (!type || PyModule_AddObjectRef(made, "Recorder", type) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(made);
        return NULL;
    }
    Py_DECREF(type);
    return made;
}
