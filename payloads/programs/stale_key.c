/*
 * Leaves boot services with a map key that an allocation made stale, then with a fresh one; then calls a boot service.
 *
 * From the first ExitBootServices on nothing can be printed, so the last call tells: a shutdown with EFI_SUCCESS when
 * all went as specified, else a cold reset with EFI_COMPROMISED_DATA and, as reset data, the condition that failed.
 * (What the late call gives is not specified. Firmware that lets it pass fails here, and may.)
 *
 * Outcome: reset, a shutdown with EFI_SUCCESS; the call of a boot service after ExitBootServices is refused.
 */
#include "support.h"

static UINT8 map[0x10000] __attribute__((aligned(8)));

static EFI_STATUS get_map(UINTN *key) {
    UINTN size = sizeof map, step;
    UINT32 version;
    return bs->GetMemoryMap(&size, map, key, &step, &version);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    EFI_PHYSICAL_ADDRESS memory = 0;
    UINTN key;
    void *late = NULL;

    /* The table may be cleared; the service's address is what is kept. */
    EFI_STATUS(EFIAPI *volatile allocate_pool)(EFI_MEMORY_TYPE, UINTN, void **) = bs->AllocatePool;

    say("Leaving boot services with a stale key, then with a fresh one.\n");
    EFI_STATUS mapped = get_map(&key);
    EFI_STATUS allocated = bs->AllocatePages(AllocateAnyPages, EfiLoaderData, 1, &memory);
    if (EFI_ERROR(mapped) || EFI_ERROR(allocated)) {
        say("GetMemoryMap %r, AllocatePages %r\n", mapped, allocated);
        return EFI_COMPROMISED_DATA;
    }
    EFI_STATUS stale = bs->ExitBootServices(self, key);
    mapped = get_map(&key);
    EFI_STATUS fresh = bs->ExitBootServices(self, key);
    REQUIRE(stale == EFI_INVALID_PARAMETER);
    REQUIRE(mapped == EFI_SUCCESS);
    REQUIRE(fresh == EFI_SUCCESS);
    EFI_STATUS refused = allocate_pool(EfiLoaderData, 64, &late);
    REQUIRE(EFI_ERROR(refused));
    rt->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
    for (;;)
        __asm__ volatile("");
}
