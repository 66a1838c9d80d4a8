/*
 * Calls itself for ever, with a large frame each time.
 *
 * Outcome: a fault, writing below the stack. Firmware without a guard page overwrites what is there.
 */
#include "support.h"

static volatile UINT64 limit = ~0ULL; /* out of reach, but the compiler can't know */

static UINT64 __attribute__((noinline)) deeper(UINT64 depth) {
    volatile UINT8 frame[2048];
    frame[0] = (UINT8)depth;
    frame[sizeof frame - 1] = (UINT8)depth;
    if (depth == limit)
        return depth;
    UINT64 below = deeper(depth + 1);
    return below + frame[0] + frame[sizeof frame - 1];
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    say("Using up the stack.\n");
    say("The stack has no end: %u.\n", deeper(0));
    return EFI_COMPROMISED_DATA;
}
