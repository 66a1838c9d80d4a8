/* What both programs use: their guids, a device path or two, and an image to load. */
#ifndef SELFTEST_SHARED_H
#define SELFTEST_SHARED_H

#include "check.h"

#define SHARED static __attribute__((unused))

SHARED const EFI_GUID guid_unused = OWN_GUID(0x4f);
SHARED const EFI_GUID device_path_guid = DEVICE_PATH_GUID;
SHARED const EFI_GUID loaded_image_guid = LOADED_IMAGE_GUID;

/* child.c says its load options, and leaves through Exit with EFI_ALREADY_STARTED and "child data". */
SHARED const UINT8 child[] __attribute__((aligned(16))) = {
#include "child.inc"
};

/* Hardware, vendor-defined: nodes of 20 bytes; then the end. */
typedef struct {
    EFI_DEVICE_PATH_PROTOCOL head;
    EFI_GUID guid;
} VENDOR_NODE;

typedef struct {
    VENDOR_NODE node;
    EFI_DEVICE_PATH_PROTOCOL end;
} PATH;

typedef struct {
    VENDOR_NODE node[2];
    EFI_DEVICE_PATH_PROTOCOL end;
} LONGER_PATH;

#define PATH_END {0x7f, 0xff, {4, 0}}
SHARED PATH path = {{{1, 4, {20, 0}}, OWN_GUID(0x50)}, PATH_END};
SHARED LONGER_PATH longer_path = {{{{1, 4, {20, 0}}, OWN_GUID(0x50)}, {{1, 4, {20, 0}}, OWN_GUID(0x51)}}, PATH_END};

HELPER EFI_STATUS test(EFI_HANDLE handle, const EFI_GUID *guid) {
    return bs->OpenProtocol(handle, guid, NULL, self, NULL, EFI_OPEN_PROTOCOL_TEST_PROTOCOL);
}

HELPER EFI_PHYSICAL_ADDRESS pages_of(UINTN count) {
    EFI_PHYSICAL_ADDRESS memory = 0;
    if (EFI_ERROR(bs->AllocatePages(AllocateAnyPages, EfiLoaderData, count, &memory)))
        return 0;
    return memory;
}

HELPER BOOLEAN plausible(const EFI_TIME *now) {
    return now->Year >= 1900 && now->Year <= 9999 && now->Month >= 1 && now->Month <= 12 && now->Day >= 1 &&
           now->Day <= 31 && now->Hour <= 23 && now->Minute <= 59 && now->Second <= 59 && now->Nanosecond <= 999999999;
}

#endif
