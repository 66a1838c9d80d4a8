/*
 * Leaves through Exit, with an error and with exit data; what follows the call must not run.
 *
 * Outcome: exited with EFI_ABORTED and the exit data "the program gave up".
 */
#include "support.h"

static const CHAR16 reason[] = u"the program gave up";

/* Exit data is allocated from pool (7.4, Exit). */
static void __attribute__((noinline)) give_up(void) {
    CHAR16 *data = NULL;
    if (!EFI_ERROR(bs->AllocatePool(EfiLoaderData, sizeof reason, (void **)&data))) {
        memcpy(data, reason, sizeof reason);
        bs->Exit(self, EFI_ABORTED, sizeof reason, data);
    }
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    say("Leaving through Exit with %r.\n", EFI_ABORTED);
    give_up();
    say("Exit came back.\n");
    return EFI_COMPROMISED_DATA;
}
