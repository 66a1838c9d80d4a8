/*
 * Checks the protocols of consoles, device paths, files, disks, text, random numbers and the TPM from inside, on any
 * firmware: one line a check, the same where all is right. What a machine lacks is named. Then it starts SELFTEST.EFI
 * beside it, which checks the services, where that is there.
 *
 * Outcome: returned EFI_SUCCESS, every line "PASS"; or that of the other program.
 */
#include "shared.h"

#include "console.h"
#include "paths.h"
#include "files.h"
#include "disks.h"
#include "collation.h"
#include "hii.h"
#include "random.h"
#include "tcg2.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    check_console();
    check_paths();
    check_files();
    check_disks();
    check_collation();
    check_hii();
    check_random();
    check_tcg2();
    EFI_STATUS status = verdict();
    EFI_HANDLE other = load_beside(u"\\SELFTEST.EFI");
    return other ? bs->StartImage(other, NULL, NULL) : status;
}
