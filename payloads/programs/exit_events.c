/*
 * Asks to be told of ExitBootServices in each of the ways there are, then leaves boot services: first with a wrong key,
 * which must not tell anybody twice (7.1, 7.4).
 *
 * The group "before exit boot services" comes first; then the group "exit boot services" and the older event type of
 * the same meaning, the higher level first. After that the system table no longer names the console and the boot
 * services, and its checksum is right again. The last call tells, as nothing can be printed: a shutdown with
 * EFI_SUCCESS, or a cold reset with EFI_COMPROMISED_DATA and, as reset data, the condition that failed.
 *
 * Outcome: reset, a shutdown with EFI_SUCCESS.
 */
#include "support.h"

static UINT8 map[0x10000] __attribute__((aligned(8)));
static volatile UINT32 calls;

typedef struct {
    UINT32 calls;
    UINT32 at;
} TOLD;

static volatile TOLD before, group, type, closed;

static void EFIAPI tell(EFI_EVENT event, void *context) {
    TOLD *told = context;
    (void)event;
    told->calls++;
    told->at = ++calls;
}

/* The checksum of 4.2, without the boot service for it. */
static UINT32 checksum(const EFI_TABLE_HEADER *header) {
    UINT32 crc = 0xffffffff;
    for (UINT32 i = 0; i < header->HeaderSize; i++) {
        BOOLEAN own = i >= 16 && i < 20;
        crc ^= own ? 0 : ((const UINT8 *)header)[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return ~crc;
}

static EFI_STATUS leave(UINTN wrong) {
    UINTN size = sizeof map, key, step;
    UINT32 version;
    EFI_STATUS status = bs->GetMemoryMap(&size, map, &key, &step, &version);
    return EFI_ERROR(status) ? EFI_COMPROMISED_DATA : bs->ExitBootServices(self, key + wrong);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    static const EFI_GUID before_guid = BEFORE_EXIT_BOOT_SERVICES_GUID;
    static const EFI_GUID group_guid = EXIT_BOOT_SERVICES_GUID;
    EFI_EVENT event;
    start(image, table);

    expect("exit type at TPL_CALLBACK",
           bs->CreateEvent(EVT_SIGNAL_EXIT_BOOT_SERVICES, TPL_CALLBACK, tell, (void *)&type, &event), EFI_SUCCESS);
    expect("exit group at TPL_NOTIFY",
           bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_NOTIFY, tell, (void *)&group, &group_guid, &event), EFI_SUCCESS);
    expect("group before at TPL_CALLBACK",
           bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, tell, (void *)&before, &before_guid, &event),
           EFI_SUCCESS);
    expect("exit group, to be closed",
           bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, tell, (void *)&closed, &group_guid, &event),
           EFI_SUCCESS);
    expect("close", bs->CloseEvent(event), EFI_SUCCESS);
    if (EFI_ERROR(verdict()))
        return EFI_COMPROMISED_DATA;
    say("Leaving boot services.\n");

    EFI_STATUS wrong_key = leave(0x1000);
    EFI_STATUS right_key = leave(0);
    if (right_key == EFI_INVALID_PARAMETER)
        right_key = leave(0);
    REQUIRE(wrong_key == EFI_INVALID_PARAMETER);
    REQUIRE(right_key == EFI_SUCCESS);
    REQUIRE(group.calls == 1);
    REQUIRE(type.calls == 1);
    REQUIRE(group.at < type.at);
    REQUIRE(closed.calls == 0);
    REQUIRE(st->ConsoleInHandle == NULL && st->ConIn == NULL);
    REQUIRE(st->ConsoleOutHandle == NULL && st->ConOut == NULL);
    REQUIRE(st->StandardErrorHandle == NULL && st->StdErr == NULL);
    REQUIRE(st->BootServices == NULL);
    REQUIRE(st->RuntimeServices == rt);
    REQUIRE(checksum(&st->Hdr) == st->Hdr.CRC32);
    REQUIRE(before.calls == 1);
    REQUIRE(before.at < group.at && before.at < type.at);
    rt->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
    for (;;)
        __asm__ volatile("");
}
