/*
 * Leaves through Exit, with an error and with exit data; what follows the call must not run.
 *
 * Outcome: exited with EFI_ABORTED and the exit data "the program gave up".
 */
#include "support.h"

static CHAR16 reason[] = u"the program gave up";

static void __attribute__((noinline)) give_up(void) {
    bs->Exit(self, EFI_ABORTED, sizeof reason, reason);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    say("Leaving through Exit with %r.\n", EFI_ABORTED);
    give_up();
    say("Exit came back.\n");
    return EFI_COMPROMISED_DATA;
}
