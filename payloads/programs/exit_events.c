/*
 * Asks to be told of ExitBootServices in each of the ways there are, then leaves boot services (7.1, 7.4).
 *
 * The order must be: the group "before exit boot services", with memory services still usable; then the group "exit
 * boot services" and the older event type of that meaning, each once. The last call tells, as nothing can be printed:
 * a shutdown when all went as specified, else a cold reset.
 *
 * Outcome: reset, a shutdown with EFI_SUCCESS.
 */
#include "support.h"

static UINT8 map[0x10000] __attribute__((aligned(8)));
static UINT32 calls;
static UINT32 before_at, group_at, type_at;
static UINT32 before_calls, group_calls, type_calls;
static EFI_STATUS pool_status = EFI_NOT_READY;

static void EFIAPI on_before(EFI_EVENT event, void *context) {
    void *pool = NULL;
    (void)event;
    (void)context;
    before_at = ++calls;
    before_calls++;
    pool_status = bs->AllocatePool(EfiLoaderData, 16, &pool);
    if (!EFI_ERROR(pool_status))
        pool_status = bs->FreePool(pool);
}

static void EFIAPI on_group(EFI_EVENT event, void *context) {
    (void)event;
    (void)context;
    group_at = ++calls;
    group_calls++;
}

static void EFIAPI on_type(EFI_EVENT event, void *context) {
    (void)event;
    (void)context;
    type_at = ++calls;
    type_calls++;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    static const EFI_GUID before_guid = BEFORE_EXIT_BOOT_SERVICES_GUID;
    static const EFI_GUID group_guid = EXIT_BOOT_SERVICES_GUID;
    EFI_EVENT before, group, type, closed;
    UINTN key = 0;
    start(image, table);

    expect("CreateEventEx in the group before", bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, on_before, NULL,
                                                                  &before_guid, &before), EFI_SUCCESS);
    expect("CreateEventEx in the exit group", bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_NOTIFY, on_group, NULL,
                                                                &group_guid, &group), EFI_SUCCESS);
    expect("CreateEvent of the exit type", bs->CreateEvent(EVT_SIGNAL_EXIT_BOOT_SERVICES, TPL_CALLBACK, on_type, NULL,
                                                           &type), EFI_SUCCESS);
    expect("CreateEventEx to be closed", bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, on_group, NULL,
                                                           &group_guid, &closed), EFI_SUCCESS);
    expect("CloseEvent", bs->CloseEvent(closed), EFI_SUCCESS);
    if (EFI_ERROR(verdict()))
        return EFI_COMPROMISED_DATA;
    say("Leaving boot services.\n");

    EFI_STATUS status = EFI_INVALID_PARAMETER;
    for (int attempt = 0; attempt < 2 && status == EFI_INVALID_PARAMETER; attempt++) {
        UINTN size = sizeof map, step;
        UINT32 version;
        status = bs->GetMemoryMap(&size, map, &key, &step, &version);
        if (!EFI_ERROR(status))
            status = bs->ExitBootServices(image, key);
    }

    BOOLEAN good = status == EFI_SUCCESS && before_calls == 1 && group_calls == 1 && type_calls == 1 &&
                   before_at < group_at && before_at < type_at && group_at < type_at && pool_status == EFI_SUCCESS;
    rt->ResetSystem(good ? EfiResetShutdown : EfiResetCold, good ? EFI_SUCCESS : EFI_COMPROMISED_DATA, 0, NULL);
    for (;;)
        __asm__ volatile("");
}
