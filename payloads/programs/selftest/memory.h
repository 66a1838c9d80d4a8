/* Memory: pages, pool, the map, copies (7.2, 7.5.3, 7.5.4). */

static UINT8 map[0x20000] __attribute__((aligned(8)));
static UINTN map_size, map_key, map_step;
static UINT8 bytes[64];

static EFI_STATUS read_map(void) {
    UINT32 version = 0;
    map_size = sizeof map;
    return bs->GetMemoryMap(&map_size, map, &map_key, &map_step, &version);
}

/* How many descriptors of the map hold the page, and the type that the last of them says. */
static UINT32 descriptors_with(EFI_PHYSICAL_ADDRESS page, UINT32 *type) {
    UINT32 count = 0;
    read_map();
    for (UINTN at = 0; at + map_step <= map_size; at += map_step) {
        const EFI_MEMORY_DESCRIPTOR *one = (const void *)(map + at);
        UINT64 end = one->PhysicalStart + one->NumberOfPages * EFI_PAGE_SIZE;
        if (page >= one->PhysicalStart && page < end) {
            count++;
            *type = one->Type;
        }
    }
    return count;
}

static BOOLEAN is_of_type(EFI_PHYSICAL_ADDRESS page, UINT32 want) {
    UINT32 type = ~0u;
    return descriptors_with(page, &type) == 1 && type == want;
}

static void allocating_types(void) {
    static const struct {
        const char *name, *mapped;
        UINT32 type;
    } types[] = {
        {"AllocatePages.Reserved", "GetMemoryMap.Reserved", EfiReservedMemoryType},
        {"AllocatePages.LoaderCode", "GetMemoryMap.LoaderCode", EfiLoaderCode},
        {"AllocatePages.LoaderData", "GetMemoryMap.LoaderData", EfiLoaderData},
        {"AllocatePages.BootServicesCode", "GetMemoryMap.BootServicesCode", EfiBootServicesCode},
        {"AllocatePages.BootServicesData", "GetMemoryMap.BootServicesData", EfiBootServicesData},
        {"AllocatePages.RuntimeServicesCode", "GetMemoryMap.RuntimeServicesCode", EfiRuntimeServicesCode},
        {"AllocatePages.RuntimeServicesData", "GetMemoryMap.RuntimeServicesData", EfiRuntimeServicesData},
        {"AllocatePages.ACPIReclaim", "GetMemoryMap.ACPIReclaim", EfiACPIReclaimMemory},
        {"AllocatePages.ACPINVS", "GetMemoryMap.ACPINVS", EfiACPIMemoryNVS},
        {"AllocatePages.OEM-type", "GetMemoryMap.OEM-type", 0x70000001},
        {"AllocatePages.OS-type", "GetMemoryMap.OS-type", 0x80000001},
    };
    for (UINTN i = 0; i < sizeof types / sizeof types[0]; i++) {
        EFI_PHYSICAL_ADDRESS memory = 0;
        gives(types[i].name, bs->AllocatePages(AllocateAnyPages, (EFI_MEMORY_TYPE)types[i].type, 16, &memory),
              EFI_SUCCESS);
        holds(types[i].mapped, is_of_type(memory, types[i].type));
        bs->FreePages(memory, 16);
    }
}

