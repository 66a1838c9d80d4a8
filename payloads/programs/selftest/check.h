/*
 * One line for each check, the same on every firmware that is right: "PASS Service.what: EFI_STATUS".
 *
 * A line is no longer than 79 characters, since consoles wrap. It says nothing that differs between machines.
 */
#ifndef SELFTEST_CHECK_H
#define SELFTEST_CHECK_H

#include "../support.h"

#define OWN_GUID(last) {0xd6c1f0a4, 0x5b1e, 0x4c57, {0x9e, 0x3b, 0x41, 0x8a, 0x02, 0x6d, 0xf7, last}}

/* A handle, an event, a pool buffer that never was one; room enough for whoever looks behind it. */
static UINT64 never[64] __attribute__((aligned(16)));

HELPER void passed(BOOLEAN good, const char *name) {
    checks_done++;
    if (!good)
        checks_failed++;
    say("%s %s", good ? "PASS" : "FAIL", name);
}

/* A condition. */
HELPER void holds(const char *name, BOOLEAN good) {
    passed(good, name);
    say("\n");
}

/* A status that the specification leaves no choice in. */
HELPER void gives(const char *name, EFI_STATUS got, EFI_STATUS want) {
    passed(got == want, name);
    say(": %r\n", got);
}

/* Two statuses are right: the line names both, and is the same whichever it was. */
HELPER void gives_either(const char *name, EFI_STATUS got, EFI_STATUS one, EFI_STATUS other) {
    BOOLEAN good = got == one || got == other;
    passed(good, name);
    if (good)
        say(": %r or %r\n", one, other);
    else
        say(": %r\n", got);
}

/* An error, and the specification does not say which. */
HELPER void refused(const char *name, EFI_STATUS got) {
    passed(EFI_ERROR(got), name);
    if (EFI_ERROR(got))
        say(": an error\n");
    else
        say(": %r\n", got);
}

#endif
