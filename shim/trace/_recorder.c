/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The native recorder as a Python type; see _recorder.h for what it does.
 */
#include "_recorder.h"

#include <structmember.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static PyObject *method_splice(PyObject *object, PyObject *arguments)
{
    Recorder *self = (Recorder *)object;
    Py_ssize_t first, last, bytes, i;
    const char *data;
    size_t count, tail;
    PyObject *counted;

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
    recorder_flush(self);
    counted = PyList_New(last - first);
    for (i = first; counted && i < last; i++) {
        Range *range = &self->ranges[i];
        PyObject *pair = Py_BuildValue("KK", (unsigned long long)range->bytes[0], (unsigned long long)range->bytes[1]);

        if (!pair || PyList_SetItem(counted, i - first, pair) < 0) {
            Py_CLEAR(counted);
            break;
        }
        recorder_bury(self, range);
    }
    if (!counted)
        return NULL;
    tail = self->range_count - (size_t)last;
    memmove(self->ranges + first + count, self->ranges + last, tail * sizeof(Range));
    memcpy(self->ranges + first, data, count * sizeof(Range));
    self->range_count = (size_t)first + count + tail;
    for (i = first; i < first + (Py_ssize_t)count; i++)
        if (self->ranges[i].flags & FRESH)
            recorder_freshen(self, &self->ranges[i]);
    return counted;
}

static PyObject *method_begin_call(PyObject *object, PyObject *argument)
{
    Recorder *self = (Recorder *)object;
    unsigned long long call = PyLong_AsUnsignedLongLong(argument);

    if (PyErr_Occurred())
        return NULL;
    recorder_flush(self);
    self->call = call;
    return PyLong_FromUnsignedLongLong(recorder_seq(self));
}

static PyObject *method_drain(PyObject *object, PyObject *argument)
{
    Recorder *self = (Recorder *)object;
    long table = PyLong_AsLong(argument);
    PyObject *bytes;

    if (table == -1 && PyErr_Occurred())
        return NULL;
    if (table < 0 || table >= TABLES) {
        PyErr_SetString(PyExc_ValueError, "no such table");
        return NULL;
    }
    bytes = PyBytes_FromStringAndSize(self->out[table].data, (Py_ssize_t)self->out[table].size);
    if (bytes)
        self->out[table].size = 0;
    return bytes;
}

static PyObject *method_flush(PyObject *object, PyObject *unused)
{
    (void)unused;
    recorder_flush((Recorder *)object);
    Py_RETURN_NONE;
}

static PyObject *method_exited(PyObject *object, PyObject *unused)
{
    (void)unused;
    ((Recorder *)object)->checks |= BOOT_SERVICES;
    Py_RETURN_NONE;
}

