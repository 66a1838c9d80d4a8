/*
 * What the programs share: the tables' short names, printing by the line, and checks that count.
 *
 * Every program is one translation unit that includes this file; nothing here is linked in unless it is used.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include "efi.h"

/* Left out when not used; never copied into its callers, which keeps the programs small. */
#define HELPER static __attribute__((noinline, unused))

static EFI_HANDLE self;
static EFI_SYSTEM_TABLE *st;
static EFI_BOOT_SERVICES *bs;
static EFI_RUNTIME_SERVICES *rt;

/* A pointer in .data: the image has a base relocation, hence a .reloc section, and loads at any address. */
static EFI_STATUS(EFIAPI *volatile entry_point)(EFI_HANDLE, EFI_SYSTEM_TABLE *) __attribute__((used)) = efi_main;

/* An address that is canonical and that no firmware maps. */
#if __SIZEOF_POINTER__ == 8
#define UNMAPPED_POINTER 0x00007fff00000000ULL
#define UNMAPPED_JUMP 0x0000123456789000ULL
#define UNMAPPED_READ 0xffff800000000000ULL
#else
#define UNMAPPED_POINTER 0xe0000000u
#define UNMAPPED_JUMP 0xe1234000u
#define UNMAPPED_READ 0xe8000000u
#endif

/* A "kernel": it halts for ever. To leave for it, with its argument where kernels look for it, and interrupts masked. */
#if defined(__x86_64__) || defined(__i386__)
#define HALTING_KERNEL {0xf4, 0xeb, 0xfd} /* hlt; jmp back to it */
#define LEAVE_FOR(kernel, argument) __asm__ volatile("cli\n\tjmp *%0" ::"a"(kernel), "S"(argument) : "memory")
#elif defined(__aarch64__)
#define HALTING_KERNEL {0x7f, 0x20, 0x03, 0xd5, 0xff, 0xff, 0xff, 0x17} /* wfi; b back to it */
#define LEAVE_FOR(kernel, argument)                                                                                    \
    do {                                                                                                               \
        register UINTN first __asm__("x0") = (argument);                                                               \
        __asm__ volatile("msr daifset, #15\n\tdsb ish\n\tic iallu\n\tdsb ish\n\tisb\n\tbr %0" ::"r"(kernel), \
                         "r"(first)                                                                                    \
                         : "memory");                                                                                  \
    } while (0)
#elif defined(__arm__)
#define HALTING_KERNEL {0x03, 0xf0, 0x20, 0xe3, 0xfd, 0xff, 0xff, 0xea} /* wfi; b back to it; in A32 */
#define LEAVE_FOR(kernel, argument)                                                                                    \
    do {                                                                                                               \
        register UINTN third __asm__("r2") = (argument);                                                               \
        __asm__ volatile("cpsid if\n\tdsb sy\n\tmcr p15, 0, %2, c7, c5, 0\n\tdsb sy\n\tisb\n\tbx %0" ::"r"(kernel), \
                         "r"(third), "r"(0)                                                                            \
                         : "memory");                                                                                  \
    } while (0)
#endif

HELPER void start(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    self = image;
    st = table;
    bs = table->BootServices;
    rt = table->RuntimeServices;
}

/* The compiler may call these two for copies and for initial values, even in freestanding code. */
void *memcpy(void *to, const void *from, UINTN length);
void *memset(void *buffer, int value, UINTN length);

void *memcpy(void *to, const void *from, UINTN length) {
    for (UINTN i = 0; i < length; i++)
        ((UINT8 *)to)[i] = ((const UINT8 *)from)[i];
    return to;
}

void *memset(void *buffer, int value, UINTN length) {
    for (UINTN i = 0; i < length; i++)
        ((UINT8 *)buffer)[i] = (UINT8)value;
    return buffer;
}

HELPER BOOLEAN same(const void *one, const void *other, UINTN length) {
    for (UINTN i = 0; i < length; i++)
        if (((const UINT8 *)one)[i] != ((const UINT8 *)other)[i])
            return FALSE;
    return TRUE;
}

/* ---- printing: one OutputString a line ---- */

static CHAR16 say_line[132];
static UINTN say_fill;

HELPER void say_flush(void) {
    say_line[say_fill] = 0;
    say_fill = 0;
    st->ConOut->OutputString(st->ConOut, say_line);
}

HELPER void say_char(CHAR16 character) {
    if (character == '\n')
        say_line[say_fill++] = '\r';
    say_line[say_fill++] = character;
    if (character == '\n' || say_fill >= sizeof say_line / sizeof say_line[0] - 3)
        say_flush();
}

HELPER void say_text(const char *text) {
    while (*text)
        say_char((CHAR16)*text++);
}

