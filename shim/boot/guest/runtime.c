/*
 * The runtime services of a guest that goes on from a hand-off. They take the place of the gates in the page that the
 * firmware had them in, so that every pointer to a service stays what it is.
 *
 * It lies anywhere, has no data of its own that it writes, and no stack but the caller's. What it has to know is put
 * behind it by shim/boot/runtime.py.
 */
typedef unsigned char UINT8;
typedef unsigned short UINT16;
typedef unsigned int UINT32;
typedef unsigned long UINT64;
typedef UINT64 STATUS;

#define ERROR(n) (n | 1UL << 63)
#define SUCCESS 0
#define INVALID_PARAMETER ERROR(2)
#define UNSUPPORTED ERROR(3)
#define BUFFER_TOO_SMALL ERROR(5)
#define NOT_FOUND ERROR(14)

#ifdef __x86_64__
#define EFIAPI __attribute__((ms_abi))
#else
#define EFIAPI
#endif
#define SERVICE EFIAPI __attribute__((used))

typedef struct {
    UINT8 bytes[16];
} GUID;

typedef struct {
    UINT16 year;
    UINT8 month, day, hour, minute, second, pad1;
    UINT32 nanosecond;
    UINT16 time_zone;
    UINT8 daylight, pad2;
} TIME;

typedef struct {
    UINT32 resolution, accuracy;
    UINT8 sets_to_zero;
} CAPABILITIES;

typedef struct {
    UINT32 type, pad;
    UINT64 physical, virtual, pages, attribute;
} DESCRIPTOR;

/* A variable: its name with the zero at its end, then its data, then what is missing to a multiple of four bytes. */
typedef struct {
    UINT32 size, attributes;
    GUID vendor;
    UINT32 name_bytes, data_bytes;
    UINT16 name[];
} VARIABLE;

typedef struct {
    UINT64 signature;
    UINT32 revision, size, crc, reserved;
    UINT64 pointers[];
} TABLE;

/*
 * What shim/boot/runtime.py puts behind the code, in the same order. Variables follow; the last has size 0. The compiler
 * must not know what is there before.
 */
extern __attribute__((visibility("hidden"))) const struct {
    UINT64 system_table, runtime_table, first_service, start_seconds, ticks_per_second, level;
    UINT8 variables[];
} params;

/* Of the system table, in words behind its header: what is a pointer that outlives boot services. */
#define VENDOR 0
#define RUNTIME_SERVICES 8
#define CONFIGURATION_TABLE 11
#define SERVICES 14
#define RUNTIME_MEMORY (1UL << 63)
#define PAGE_SHIFT 12
#define UNSPECIFIED_TIMEZONE 0x7ff

/* Byte by byte: the compiler knows of no function that could do it instead. */
static void copy(volatile UINT8 *to, const volatile UINT8 *from, UINT64 size) {
    for (UINT64 i = 0; i < size; i++)
        to[i] = from[i];
}

static int same(const volatile UINT8 *one, const volatile UINT8 *two, UINT64 size) {
    for (UINT64 i = 0; i < size; i++)
        if (one[i] != two[i])
            return 0;
    return 1;
}

