/*
 * Says what it finds: the firmware, its own load options, the memory, the configuration tables.
 *
 * Outcome: returns EFI_SUCCESS.
 */
#include "support.h"

static UINT8 map[0x8000] __attribute__((aligned(8)));

static void say_load_options(void) {
    static const EFI_GUID loaded_image_guid = LOADED_IMAGE_GUID;
    EFI_LOADED_IMAGE_PROTOCOL *image = NULL;
    say("  load options       ");
    if (EFI_ERROR(bs->HandleProtocol(self, &loaded_image_guid, (void **)&image))) {
        say("no loaded image protocol\n");
        return;
    }
    const CHAR16 *options = image->LoadOptions;
    UINTN length = options ? image->LoadOptionsSize / sizeof *options : 0;
    if (!length || !options[0])
        say("none");
    for (UINTN i = 0; i < length && options[i]; i++)
        say_char(options[i]);
    say("\n");
}

static void say_memory(void) {
    UINTN size = sizeof map, key, step = 0;
    UINT32 version;
    EFI_STATUS status = bs->GetMemoryMap(&size, map, &key, &step, &version);
    if (EFI_ERROR(status) || !step) {
        say("  memory map         %r\n", status);
        return;
    }
    UINT64 count = 0, pages = 0;
    for (UINTN at = 0; at + step <= size; at += step) {
        const EFI_MEMORY_DESCRIPTOR *descriptor = (const void *)(map + at);
        count++;
        if (descriptor->Type == EfiConventionalMemory)
            pages += descriptor->NumberOfPages;
    }
    say("  memory map         %u descriptors of %u bytes\n", count, (UINT64)step);
    say("  free memory        %u pages, %u MiB\n", pages, pages >> 8);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    UINT32 minor = st->Hdr.Revision & 0xffff;
    say("Hello from an EFI application.\n");
    say("  firmware vendor    %w\n", st->FirmwareVendor ? st->FirmwareVendor : u"unnamed");
    say("  firmware revision  %x\n", (UINT64)st->FirmwareRevision);
    say("  UEFI revision      %u.%u", (UINT64)(st->Hdr.Revision >> 16), (UINT64)(minor / 10));
    if (minor % 10)
        say(".%u", (UINT64)(minor % 10));
    say("\n");
    say_load_options();
    say_memory();
    say("  configuration      %u tables\n", (UINT64)st->NumberOfTableEntries);
    say("Goodbye.\n");
    return EFI_SUCCESS;
}
