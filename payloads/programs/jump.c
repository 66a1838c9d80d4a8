/*
 * Jumps to where there is no code: JUMP_TO is given by the build.
 *
 * jump_null, to address 0. Outcome: a fault, fetching from 0.
 * jump_wild, to an address that is not mapped. Outcome: a fault, fetching from there.
 */
#include "support.h"

static void(EFIAPI *volatile target)(void);

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    target = (void(EFIAPI *)(void))(UINTN)JUMP_TO;
    say("Jumping to %x.\n", (UINT64)JUMP_TO);
    target();
    say("The jump came back.\n");
    return EFI_COMPROMISED_DATA;
}