static void allocating(void) {
    EFI_PHYSICAL_ADDRESS memory = 0, other = 0;
    const EFI_ALLOCATE_TYPE any = AllocateAnyPages;
    gives("AllocatePages.any", bs->AllocatePages(any, EfiLoaderData, 3, &memory), EFI_SUCCESS);
    holds("AllocatePages.aligned", memory && memory % EFI_PAGE_SIZE == 0);
    memset((void *)(UINTN)memory, 0x5a, 3 * EFI_PAGE_SIZE);
    holds("AllocatePages.writable", *(UINT8 *)(UINTN)(memory + 3 * EFI_PAGE_SIZE - 1) == 0x5a);
    other = memory;
    gives("AllocatePages.address-taken", bs->AllocatePages(AllocateAddress, EfiLoaderData, 1, &other), EFI_NOT_FOUND);
    bs->FreePages(memory, 3);
    gives("AllocatePages.address-free", bs->AllocatePages(AllocateAddress, EfiLoaderData, 3, &other), EFI_SUCCESS);
    holds("AllocatePages.address-given", other == memory);
    other = memory + 2 * EFI_PAGE_SIZE;
    gives("AllocatePages.address-partly-taken", bs->AllocatePages(AllocateAddress, EfiLoaderData, 2, &other),
          EFI_NOT_FOUND);
    other = memory + 8;
    refused("AllocatePages.address-unaligned", bs->AllocatePages(AllocateAddress, EfiLoaderData, 1, &other));
    other = sizeof(UINTN) == 8 ? 0x3ffffffff000ULL : 0xfffff000;
    gives("AllocatePages.address-no-memory", bs->AllocatePages(AllocateAddress, EfiLoaderData, 1, &other),
          EFI_NOT_FOUND);
    bs->FreePages(memory, 3);
    other = memory + 3 * EFI_PAGE_SIZE - 1;
    gives("AllocatePages.maximum", bs->AllocatePages(AllocateMaxAddress, EfiLoaderData, 3, &other), EFI_SUCCESS);
    holds("AllocatePages.below-maximum", other <= memory);
    bs->FreePages(other, 3);
    other = 0;
    gives_either("AllocatePages.maximum-zero", bs->AllocatePages(AllocateMaxAddress, EfiLoaderData, 1, &other),
                 EFI_NOT_FOUND, EFI_OUT_OF_RESOURCES);

    gives("AllocatePages.no-result", bs->AllocatePages(any, EfiLoaderData, 1, NULL), EFI_INVALID_PARAMETER);
    gives("AllocatePages.kind-3", bs->AllocatePages((EFI_ALLOCATE_TYPE)3, EfiLoaderData, 1, &other),
          EFI_INVALID_PARAMETER);
    gives("AllocatePages.Conventional", bs->AllocatePages(any, EfiConventionalMemory, 1, &other),
          EFI_INVALID_PARAMETER);
    gives("AllocatePages.Persistent", bs->AllocatePages(any, EfiPersistentMemory, 1, &other), EFI_INVALID_PARAMETER);
    gives("AllocatePages.Unaccepted", bs->AllocatePages(any, EfiUnacceptedMemoryType, 1, &other),
          EFI_INVALID_PARAMETER);
    gives("AllocatePages.type-16", bs->AllocatePages(any, (EFI_MEMORY_TYPE)16, 1, &other), EFI_INVALID_PARAMETER);
    gives("AllocatePages.type-0x6fffffff", bs->AllocatePages(any, (EFI_MEMORY_TYPE)0x6fffffff, 1, &other),
          EFI_INVALID_PARAMETER);
    refused("AllocatePages.no-pages", bs->AllocatePages(any, EfiLoaderData, 0, &other));
    const UINTN whole = (UINTN)1 << (sizeof(UINTN) * 8 - 12);
    gives("AllocatePages.all-of-them", bs->AllocatePages(any, EfiLoaderData, ~(UINTN)0, &other), EFI_OUT_OF_RESOURCES);
    gives("AllocatePages.size-overflows", bs->AllocatePages(any, EfiLoaderData, whole, &other), EFI_OUT_OF_RESOURCES);
    gives("AllocatePages.size-overflows-by-1", bs->AllocatePages(any, EfiLoaderData, whole + 1, &other),
          EFI_OUT_OF_RESOURCES);
    other = memory;
    gives("AllocatePages.address-overflows", bs->AllocatePages(AllocateAddress, EfiLoaderData, whole, &other),
          EFI_NOT_FOUND);
}

static void freeing(void) {
    EFI_PHYSICAL_ADDRESS memory = pages_of(3);
    gives("FreePages.unaligned", bs->FreePages(memory + 8, 1), EFI_INVALID_PARAMETER);
    gives("FreePages.no-pages", bs->FreePages(memory, 0), EFI_INVALID_PARAMETER);
    /* Where that is no overflow, a firmware may free what comes before the first page that it must not. */
    if (sizeof(UINTN) == 8)
        gives_either("FreePages.too-many", bs->FreePages(memory, ~(UINTN)0), EFI_INVALID_PARAMETER, EFI_NOT_FOUND);
    gives("FreePages.middle", bs->FreePages(memory + EFI_PAGE_SIZE, 1), EFI_SUCCESS);
    holds("GetMemoryMap.middle-free", is_of_type(memory + EFI_PAGE_SIZE, EfiConventionalMemory));
    holds("GetMemoryMap.first-kept", is_of_type(memory, EfiLoaderData));
    gives("FreePages.middle-again", bs->FreePages(memory + EFI_PAGE_SIZE, 1), EFI_NOT_FOUND);
    gives("FreePages.first", bs->FreePages(memory, 1), EFI_SUCCESS);
    gives("FreePages.last", bs->FreePages(memory + 2 * EFI_PAGE_SIZE, 1), EFI_SUCCESS);
    gives("FreePages.all-again", bs->FreePages(memory, 3), EFI_NOT_FOUND);
    gives("FreePages.no-memory", bs->FreePages(sizeof(UINTN) == 8 ? 0x3ffffffff000ULL : 0xfffff000, 1), EFI_NOT_FOUND);
}

