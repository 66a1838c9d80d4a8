/*
 * A notification function that signals its own event again: the queue is never empty, the first call never ends.
 *
 * Outcome: the budget ends it; its memory does not grow, nor does the firmware's stack.
 */
#include "support.h"

static volatile UINT64 calls;

static void EFIAPI again(EFI_EVENT event, void *context) {
    (void)context;
    calls++;
    bs->SignalEvent(event);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_EVENT event = NULL;
    start(image, table);
    EFI_STATUS status = bs->CreateEvent(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, again, NULL, &event);
    if (EFI_ERROR(status))
        return status;
    say("Signalling an event that signals itself.\n");
    bs->SignalEvent(event);
    say("SignalEvent came back after %u calls.\n", (UINT64)calls);
    return EFI_COMPROMISED_DATA;
}
