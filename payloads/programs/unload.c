/*
 * Loads the driver in driver.c from memory, finds its protocol, and unloads it (7.4).
 *
 * Outcome: returned EFI_SUCCESS, every line "ok".
 */
#include "support.h"

static const UINT8 driver[] __attribute__((aligned(16))) = {
#include "driver.inc"
};

static const EFI_GUID protocol_guid = {0x5d0c2b7e, 0x14f3, 0x4a68, {0xb9, 0x27, 0x06, 0x8e, 0xd1, 0x35, 0xc4, 0x7a}};

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_HANDLE handle = NULL;
    void *protocol = NULL;
    start(image, table);
    expect("protocol: not yet", bs->LocateProtocol(&protocol_guid, NULL, &protocol), EFI_NOT_FOUND);
    expect("load", bs->LoadImage(FALSE, self, NULL, driver, sizeof driver, &handle), EFI_SUCCESS);
    expect("start", bs->StartImage(handle, NULL, NULL), EFI_SUCCESS);
    expect("protocol: there", bs->LocateProtocol(&protocol_guid, NULL, &protocol), EFI_SUCCESS);
    check("protocol: readable", protocol && *(UINT64 *)protocol == 0x10000);
    expect("start: started", bs->StartImage(handle, NULL, NULL), EFI_INVALID_PARAMETER);
    expect("unload", bs->UnloadImage(handle), EFI_SUCCESS);
    expect("protocol: no more", bs->LocateProtocol(&protocol_guid, NULL, &protocol), EFI_NOT_FOUND);
    expect("unload: unloaded", bs->UnloadImage(handle), EFI_INVALID_PARAMETER);
    return verdict();
}