static BOOLEAN in_order(void) {
    for (UINTN at = 0; at < map_size; at += map_step) {
        const EFI_MEMORY_DESCRIPTOR *one = (const void *)(map + at);
        UINT64 end = one->PhysicalStart + one->NumberOfPages * EFI_PAGE_SIZE;
        if (one->PhysicalStart % EFI_PAGE_SIZE || !one->NumberOfPages || end - 1 < one->PhysicalStart)
            return FALSE;
        for (UINTN next = at + map_step; next < map_size; next += map_step) {
            const EFI_MEMORY_DESCRIPTOR *other = (const void *)(map + next);
            UINT64 others_end = other->PhysicalStart + other->NumberOfPages * EFI_PAGE_SIZE;
            if (other->PhysicalStart < end && one->PhysicalStart < others_end)
                return FALSE;
        }
    }
    return TRUE;
}

static BOOLEAN runtime_marked(void) {
    for (UINTN at = 0; at < map_size; at += map_step) {
        const EFI_MEMORY_DESCRIPTOR *one = (const void *)(map + at);
        BOOLEAN runtime = one->Type == EfiRuntimeServicesCode || one->Type == EfiRuntimeServicesData;
        if (runtime && !(one->Attribute >> 63))
            return FALSE;
    }
    return TRUE;
}

static void mapping(void) {
    UINTN size = 0, key = 0, step = 0, needed;
    UINT32 version = 0;
    gives("GetMemoryMap.no-size", bs->GetMemoryMap(NULL, map, &key, &step, &version), EFI_INVALID_PARAMETER);
    gives("GetMemoryMap.no-room", bs->GetMemoryMap(&size, NULL, &key, &step, &version), EFI_BUFFER_TOO_SMALL);
    holds("GetMemoryMap.room-it-takes", size > 0);
    holds("GetMemoryMap.descriptor-size", step >= sizeof(EFI_MEMORY_DESCRIPTOR) && step % 8 == 0);
    holds("GetMemoryMap.descriptor-version", version == 1);
    needed = size;
    size = needed - 1;
    gives("GetMemoryMap.one-byte-short", bs->GetMemoryMap(&size, map, &key, &step, &version), EFI_BUFFER_TOO_SMALL);
    size = sizeof map;
    gives("GetMemoryMap.no-buffer", bs->GetMemoryMap(&size, NULL, &key, &step, &version), EFI_INVALID_PARAMETER);
    gives("GetMemoryMap.whole", read_map(), EFI_SUCCESS);
    size = map_size;
    while (size >= map_step)
        size -= map_step;
    holds("GetMemoryMap.whole-descriptors", map_size && size == 0);
    holds("GetMemoryMap.pages-apart", in_order());
    holds("GetMemoryMap.runtime-attribute", runtime_marked());
    key = map_key;
    read_map();
    holds("GetMemoryMap.same-key", key == map_key);
    EFI_PHYSICAL_ADDRESS memory = pages_of(1);
    read_map();
    holds("GetMemoryMap.new-key", key != map_key);
    bs->FreePages(memory, 1);
    holds("GetMemoryMap.this-image", is_of_type((UINTN)efi_main & ~(UINTN)(EFI_PAGE_SIZE - 1), EfiLoaderCode));
}