#ifdef __x86_64__
static void out8(UINT16 port, UINT8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static void out16(UINT16 port, UINT16 value) { __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
static void out32(UINT16 port, UINT32 value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
static UINT8 in8(UINT16 port) {
    UINT8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static UINT8 cmos(UINT8 number) {
    out8(0x70, number);
    return in8(0x71);
}
static UINT8 decimal(UINT8 value, UINT8 form) { return form & 4 ? value : (value >> 4) * 10 + (value & 15); }

/* The real-time clock (MC146818), read between two of its updates. */
static void now(TIME *time) {
    UINT8 form = cmos(11), second;
    do {
        while (cmos(10) & 0x80)
            ;
        second = cmos(0);
        time->second = decimal(second, form);
        time->minute = decimal(cmos(2), form);
        UINT8 hour = cmos(4), afternoon = !(form & 2) && hour & 0x80;
        time->hour = decimal(hour & 0x7f, form);
        if (!(form & 2))
            time->hour = time->hour % 12 + (afternoon ? 12 : 0);
        time->day = decimal(cmos(7), form);
        time->month = decimal(cmos(8), form);
        time->year = decimal(cmos(9), form) + decimal(cmos(50), form) * 100;
    } while (second != cmos(0));
    time->nanosecond = 0;
}

/* Of q35's ISA bridge: power management at ports 0x600, which nobody has asked for yet, and soft off. */
static void off(void) {
    out32(0xcf8, 0x8000f840);
    out32(0xcfc, 0x601);
    out32(0xcf8, 0x8000f844);
    out8(0xcfc, 0x80);
    out16(0x604, 0x2000);
}
static void restart(void) { out8(0xcf9, 6); }

#else

#ifdef __aarch64__
static UINT64 ticks(void) {
    UINT64 value;
    __asm__ volatile("isb\n mrs %0, cntvct_el0" : "=r"(value));
    return value;
}
/* PSCI (Arm DEN0022, section 5.1). */
static void psci(UINT64 function) {
    register UINT64 x0 __asm__("x0") = function;
    if (params.level == 1)
        __asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
    else
        __asm__ volatile("smc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
}
static void off(void) { psci(0x84000008); }
static void restart(void) { psci(0x84000009); }
#else
static UINT64 ticks(void) {
    UINT64 value;
    __asm__ volatile("rdtime %0" : "=r"(value));
    return value;
}
/* SBI 2.0, chapter 10. */
static void srst(UINT64 type) {
    register UINT64 a0 __asm__("a0") = type, a1 __asm__("a1") = 0, a6 __asm__("a6") = 0, a7 __asm__("a7") = 0x53525354;
    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a6), "r"(a7) : "memory");
}
static void off(void) { srst(0); }
static void restart(void) { srst(1); }
#endif

/* The CPU's counter, which begins with the machine, counted from when the platform's clock begins. */
static void now(TIME *time) {
    UINT64 count = ticks(), frequency = params.ticks_per_second;
    UINT64 total = params.start_seconds + count / frequency, second = total % 86400;
    /* Days since 1 March of year 0, in eras of 400 years. */
    UINT64 day = total / 86400 + 719468, era = day / 146097, rest = day % 146097;
    UINT64 year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
    UINT64 of_year = rest - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    time->day = of_year - (153 * month + 2) / 5 + 1;
    time->month = month < 10 ? month + 3 : month - 9;
    time->year = year + era * 400 + (time->month <= 2);
    time->hour = second / 3600;
    time->minute = second / 60 % 60;
    time->second = second % 60;
    time->nanosecond = count % frequency * 1000000000 / frequency;
}
#endif

SERVICE STATUS get_time(TIME *time, CAPABILITIES *capabilities) {
    if (!time)
        return INVALID_PARAMETER;
    now(time);
    time->time_zone = UNSPECIFIED_TIMEZONE;
    time->daylight = time->pad1 = time->pad2 = 0;
    if (capabilities) {
        capabilities->resolution = 1;
        capabilities->accuracy = 0;
        capabilities->sets_to_zero = 0;
    }
    return SUCCESS;
}

static UINT64 convert(UINT64 address, UINT64 size, UINT64 step, const UINT8 *map) {
    for (UINT64 at = 0; at + sizeof(DESCRIPTOR) <= size; at += step) {
        const DESCRIPTOR *each = (const DESCRIPTOR *)(map + at);
        if (each->attribute & RUNTIME_MEMORY && address - each->physical < each->pages << PAGE_SHIFT)
            return address - each->physical + each->virtual;
    }
    return address;
}

static void seal(TABLE *table) {
    UINT32 crc = ~0U;
    table->crc = 0;
    for (UINT32 i = 0; i < table->size; i++) {
        crc ^= ((volatile UINT8 *)table)[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    table->crc = ~crc;
}

/* Called once, while addresses are physical: nothing here has a pointer to convert but the tables. */
SERVICE STATUS set_virtual_address_map(UINT64 size, UINT64 step, UINT32 version, const UINT8 *map) {
    TABLE *runtime = (TABLE *)params.runtime_table, *system = (TABLE *)params.system_table;
    if (!runtime || runtime->pointers[0] != params.first_service)
        return UNSUPPORTED;
    if (version != 1 || step < sizeof(DESCRIPTOR) || !map)
        return INVALID_PARAMETER;
    for (int i = 0; i < SERVICES; i++)
        runtime->pointers[i] = convert(runtime->pointers[i], size, step, map);
    seal(runtime);
    system->pointers[VENDOR] = convert(system->pointers[VENDOR], size, step, map);
    system->pointers[RUNTIME_SERVICES] = convert(system->pointers[RUNTIME_SERVICES], size, step, map);
    system->pointers[CONFIGURATION_TABLE] = convert(system->pointers[CONFIGURATION_TABLE], size, step, map);
    seal(system);
    return SUCCESS;
}

static const VARIABLE *first(void) { return (const VARIABLE *)params.variables; }
static const VARIABLE *after(const VARIABLE *each) { return (const VARIABLE *)((const UINT8 *)each + each->size); }

static const VARIABLE *find(const UINT16 *name, const GUID *vendor) {
    UINT64 length = 0;
    while (name[length])
        length++;
    length = (length + 1) * 2;
    for (const VARIABLE *each = first(); each->size; each = after(each))
        if (each->name_bytes == length && same((const UINT8 *)each->name, (const UINT8 *)name, length)
            && same(each->vendor.bytes, vendor->bytes, sizeof *vendor))
            return each;
    return 0;
}

SERVICE STATUS get_variable(const UINT16 *name, const GUID *vendor, UINT32 *attributes, UINT64 *size, UINT8 *data) {
    if (!name || !vendor || !size)
        return INVALID_PARAMETER;
    const VARIABLE *found = find(name, vendor);
    if (!found)
        return NOT_FOUND;
    UINT64 room = *size;
    *size = found->data_bytes;
    if (attributes)
        *attributes = found->attributes;
    if (room < found->data_bytes)
        return BUFFER_TOO_SMALL;
    if (!data)
        return INVALID_PARAMETER;
    copy(data, (const UINT8 *)found->name + found->name_bytes, found->data_bytes);
    return SUCCESS;
}

SERVICE STATUS get_next_variable_name(UINT64 *size, UINT16 *name, GUID *vendor) {
    if (!size || !name || !vendor)
        return INVALID_PARAMETER;
    const VARIABLE *next = first();
    if (name[0]) {
        const VARIABLE *found = find(name, vendor);
        if (!found)
            return INVALID_PARAMETER;
        next = after(found);
    }
    if (!next->size)
        return NOT_FOUND;
    UINT64 room = *size;
    *size = next->name_bytes;
    if (room < next->name_bytes)
        return BUFFER_TOO_SMALL;
    copy((UINT8 *)name, (const UINT8 *)next->name, next->name_bytes);
    copy(vendor->bytes, next->vendor.bytes, sizeof *vendor);
    return SUCCESS;
}

SERVICE void reset_system(UINT32 type) {
    if (type == 2)
        off();
    else
        restart();
    for (;;)
        ;
}

SERVICE STATUS unsupported(void) { return UNSUPPORTED; }
