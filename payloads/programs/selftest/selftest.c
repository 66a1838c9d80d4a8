/*
 * Checks boot and runtime services from inside, on any firmware: one line a check, the same where all is right.
 * selftest_protocols.c checks the protocols.
 *
 * Outcome: reset, a shutdown with EFI_SUCCESS; every line "PASS". What is checked after ExitBootServices is told by the
 * reset data, and by the variable SelfTest, which the next run prints and deletes.
 */
#include "shared.h"

#include "tables.h"
#include "memory.h"
#include "events.h"
#include "handles.h"
#include "finding.h"
#include "drivers.h"
#include "images.h"
#include "loadfile.h"
#include "variables.h"
#include "misc.h"
#include "leaving.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    say_last_run();
    check_tables();
    check_memory();
    check_events();
    check_handles();
    check_finding();
    check_drivers();
    UINTN handles = all_handles();
    check_images();
    check_load_file();
    holds("UnloadImage.no-handle-left", all_handles() == handles);
    check_variables();
    check_misc();
    verdict();
    say("Leaving boot services.\n");
    check_leaving();
}
