/*
 * A QEMU TCG plugin: marks each memory access in a map of two bits, read and written, per 8 bytes, and counts them.
 *
 *     cc -O2 -shared -fPIC -o accesses.so accesses.c
 *     qemu-system-x86_64 -plugin ./accesses.so,out=FILE ...
 *
 * FILE gets the count when QEMU ends in order. Addresses are virtual: the physical ones double the plugin's cost, and
 * firmware and stub are mapped one to one. Debian packages no qemu-plugin.h, so the few declarations needed are here,
 * of version 1 of the interface, which QEMU 7.2 has.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define EXPORT __attribute__((visibility("default")))
enum { NO_REGISTERS = 0, LOADS = 1, STORES = 2 };
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void translated(uint64_t id, struct qemu_plugin_tb *block);
typedef void accessed(unsigned cpu, uint32_t info, uint64_t address, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated *callback);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, accessed *callback, int flags, int kinds, void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*callback)(uint64_t id, void *data), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
unsigned qemu_plugin_mem_size_shift(uint32_t info);
bool qemu_plugin_mem_is_store(uint32_t info);

EXPORT int qemu_plugin_version = 1;

/* The map is for 64 GiB; the kernel's own addresses, far above, fold into them. */
#define SPAN (UINT64_C(64) << 30)
static uint8_t *map;
static uint64_t count;

static void mark(unsigned cpu, uint32_t info, uint64_t address, void *data) {
    (void)cpu, (void)data;
    unsigned bit = qemu_plugin_mem_is_store(info) ? 2 : 1;
    uint64_t unit = address % SPAN / 8;
    map[unit / 4] |= (uint8_t)(bit << unit % 4 * 2);
    if (address % 8) { /* may reach into the next unit; QEMU 7.2 tells wider accesses in pieces of 8 bytes */
        unit = (address + (1u << qemu_plugin_mem_size_shift(info)) - 1) % SPAN / 8;
        map[unit / 4] |= (uint8_t)(bit << unit % 4 * 2);
    }
    count++;
}

/* One callback for both kinds: QEMU 7.2 calls the wrong ones when loads and stores are registered apart. */
static void translate(uint64_t id, struct qemu_plugin_tb *block) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(block, i), mark, NO_REGISTERS, LOADS | STORES, NULL);
}

static void finish(uint64_t id, void *file) {
    (void)id;
    fprintf(file, "%llu\n", (unsigned long long)count);
    fclose(file);
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    (void)info;
    FILE *file = argc == 1 && !strncmp(argv[0], "out=", 4) ? fopen(argv[0] + 4, "w") : NULL;
    map = mmap(NULL, SPAN / 32, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!file || map == MAP_FAILED)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, finish, file);
    return 0;
}
