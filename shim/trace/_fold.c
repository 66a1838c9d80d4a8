/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the native recorder does for each access and each block; see _recorder.h.
 */
#include "_recorder.h"

#include <stdlib.h>
#include <string.h>

/* --- the ring ---------------------------------------------------------------------------------------------------- */

static inline uint64_t seq_of(const Recorder *self, const Row *row)
{
    return self->seq_offset + ((uintptr_t)row >> 4);
}

static uint64_t slowest(const Recorder *self)
{
    uint64_t least = self->produced;
    int i;

    for (i = 0; i < self->readers; i++)
        if (self->consumed[i] < least)
            least = self->consumed[i];
    return least;
}

uint64_t recorder_seq(const Recorder *self)
{
    return seq_of(self, self->at);
}

void recorder_begin_block(Recorder *self, uint64_t seq)
{
    unsigned index = self->produced % BLOCKS;

    self->at = self->rows[index];
    self->stop = self->at + ROWS_PER_BLOCK;
    self->owner = self->owners[index];
    self->seq_offset = seq - ((uintptr_t)self->at >> 4);
}

static __attribute__((noinline)) void next_block(Recorder *self)
{
    uint64_t seq = seq_of(self, self->at);

    pthread_mutex_lock(&self->lock);
    self->fill[self->produced % BLOCKS] = ROWS_PER_BLOCK;
    self->produced++;
    pthread_cond_broadcast(&self->changed);
    while (self->produced - slowest(self) == BLOCKS && !self->closed)
        pthread_cond_wait(&self->changed, &self->lock);
    pthread_mutex_unlock(&self->lock);
    recorder_begin_block(self, seq);
}

/* --- folding ----------------------------------------------------------------------------------------------------- */

static void *append(Recorder *self, int table, size_t size)
{
    Buffer *out = &self->out[table];

    if (out->room - out->size < size) {
        size_t room = out->room ? out->room * 2 : 1 << 16;
        char *data = realloc(out->data, room);
        if (!data) {
            self->failed = 1;
            return NULL;
        }
        out->data = data;
        out->room = room;
    }
    out->size += size;
    return out->data + out->size - size;
}