/* Divides by ten in 16-bit digits, so that 32-bit machines need no runtime library for it. */
HELPER void say_decimal(UINT64 value) {
    char digits[21];
    UINTN at = sizeof digits - 1;
    digits[at] = 0;
    do {
        UINT64 quotient = 0;
        UINT32 rest = 0;
        for (int shift = 48; shift >= 0; shift -= 16) {
            UINT32 part = rest << 16 | (UINT32)(value >> shift & 0xffff);
            quotient |= (UINT64)(part / 10) << shift;
            rest = part % 10;
        }
        digits[--at] = (char)('0' + rest);
        value = quotient;
    } while (value);
    say_text(digits + at);
}

HELPER void say_hex(UINT64 value) {
    int shift = 60;
    while (shift && !(value >> shift))
        shift -= 4;
    say_text("0x");
    for (; shift >= 0; shift -= 4)
        say_char((CHAR16) "0123456789abcdef"[value >> shift & 15]);
}

/* The names of the errors 1 to 35, in appendix D's order. */
HELPER void say_status(EFI_STATUS status) {
    static const char names[] =
        "LOAD_ERROR\0INVALID_PARAMETER\0UNSUPPORTED\0BAD_BUFFER_SIZE\0BUFFER_TOO_SMALL\0NOT_READY\0DEVICE_ERROR\0"
        "WRITE_PROTECTED\0OUT_OF_RESOURCES\0VOLUME_CORRUPTED\0VOLUME_FULL\0NO_MEDIA\0MEDIA_CHANGED\0NOT_FOUND\0"
        "ACCESS_DENIED\0NO_RESPONSE\0NO_MAPPING\0TIMEOUT\0NOT_STARTED\0ALREADY_STARTED\0ABORTED\0ICMP_ERROR\0"
        "TFTP_ERROR\0PROTOCOL_ERROR\0INCOMPATIBLE_VERSION\0SECURITY_VIOLATION\0CRC_ERROR\0END_OF_MEDIA\0?\0?\0"
        "END_OF_FILE\0INVALID_LANGUAGE\0COMPROMISED_DATA\0IP_ADDRESS_CONFLICT\0HTTP_ERROR";
    UINTN number = status & ~EFI_ERROR_BIT;
    const char *name = names;
    if (status == EFI_SUCCESS) {
        say_text("EFI_SUCCESS");
    } else if (EFI_ERROR(status) && number >= 1 && number <= 35) {
        while (--number)
            while (*name++) {
            }
        say_text("EFI_");
        say_text(name);
    } else if (status == EFI_WARN_DELETE_FAILURE) {
        say_text("EFI_WARN_DELETE_FAILURE");
    } else {
        say_text("status ");
        say_hex(status);
    }
}

/* %s a string, %w a string of CHAR16, %u and %x a UINT64, %r an EFI_STATUS. */
HELPER void say(const char *format, ...) {
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    for (; *format; format++) {
        if (*format != '%') {
            say_char((CHAR16)*format);
            continue;
        }
        switch (*++format) {
        case 's':
            say_text(__builtin_va_arg(arguments, const char *));
            break;
        case 'w':
            for (const CHAR16 *wide = __builtin_va_arg(arguments, const CHAR16 *); *wide; wide++)
                say_char(*wide);
            break;
        case 'u':
            say_decimal(__builtin_va_arg(arguments, UINT64));
            break;
        case 'x':
            say_hex(__builtin_va_arg(arguments, UINT64));
            break;
        case 'r':
            say_status(__builtin_va_arg(arguments, EFI_STATUS));
            break;
        default:
            say_char('%');
            break;
        }
    }
    __builtin_va_end(arguments);
}

/* ---- checks: "ok name" or "FAIL name", a count at the end ---- */

static UINT32 checks_done;
static UINT32 checks_failed;

HELPER void check(const char *name, BOOLEAN good) {
    checks_done++;
    if (!good)
        checks_failed++;
    say("%s %s\n", good ? "ok" : "FAIL", name);
}

HELPER void expect_either(const char *name, EFI_STATUS got, EFI_STATUS one, EFI_STATUS other) {
    checks_done++;
    if (got == one || got == other) {
        say("ok %s: %r\n", name, got);
        return;
    }
    checks_failed++;
    say("FAIL %s: %r, must be %r", name, got, one);
    if (other != one)
        say(" or %r", other);
    say("\n");
}

HELPER void expect(const char *name, EFI_STATUS got, EFI_STATUS want) {
    expect_either(name, got, want, want);
}

/* The end of a program that can't print any more: a shutdown when all is well, else a reset that says what is not. */
#define REQUIRE(condition) \
    do { \
        if (!(condition)) { \
            static CHAR16 failed[] = CHAR16_STRING(#condition); \
            rt->ResetSystem(EfiResetCold, EFI_COMPROMISED_DATA, sizeof failed, failed); \
        } \
    } while (0)
#define CHAR16_STRING(text) CHAR16_STRING_(text)
#define CHAR16_STRING_(text) u##text

HELPER EFI_STATUS verdict(void) {
    say("%u checks, %u failed\n", (UINT64)checks_done, (UINT64)checks_failed);
    return checks_failed ? EFI_COMPROMISED_DATA : EFI_SUCCESS;
}

#endif
