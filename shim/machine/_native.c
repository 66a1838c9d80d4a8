/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The monitor as Python sees it; what it does is in _callbacks.c.
 */
#include "_native.h"

#include <structmember.h>
#include <string.h>

static PyObject *address_of_callback(PyObject *self, void *closure)
{
    (void)self;
    return PyLong_FromUnsignedLongLong((uintptr_t)closure);
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

static PyObject *get_blocks(PyObject *object, void *unused)
{
    Monitor *self = (Monitor *)object;

    (void)unused;
    monitor_take_back(self);
    return PyLong_FromUnsignedLongLong(self->blocks);
}

static PyObject *get_limit(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(((Monitor *)object)->limit);
}

static PyObject *get_previous(PyObject *object, void *unused)
{
    Monitor *self = (Monitor *)object;
    block_counter *counter = (block_counter *)(uintptr_t)self->counter;

    (void)unused;
    return PyLong_FromUnsignedLongLong(counter ? counter->previous : self->previous);
}

static int set_number(PyObject *object, PyObject *value, void *offset)
{
    Monitor *self = (Monitor *)object;
    unsigned long long number;

    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "numbers can't be deleted");
        return -1;
    }
    number = PyLong_AsUnsignedLongLong(value);
    if (PyErr_Occurred())
        return -1;
    monitor_take_back(self);
    *(unsigned long long *)((char *)self + (uintptr_t)offset) = number;
    return 0;
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
    monitor_take_back(self);
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
    PyObject *before = (PyObject *)monitor_running;

    (void)unused;
    Py_INCREF(self);
    monitor_running = (Monitor *)self;
    monitor_running->begun = 1;
    monitor_take_back(monitor_running);
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

static PyMemberDef members[] = {
    {"counter", T_ULONGLONG, offsetof(Monitor, counter), 0, "address of the engine's count of blocks, 0: it has none"},
    {"stop", T_ULONGLONG, offsetof(Monitor, stop), 0, "address of uc_emu_stop"},
    {"write", T_ULONGLONG, offsetof(Monitor, write), 0, "address of uc_reg_write"},
    {"time_ns", T_ULONGLONG, offsetof(Monitor, time_ns), 0, "virtual time in nanoseconds"},
    {"read_ns", T_ULONGLONG, offsetof(Monitor, read_ns), 0, "virtual time that a counter read takes"},
    {"tsc_offset", T_ULONGLONG, offsetof(Monitor, tsc_offset), 0, "the CPU's counter at virtual time 0"},
    {"tsc_reads", T_ULONGLONG, offsetof(Monitor, tsc_reads), 0, "reads of the CPU's counter"},
    {"tick_ns", T_ULONGLONG, offsetof(Monitor, tick_ns), 0, "nanoseconds that a tick of the CPU's timer takes"},
    {"host_reads", T_ULONGLONG, offsetof(Monitor, host_reads), 0, "reads of what Unicorn takes from the host's clock"},
    {"next", T_ULONGLONG, offsetof(Monitor, next), 0, "address of another block callback, 0: none"},
    {"next_data", T_ULONGLONG, offsetof(Monitor, next_data), 0, "what it wants as user data"},
    {"read", T_ULONGLONG, offsetof(Monitor, read), 0, "address of uc_reg_read"},
    {"read_memory", T_ULONGLONG, offsetof(Monitor, read_memory), 0, "address of uc_mem_read; 0: no looks into blocks"},
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
    {"blocks", get_blocks, set_number, "blocks that began to execute", (void *)offsetof(Monitor, blocks)},
    {"limit", get_limit, set_number, "stop before this many have", (void *)offsetof(Monitor, limit)},
    {"previous", get_previous, set_number, "address of the last block that began to execute",
     (void *)offsetof(Monitor, previous)},
    {"block_callback", address_of_callback, NULL, "address of the UC_HOOK_BLOCK callback", (void *)monitor_on_block},
    {"rdtsc_callback", address_of_callback, NULL, "address of the RDTSC callback", (void *)monitor_on_rdtsc},
    {"rdtscp_callback", address_of_callback, NULL, "address of the RDTSCP callback", (void *)monitor_on_rdtscp},
    {"mrs_callback", address_of_callback, NULL, "address of the MRS callback", (void *)monitor_on_mrs},
    {"sys_callback", address_of_callback, NULL,
     "address of the SYS callback, for AArch64's user mode", (void *)monitor_on_sys},
    {"clock_callback", address_of_callback, NULL,
     "address of the UC_HOOK_CODE callback for one of the clocks", (void *)monitor_on_clock},
    {"counter_callback", address_of_callback, NULL,
     "address of the callback for RISC-V counters", (void *)monitor_on_counter},
    {"translation_callback", address_of_callback, NULL,
     "address of the UC_HOOK_EDGE_GENERATED callback, for 32-bit Arm", (void *)monitor_on_translation},
    {"state", address_of_state, NULL, "what the callbacks want as user data", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"begin", begin, METH_NOARGS, "begin(): this monitor's machine is the one that runs now"},
    {"arm", arm, METH_VARARGS,
     "arm(ranges, entries): stop before a block outside all ranges (flat: start, end, ...) or at an entry"},
    {"take_maintained", take_maintained, METH_NOARGS,
     "take_maintained(): addresses of instructions that maintained caches in user mode, and how often"},
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