static void pool(void) {
    void *one = NULL, *other = NULL;
    gives("AllocatePool.LoaderData", bs->AllocatePool(EfiLoaderData, 100, &one), EFI_SUCCESS);
    holds("AllocatePool.aligned", one && (UINTN)one % 8 == 0);
    holds("AllocatePool.mapped", is_of_type((UINTN)one & ~(UINTN)(EFI_PAGE_SIZE - 1), EfiLoaderData));
    gives("AllocatePool.another", bs->AllocatePool(EfiLoaderData, 100, &other), EFI_SUCCESS);
    holds("AllocatePool.apart", (UINTN)one + 100 <= (UINTN)other || (UINTN)other + 100 <= (UINTN)one);
    gives("FreePool.one", bs->FreePool(one), EFI_SUCCESS);
    gives("FreePool.another", bs->FreePool(other), EFI_SUCCESS);
    gives("AllocatePool.large", bs->AllocatePool(EfiBootServicesData, 3 * EFI_PAGE_SIZE + 1, &one), EFI_SUCCESS);
    gives("FreePool.large", bs->FreePool(one), EFI_SUCCESS);
    gives("AllocatePool.RuntimeServicesData", bs->AllocatePool(EfiRuntimeServicesData, 24, &one), EFI_SUCCESS);
    gives("FreePool.RuntimeServicesData", bs->FreePool(one), EFI_SUCCESS);
    gives("AllocatePool.OS-type", bs->AllocatePool((EFI_MEMORY_TYPE)0x80000001, 24, &one), EFI_SUCCESS);
    gives("FreePool.OS-type", bs->FreePool(one), EFI_SUCCESS);
    gives("AllocatePool.no-result", bs->AllocatePool(EfiLoaderData, 8, NULL), EFI_INVALID_PARAMETER);
    gives("AllocatePool.Conventional", bs->AllocatePool(EfiConventionalMemory, 8, &one), EFI_INVALID_PARAMETER);
    gives("AllocatePool.Persistent", bs->AllocatePool(EfiPersistentMemory, 8, &one), EFI_INVALID_PARAMETER);
    gives("AllocatePool.type-0x6fffffff", bs->AllocatePool((EFI_MEMORY_TYPE)0x6fffffff, 8, &one),
          EFI_INVALID_PARAMETER);
    gives("AllocatePool.too-much", bs->AllocatePool(EfiLoaderData, ~(UINTN)0 - 0xffff, &one), EFI_OUT_OF_RESOURCES);
    gives("FreePool.nothing", bs->FreePool(NULL), EFI_INVALID_PARAMETER);
    gives("FreePool.never-allocated", bs->FreePool(never + 32), EFI_INVALID_PARAMETER);
}

static BOOLEAN counts_up(UINTN from, UINTN to, UINT8 first) {
    for (UINTN i = from; i < to; i++)
        if (bytes[i] != (UINT8)(first + i - from))
            return FALSE;
    return TRUE;
}

static void count_up(void) {
    for (UINTN i = 0; i < sizeof bytes; i++)
        bytes[i] = (UINT8)i;
}

static void copying(void) {
    count_up();
    bs->CopyMem(bytes + 8, bytes, 40);
    holds("CopyMem.upwards-overlapping", counts_up(0, 8, 0) && counts_up(8, 48, 0) && counts_up(48, 64, 48));
    count_up();
    bs->CopyMem(bytes, bytes + 8, 40);
    holds("CopyMem.downwards-overlapping", counts_up(0, 40, 8) && counts_up(40, 64, 40));
    count_up();
    bs->CopyMem(bytes + 3, bytes + 3, 40);
    holds("CopyMem.onto-itself", counts_up(0, 64, 0));
    bs->CopyMem(bytes, bytes + 32, 0);
    holds("CopyMem.nothing", counts_up(0, 64, 0));
    bs->CopyMem(bytes + 33, bytes + 2, 7);
    holds("CopyMem.odd-places", counts_up(0, 33, 0) && counts_up(33, 40, 2) && counts_up(40, 64, 40));
    bs->SetMem(bytes + 1, 3, 0xee);
    holds("SetMem.three-bytes", !bytes[0] && bytes[1] == 0xee && bytes[2] == 0xee && bytes[3] == 0xee && bytes[4] == 4);
    count_up();
    holds("Memory.unaligned-access", *(volatile UINT32 *)(bytes + 1) == 0x04030201);
    bs->SetMem(bytes, 0, 0x77);
    holds("SetMem.nothing", bytes[0] == 0);
}

static void check_memory(void) {
    allocating();
    allocating_types();
    freeing();
    mapping();
    pool();
    copying();
}