static PyObject *method_access(PyObject *object, PyObject *arguments)
{
    Recorder *self = (Recorder *)object;
    unsigned long long pc, address;
    unsigned int size, log2 = 0;
    int write;

    if (!PyArg_ParseTuple(arguments, "KKIp", &pc, &address, &size, &write))
        return NULL;
    while (1u << log2 < size && log2 < 3)
        log2++;
    if (1u << log2 != size) {
        PyErr_SetString(PyExc_ValueError, "an access has 1, 2, 4 or 8 bytes");
        return NULL;
    }
    /* It may have to wait for the threads that take the rows, which need the interpreter. */
    Py_BEGIN_ALLOW_THREADS
    recorder_access(self, pc, address, log2, write);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *method_block(PyObject *object, PyObject *arguments)
{
    unsigned long long address;
    unsigned int size;

    if (!PyArg_ParseTuple(arguments, "KI", &address, &size))
        return NULL;
    recorder_on_block(NULL, address, size, object);
    Py_RETURN_NONE;
}

static PyObject *method_service_access(PyObject *object, PyObject *arguments)
{
    Recorder *self = (Recorder *)object;
    unsigned long long gate, address, size;
    int write;

    if (!PyArg_ParseTuple(arguments, "KKKp", &gate, &address, &size, &write))
        return NULL;
    recorder_service_access(self, gate, address, size, write);
    Py_RETURN_NONE;
}

static int reader_number(Recorder *self, PyObject *argument)
{
    long reader = PyLong_AsLong(argument);

    if (!PyErr_Occurred() && (reader < 0 || reader >= self->readers))
        PyErr_SetString(PyExc_ValueError, "no such reader");
    return PyErr_Occurred() ? -1 : (int)reader;
}

/* Wait for a block of rows and give it and, where they are wanted, their regions; None when there will be no more. */
static PyObject *method_take(PyObject *object, PyObject *argument)
{
    Recorder *self = (Recorder *)object;
    int reader = reader_number(self, argument), there;
    unsigned index;
    PyObject *rows;

    if (reader < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&self->lock);
    while (self->produced == self->consumed[reader] && !self->closed)
        pthread_cond_wait(&self->changed, &self->lock);
    there = self->produced > self->consumed[reader];
    index = self->consumed[reader] % BLOCKS;
    pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS
    if (!there)
        Py_RETURN_NONE;
    rows = PyMemoryView_FromMemory((char *)self->rows[index], (Py_ssize_t)(self->fill[index] * sizeof(Row)), PyBUF_READ);
    if (!self->owners[index])
        return Py_BuildValue("NO", rows, Py_None);
    return Py_BuildValue("NN", rows,
                         PyMemoryView_FromMemory((char *)self->owners[index],
                                                 (Py_ssize_t)(self->fill[index] * sizeof(uint32_t)), PyBUF_READ));
}

static PyObject *method_give(PyObject *object, PyObject *argument)
{
    Recorder *self = (Recorder *)object;
    int reader = reader_number(self, argument);

    if (reader < 0)
        return NULL;
    pthread_mutex_lock(&self->lock);
    if (self->consumed[reader] < self->produced) {
        self->consumed[reader]++;
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
        unsigned index = self->produced % BLOCKS;
        self->closed = 1;
        self->fill[index] = (uint32_t)(self->at - self->rows[index]);
        if (self->fill[index])
            self->produced++;
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->lock);
    Py_RETURN_NONE;
}

static PyObject *get_count(PyObject *object, void *closure)
{
    Recorder *self = (Recorder *)object;

    (void)closure;
    return PyLong_FromUnsignedLongLong(recorder_seq(self));
}

static PyObject *get_pending(PyObject *object, void *closure)
{
    Recorder *self = (Recorder *)object;
    size_t size = 0;
    int i;

    (void)closure;
    for (i = 0; i < TABLES; i++)
        size += self->out[i].size;
    return PyLong_FromSize_t(size);
}

static PyObject *get_totals(PyObject *object, void *closure)
{
    Recorder *self = (Recorder *)object;

    (void)closure;
    return Py_BuildValue("KKKK", (unsigned long long)self->totals[0][0], (unsigned long long)self->totals[1][0],
                         (unsigned long long)self->totals[0][1], (unsigned long long)self->totals[1][1]);
}

static PyObject *get_noticed(PyObject *object, void *closure)
{
    Recorder *self = (Recorder *)object;
    PyObject *list = PyList_New(0);
    int i;

    (void)closure;
    for (i = 0; list && i < FINDINGS; i++) {
        Noticed *each = &self->noticed[i];
        PyObject *item = Py_BuildValue("KKKKI", (unsigned long long)each->count, (unsigned long long)each->pc,
                                       (unsigned long long)each->address, (unsigned long long)each->call, each->region);
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *get_kinds_noticed(PyObject *object, void *closure)
{
    Recorder *self = (Recorder *)object;
    long kinds = 0;
    int i;

    (void)closure;
    for (i = 0; i < FINDINGS; i++)
        kinds |= (long)!!self->noticed[i].count << i;
    return PyLong_FromLong(kinds);
}

static PyObject *get_access_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)recorder_on_access);
}

static PyObject *get_hook_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)recorder_on_hook);
}

static PyObject *get_block_callback(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)recorder_on_block);
}

static PyObject *get_state(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromUnsignedLongLong((uintptr_t)self);
}

static void *reserve(uint64_t size)
{
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    /* Looked into at each access: fewer, larger pages are found faster. Where the host has none, nothing is lost. */
    madvise(map, size, MADV_HUGEPAGE);
    return map;
}

