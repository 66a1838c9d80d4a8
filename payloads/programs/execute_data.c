/*
 * Puts a return instruction into its .data section, which is not executable, and calls it.
 *
 * Outcome: a fault, fetching from there. Firmware without memory protection lets it pass.
 */
#include "support.h"

#if defined(__x86_64__) || defined(__i386__)
static const UINT8 return_code[] = {0xc3};
#elif defined(__aarch64__)
static const UINT8 return_code[] = {0xc0, 0x03, 0x5f, 0xd6};
#elif defined(__arm__)
static const UINT8 return_code[] = {0x70, 0x47};
#define THUMB 1
#endif

#ifndef THUMB
#define THUMB 0
#endif

static volatile UINT8 buffer[16] __attribute__((aligned(16))) = {1};

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    say("Calling into data.\n");
    for (UINTN i = 0; i < sizeof return_code; i++)
        buffer[i] = return_code[i];
    ((void (*)(void))((UINTN)buffer | THUMB))();
    say("The call into data came back.\n");
    return EFI_COMPROMISED_DATA;
}