/* Index of the first range that ends behind the address. */
static size_t range_from(const Recorder *self, uint64_t address)
{
    size_t low = 0, high = self->range_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (self->ranges[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t hash(uint64_t key, uint32_t region, uint32_t size)
{
    uint64_t mixed = (key ^ (uint64_t)region << 40 ^ (uint64_t)size << 20) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(mixed >> 48); /* a bucket: there are 65536 */
}

void recorder_flush(Recorder *self)
{
    uint32_t i;

    for (i = 1; i < self->entry_count; i++) {
        Entry *entry = &self->entries[i];
        Rest *rest = &self->rest[i];
        int write = entry->key >> 63, log2 = entry->key >> 56 & 7;

        self->buckets[hash(entry->key, entry->region, entry->size)] = 0;
        if (entry->key & FETCH) {
            BlockRow *row = append(self, BLOCKS_TABLE, sizeof(*row));
            if (row)
                *row = (BlockRow){entry->region, entry->key & ADDRESS_MASK, entry->size, entry->count, self->call};
        } else {
            TouchedRow *row = append(self, TOUCHED, sizeof(*row));
            int service = !!(entry->key & SERVICE);
            if (!service) {
                rest->bytes = entry->count << log2;
                self->totals[write][0] += entry->count;
                self->totals[write][1] += rest->bytes;
                if (entry->range)
                    self->ranges[entry->range - 1].bytes[write] += rest->bytes;
            }
            if (row)
                *row = (TouchedRow){(uint8_t)service, entry->region, entry->key & ADDRESS_MASK, (uint8_t)write,
                                    (uint8_t)(service ? 0 : 1 << log2), entry->count, rest->bytes,
                                    service ? NONE : rest->first_seq, service ? NONE : entry->last_seq,
                                    self->call, self->call, rest->findings};
        }
    }
    self->entry_count = 1;
    self->generation++;
}

/* The entry of this key for whatever region holds the address now. */
static __attribute__((noinline)) Entry *find_entry(Recorder *self, uint64_t key, uint32_t size, uint64_t address)
{
    size_t at = range_from(self, address);
    Range *range = at < self->range_count && self->ranges[at].start <= address ? &self->ranges[at] : NULL;
    uint32_t region = range ? range->id : 0, index;
    uint16_t *bucket;
    Entry *entry;

    index = self->buckets[hash(key, region, size)];
    while (index && (entry = &self->entries[index], entry->key != key || entry->region != region || entry->size != size))
        index = entry->next;
    if (!index) {
        if (self->entry_count == MAX_ENTRIES)
            recorder_flush(self);
        index = self->entry_count++;
        bucket = &self->buckets[hash(key, region, size)];
        self->entries[index] = (Entry){.key = key, .region = region, .size = size, .next = *bucket};
        self->rest[index] = (Rest){.first_seq = seq_of(self, self->at)};
        *bucket = (uint16_t)index;
    }
    entry = &self->entries[index];
    entry->generation = self->generation;
    /* Memory that nobody owns is looked up each time: it may begin and end anywhere. */
    entry->start = range ? range->start : address;
    entry->span = range ? range->end - range->start : 1;
    entry->flags = range ? range->flags : NOBODYS;
    entry->range = range ? (uint32_t)at + 1 : 0;
    return entry;
}

static void notice(Recorder *self, enum finding kind, Entry *entry, uint64_t pc, uint64_t address)
{
    if (!self->noticed[kind].count++)
        self->noticed[kind] = (Noticed){1, pc, address, self->call, entry->region};
    self->rest[entry - self->entries].findings++;
}

/* Bits of a map that stand for size bytes at address; an access has at most 8 bytes, so two bytes of bits hold them. */
static inline uint16_t map_bits(uint64_t address, uint32_t size)
{
    return (uint16_t)((0xffu >> (8 - size)) << (address & 7));
}

static inline int map_all(const Recorder *self, int map, uint64_t address, uint16_t bits)
{
    uint16_t word;

    memcpy(&word, self->maps[map] + (address >> 3), 2);
    return (word & bits) == bits;
}

static __attribute__((noinline)) void map_set(Recorder *self, int map, uint64_t address, uint16_t bits)
{
    uint16_t word;

    memcpy(&word, self->maps[map] + (address >> 3), 2);
    word |= bits;
    memcpy(self->maps[map] + (address >> 3), &word, 2);
    self->granules[map][address >> GRANULE_BITS] = 1;
    self->granules[map][(address + 7) >> GRANULE_BITS] = 1;
}

static __attribute__((noinline)) void inspect(Recorder *self, Entry *entry, uint64_t address, uint32_t size, int write)
{
    uint64_t pc = entry->key & ADDRESS_MASK;
    uint32_t suspect = entry->flags & self->checks;

    if (suspect & CHECK_WRITTEN && !write && address < self->top &&
        !map_all(self, ANYBODY, address, map_bits(address, size)))
        notice(self, UNWRITTEN, entry, pc, address);
    if (suspect & FREED)
        notice(self, TO_FREED, entry, pc, address);
    if (suspect & NOBODYS)
        notice(self, TO_NOBODYS, entry, pc, address);
    if (suspect & BOOT_SERVICES)
        notice(self, AFTER_EXIT, entry, pc, address);
    if (suspect & CODE && write)
        notice(self, TO_CODE, entry, pc, address);
}

static inline void count_access(Recorder *self, Entry *entry, uint64_t address, uint64_t key)
{
    Row *row = self->at;

    row->address = address;
    row->key = key;
    entry->count++;
    entry->last_seq = seq_of(self, row);
    if (self->owner)
        self->owner[ROWS_PER_BLOCK - (self->stop - row)] = entry->region;
    self->at = row + 1;
}

/* An access whose entry is found: a look at what is remarkable, bits in the maps, another block of rows. */
static __attribute__((noinline)) void record_touch(Recorder *self, Entry *entry, uint64_t address, uint64_t key)
{
    int write = key >> 63;
    uint32_t size = 1u << (key >> 56 & 7);
    uint16_t bits = map_bits(address, size);

    inspect(self, entry, address, size, write);
    if (address < self->top) {
        map_set(self, write, address, bits);
        if (write)
            map_set(self, ANYBODY, address, bits);
    }
    count_access(self, entry, address, key);
    if (self->at == self->stop)
        next_block(self);
}

static __attribute__((noinline)) void record_new(Recorder *self, uint64_t address, uint64_t key, uint32_t slot)
{
    Entry *entry = find_entry(self, key, 0, address);

    self->hot[slot] = (uint16_t)(entry - self->entries);
    record_touch(self, entry, address, key);
}

/* Nearly all accesses are like one before: by the same instruction, to the same region, and to bytes touched before. */
static inline __attribute__((always_inline)) void record(Recorder *self, uint64_t pc, uint64_t address, uint32_t size,
                                                         int write)
{
    uint64_t key = (pc & ADDRESS_MASK) | (uint64_t)__builtin_ctz(size) << 56 | (uint64_t)write << 63;
    uint32_t slot = (uint32_t)(pc ^ pc >> 12 ^ (uint64_t)write << 5) & (HOT_SLOTS - 1);
    Entry *entry = &self->entries[self->hot[slot]];
    uint16_t bits = map_bits(address, size);
    uint32_t suspect = entry->flags & self->checks;

    if (entry->key != key || entry->generation != self->generation || address - entry->start >= entry->span)
        record_new(self, address, key, slot);
    else if (suspect & ~(uint32_t)CHECK_WRITTEN || !map_all(self, write, address, bits) ||
             (!write && suspect && !map_all(self, ANYBODY, address, bits)) || self->at + 1 == self->stop)
        record_touch(self, entry, address, key);
    else
        count_access(self, entry, address, key);
}

void recorder_access(Recorder *self, uint64_t pc, uint64_t address, uint32_t log2, int write)
{
    record(self, pc, address, 1u << log2, write);
}

void recorder_on_access(void *uc, int kind, uint64_t pc, uint64_t address, int size, void *data)
{
    (void)uc;
    if (kind == HOOK_WRITE)
        record(data, pc, address, (uint32_t)size, 1);
    else
        record(data, pc, address, (uint32_t)size, 0);
}

void recorder_on_hook(void *uc, int kind, uint64_t address, int size, int64_t value, void *data)
{
    Recorder *self = data;
    uint64_t pc = 0;

    (void)value;
    ((read_function)(uintptr_t)self->read_register)(uc, self->pc_register, &pc);
    record(self, pc, address, (uint32_t)size, kind == HOOK_WRITE);
}

void recorder_on_block(void *uc, uint64_t address, uint32_t size, void *data)
{
    Recorder *self = data;
    uint64_t key = (address & ADDRESS_MASK) | FETCH;
    uint32_t slot = (uint32_t)(address ^ address >> 12) & (HOT_SLOTS - 1);
    Entry *entry = &self->entries[self->hot_blocks[slot]];

    (void)uc;
    if (entry->key != key || entry->generation != self->generation || entry->size != size) {
        entry = find_entry(self, key, size, address);
        self->hot_blocks[slot] = (uint16_t)(entry - self->entries);
    }
    entry->count++;
    if (!(entry->flags & EXECUTABLE))
        notice(self, EXECUTED_DATA, entry, address, address);
}

/* --- the maps ---------------------------------------------------------------------------------------------------- */

/* Sets or clears the bits of start..end. */
static void map_fill(uint8_t *map, uint64_t start, uint64_t end, int set)
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

static uint64_t least(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* The next piece of *at..end within one granule that may have bits; 0 where there is none. */
static int next_piece(const Recorder *self, int map, uint64_t *at, uint64_t end, uint64_t *stop)
{
    while (*at < end) {
        uint64_t granule = *at >> GRANULE_BITS;
        const uint8_t *marked = self->granules[map] + granule;

        if (*marked) {
            *stop = least((granule + 1) << GRANULE_BITS, end);
            return 1;
        }
        marked = memchr(marked, 1, ((end - 1) >> GRANULE_BITS) - granule + 1);
        if (!marked)
            return 0;
        *at = (uint64_t)(marked - self->granules[map]) << GRANULE_BITS;
    }
    return 0;
}

static void map_clear(Recorder *self, int map, uint64_t start, uint64_t end)
{
    uint64_t stop;

    end = least(end, self->top);
    for (; next_piece(self, map, &start, end, &stop); start = stop) {
        map_fill(self->maps[map], start, stop, 0);
        if (!((start | stop) & ((1u << GRANULE_BITS) - 1)))
            self->granules[map][start >> GRANULE_BITS] = 0;
    }
}

static void map_mark(Recorder *self, int map, uint64_t start, uint64_t end)
{
    end = least(end, self->top);
    if (start >= end)
        return;
    map_fill(self->maps[map], start, end, 1);
    memset(self->granules[map] + (start >> GRANULE_BITS), 1, ((end - 1) >> GRANULE_BITS) - (start >> GRANULE_BITS) + 1);
}

/* Write the runs of bytes that were touched in a region as rows. */
static void emit_runs(Recorder *self, const Range *range, int map)
{
    uint64_t at = range->start, end = least(range->end, self->top), stop, begun = 0;
    const uint8_t *bits = self->maps[map];
    int inside = 0;
    BytesRow *row;

    while (next_piece(self, map, &at, end, &stop)) {
        while (at < stop) {
            uint8_t byte = bits[at >> 3];
            if (!(at & 7) && stop - at >= 8 && byte == (inside ? 0xff : 0)) {
                at += 8;
                continue;
            }
            if ((byte >> (at & 7) & 1) != inside) {
                if (inside && (row = append(self, BYTES, sizeof(*row))))
                    *row = (BytesRow){range->id, map == WRITTEN, begun, at};
                begun = at;
                inside = !inside;
            }
            at++;
        }
        /* Granules without bits are left out, so a run ends before them. */
        if (inside && (stop == end || !self->granules[map][stop >> GRANULE_BITS])) {
            if ((row = append(self, BYTES, sizeof(*row))))
                *row = (BytesRow){range->id, map == WRITTEN, begun, stop};
            inside = 0;
        }
    }
}

void recorder_bury(Recorder *self, const Range *range)
{
    int map;

    for (map = READ; map <= WRITTEN; map++) {
        if (range->id)
            emit_runs(self, range, map);
        map_clear(self, map, range->start, range->end);
    }
}

void recorder_freshen(Recorder *self, const Range *range)
{
    int map;

    for (map = 0; map < MAPS; map++)
        map_clear(self, map, range->start, range->end);
}

void recorder_service_access(Recorder *self, uint64_t gate, uint64_t address, uint64_t size, int write)
{
    uint64_t end = address + size;

    if (write)
        map_mark(self, ANYBODY, address, end);
    while (address < end) {
        size_t at = range_from(self, address);
        const Range *range = at < self->range_count ? &self->ranges[at] : NULL;
        uint64_t stop = range ? least(end, range->start > address ? range->start : range->end) : end;
        Entry *entry = find_entry(self, (gate & ADDRESS_MASK) | SERVICE | (write ? WRITES : 0), 0, address);

        entry->count++;
        self->rest[entry - self->entries].bytes += stop - address;
        address = stop;
    }
}