static PyObject *recorder_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    unsigned long long top;
    int keep, i, missing = 0;
    Recorder *self;

    if (keywords || !PyArg_ParseTuple(arguments, "Kp", &top, &keep))
        return NULL;
    self = (Recorder *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (!self)
        return NULL;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    self->top = top;
    self->map_bytes = top / 8 + 16;
    self->granule_count = (top >> GRANULE_BITS) + 2;
    self->readers = keep ? 2 : 1;
    self->generation = 1;
    self->checks = CHECK_WRITTEN | FREED | NOBODYS | CODE;
    for (i = 0; i < MAPS; i++) {
        missing |= !(self->maps[i] = reserve(self->map_bytes));
        missing |= !(self->granules[i] = reserve(self->granule_count));
    }
    for (i = 0; i < BLOCKS; i++) {
        missing |= !(self->rows[i] = malloc(ROWS_PER_BLOCK * sizeof(Row)));
        missing |= keep && !(self->owners[i] = malloc(ROWS_PER_BLOCK * sizeof(uint32_t)));
    }
    missing |= !(self->entries = reserve(MAX_ENTRIES * sizeof(*self->entries)));
    missing |= !(self->rest = reserve(MAX_ENTRIES * sizeof(*self->rest)));
    missing |= !(self->buckets = reserve(MAX_ENTRIES * sizeof(*self->buckets)));
    self->entry_count = 1;
    if (missing) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    recorder_begin_block(self, 0);
    return (PyObject *)self;
}

static void recorder_dealloc(PyObject *object)
{
    Recorder *self = (Recorder *)object;
    PyTypeObject *type = Py_TYPE(object);
    int i;

    for (i = 0; i < MAPS; i++) {
        if (self->maps[i])
            munmap(self->maps[i], self->map_bytes);
        if (self->granules[i])
            munmap(self->granules[i], self->granule_count);
    }
    for (i = 0; i < BLOCKS; i++) {
        free(self->rows[i]);
        free(self->owners[i]);
    }
    for (i = 0; i < TABLES; i++)
        free(self->out[i].data);
    if (self->entries)
        munmap(self->entries, MAX_ENTRIES * sizeof(*self->entries));
    if (self->rest)
        munmap(self->rest, MAX_ENTRIES * sizeof(*self->rest));
    if (self->buckets)
        munmap(self->buckets, MAX_ENTRIES * sizeof(*self->buckets));
    free(self->ranges);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"failed", T_INT, offsetof(Recorder, failed), READONLY, "whether memory ran out, so that counts are missing"},
    {"read_register", T_ULONGLONG, offsetof(Recorder, read_register), 0, "address of uc_reg_read"},
    {"pc_register", T_INT, offsetof(Recorder, pc_register), 0, "Unicorn's number of the program counter"},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getters[] = {
    {"count", get_count, NULL, "accesses so far", NULL},
    {"pending", get_pending, NULL, "bytes of rows that can be drained", NULL},
    {"totals", get_totals, NULL, "reads, writes, bytes read, bytes written, up to the last flush", NULL},
    {"noticed", get_noticed, NULL, "for each kind of finding: how many; the first one's pc, address, call, region", NULL},
    {"kinds_noticed", get_kinds_noticed, NULL, "a bit for each kind of finding that there was", NULL},
    {"access_callback", get_access_callback, NULL, "address of the callback for the patched engine", NULL},
    {"hook_callback", get_hook_callback, NULL, "address of the UC_HOOK_MEM_READ|WRITE callback", NULL},
    {"block_callback", get_block_callback, NULL, "address of the UC_HOOK_BLOCK callback", NULL},
    {"state", get_state, NULL, "what the callbacks want as user data", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"splice", method_splice, METH_VARARGS,
     "splice(first, last, ranges): replace live regions; gives the bytes read and written in those that go"},
    {"begin_call", method_begin_call, METH_O, "begin_call(begun): another interval begins; gives the accesses so far"},
    {"flush", method_flush, METH_NOARGS, "make rows of what was folded"},
    {"drain", method_drain, METH_O, "drain(table): the rows that there are, packed"},
    {"exited", method_exited, METH_NOARGS, "boot services are gone"},
    {"access", method_access, METH_VARARGS, "access(pc, address, size, write): one access of the CPU"},
    {"block", method_block, METH_VARARGS, "block(address, size): the CPU executes a block"},
    {"service_access", method_service_access, METH_VARARGS, "service_access(gate, address, size, write): by a service"},
    {"take", method_take, METH_O, "take(reader): wait for rows; None when there will be no more"},
    {"give", method_give, METH_O, "give(reader): the rows that it took are no longer needed"},
    {"close", method_close, METH_NOARGS, "no more accesses will come"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, recorder_new},   {Py_tp_dealloc, recorder_dealloc}, {Py_tp_members, members},
    {Py_tp_getset, getters},     {Py_tp_methods, methods},
    {Py_tp_doc, "Recorder(top, keep): folds the accesses to memory below top; keep: gives rows with their regions."},
    {0, NULL},
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
