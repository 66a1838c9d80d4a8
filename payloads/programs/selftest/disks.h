/* Blocks and bytes of the device that this image came from; nothing is written but where that is refused (13.7, 13.9). */

typedef struct {
    UINT32 MediaId;
    BOOLEAN RemovableMedia, MediaPresent, LogicalPartition, ReadOnly, WriteCaching;
    UINT32 BlockSize, IoAlign;
    UINT64 LastBlock;
} EFI_BLOCK_IO_MEDIA;

typedef struct EFI_BLOCK_IO_PROTOCOL {
    UINT64 Revision;
    EFI_BLOCK_IO_MEDIA *Media;
    EFI_STATUS(EFIAPI *Reset)(struct EFI_BLOCK_IO_PROTOCOL *, BOOLEAN);
    EFI_STATUS(EFIAPI *ReadBlocks)(struct EFI_BLOCK_IO_PROTOCOL *, UINT32, UINT64, UINTN, void *);
    EFI_STATUS(EFIAPI *WriteBlocks)(struct EFI_BLOCK_IO_PROTOCOL *, UINT32, UINT64, UINTN, void *);
    EFI_STATUS(EFIAPI *FlushBlocks)(struct EFI_BLOCK_IO_PROTOCOL *);
} EFI_BLOCK_IO_PROTOCOL;

typedef struct EFI_DISK_IO_PROTOCOL {
    UINT64 Revision;
    EFI_STATUS(EFIAPI *ReadDisk)(struct EFI_DISK_IO_PROTOCOL *, UINT32, UINT64, UINTN, void *);
    EFI_STATUS(EFIAPI *WriteDisk)(struct EFI_DISK_IO_PROTOCOL *, UINT32, UINT64, UINTN, void *);
} EFI_DISK_IO_PROTOCOL;

static const EFI_GUID block_io_guid = {0x964e5b21, 0x6459, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const EFI_GUID disk_io_guid = {0xce345171, 0xba0b, 0x11d2, {0x8e, 0x4f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};

/* Three blocks, at an address that every device can use. */
static UINT8 *blocks;

static void reading_blocks(EFI_BLOCK_IO_PROTOCOL *block_io) {
    const EFI_BLOCK_IO_MEDIA *media = block_io->Media;
    const UINT32 id = media->MediaId;
    const UINTN unit = media->BlockSize;
    holds("BlockIo.revision", block_io->Revision >= 0x10000);
    holds("BlockIo.Media.present", media->MediaPresent);
    holds("BlockIo.Media.block-size", unit >= 512 && !(unit & (unit - 1)));
    holds("BlockIo.Media.alignment", !(media->IoAlign & (media->IoAlign - 1)));
    holds("BlockIo.Media.last-block", media->LastBlock > 0);
    holds("BlockIo.Media.volume-read-only", !media->ReadOnly || own_volume_is_read_only);
    gives("BlockIo.Reset", block_io->Reset(block_io, FALSE), EFI_SUCCESS);
    gives("BlockIo.ReadBlocks.first", block_io->ReadBlocks(block_io, id, 0, unit, blocks), EFI_SUCCESS);
    holds("BlockIo.ReadBlocks.boot-signature", blocks[510] == 0x55 && blocks[511] == 0xaa);
    gives("BlockIo.ReadBlocks.two", block_io->ReadBlocks(block_io, id, 0, 2 * unit, blocks + unit), EFI_SUCCESS);
    holds("BlockIo.ReadBlocks.same-bytes", same(blocks, blocks + unit, unit));
    gives("BlockIo.ReadBlocks.last", block_io->ReadBlocks(block_io, id, media->LastBlock, unit, blocks), EFI_SUCCESS);
    gives("BlockIo.ReadBlocks.nothing", block_io->ReadBlocks(block_io, id, 0, 0, blocks), EFI_SUCCESS);
    gives("BlockIo.ReadBlocks.part-of-one", block_io->ReadBlocks(block_io, id, 0, unit - 1, blocks),
          EFI_BAD_BUFFER_SIZE);
    gives("BlockIo.ReadBlocks.more-than-one", block_io->ReadBlocks(block_io, id, 0, unit + 1, blocks),
          EFI_BAD_BUFFER_SIZE);
    gives("BlockIo.ReadBlocks.behind-last", block_io->ReadBlocks(block_io, id, media->LastBlock + 1, unit, blocks),
          EFI_INVALID_PARAMETER);
    gives("BlockIo.ReadBlocks.over-last", block_io->ReadBlocks(block_io, id, media->LastBlock, 2 * unit, blocks),
          EFI_INVALID_PARAMETER);
    gives("BlockIo.ReadBlocks.block-overflows", block_io->ReadBlocks(block_io, id, ~0ULL, unit, blocks),
          EFI_INVALID_PARAMETER);
    gives("BlockIo.ReadBlocks.other-media", block_io->ReadBlocks(block_io, id + 1, 0, unit, blocks),
          EFI_MEDIA_CHANGED);
    gives("BlockIo.FlushBlocks", block_io->FlushBlocks(block_io), EFI_SUCCESS);
    if (!media->ReadOnly)
        return;
    block_io->ReadBlocks(block_io, id, 0, unit, blocks);
    gives("BlockIo.WriteBlocks.protected", block_io->WriteBlocks(block_io, id, 0, unit, blocks), EFI_WRITE_PROTECTED);
    gives_either("BlockIo.WriteBlocks.part", block_io->WriteBlocks(block_io, id, 0, unit - 1, blocks),
                 EFI_WRITE_PROTECTED, EFI_BAD_BUFFER_SIZE);
    gives_either("BlockIo.WriteBlocks.other-media", block_io->WriteBlocks(block_io, id + 1, 0, unit, blocks),
                 EFI_WRITE_PROTECTED, EFI_MEDIA_CHANGED);
}

static void reading_bytes(EFI_DISK_IO_PROTOCOL *disk_io, EFI_BLOCK_IO_PROTOCOL *block_io) {
    const UINT32 id = block_io->Media->MediaId;
    const UINTN unit = block_io->Media->BlockSize;
    const UINT64 end = (block_io->Media->LastBlock + 1) * unit;
    block_io->ReadBlocks(block_io, id, 0, 2 * unit, blocks);
    gives("DiskIo.ReadDisk.odd-place", disk_io->ReadDisk(disk_io, id, 509, unit, more_data), EFI_SUCCESS);
    holds("DiskIo.ReadDisk.bytes", same(more_data, blocks + 509, 512));
    memset(more_data, 0x5a, sizeof more_data);
    gives("DiskIo.ReadDisk.three", disk_io->ReadDisk(disk_io, id, 1, 3, more_data + 1), EFI_SUCCESS);
    holds("DiskIo.ReadDisk.no-overrun", more_data[0] == 0x5a && more_data[4] == 0x5a && same(more_data + 1, blocks + 1, 3));
    gives("DiskIo.ReadDisk.last", disk_io->ReadDisk(disk_io, id, end - 1, 1, more_data), EFI_SUCCESS);
    gives("DiskIo.ReadDisk.nothing", disk_io->ReadDisk(disk_io, id, 0, 0, more_data), EFI_SUCCESS);
    gives("DiskIo.ReadDisk.behind-last", disk_io->ReadDisk(disk_io, id, end, 1, more_data), EFI_INVALID_PARAMETER);
    gives("DiskIo.ReadDisk.over-last", disk_io->ReadDisk(disk_io, id, end - 1, 2, more_data), EFI_INVALID_PARAMETER);
    gives("DiskIo.ReadDisk.other-media", disk_io->ReadDisk(disk_io, id + 1, 0, 16, more_data), EFI_MEDIA_CHANGED);
    if (block_io->Media->ReadOnly)
        gives("DiskIo.WriteDisk.protected", disk_io->WriteDisk(disk_io, id, 1, 3, blocks + 1), EFI_WRITE_PROTECTED);
}

static void check_disks(void) {
    EFI_BLOCK_IO_PROTOCOL *block_io = NULL;
    EFI_DISK_IO_PROTOCOL *disk_io = NULL;
    if (!own_name)
        return;
    gives("HandleProtocol.BlockIo", bs->HandleProtocol(own_device, &block_io_guid, (void **)&block_io), EFI_SUCCESS);
    gives("HandleProtocol.DiskIo", bs->HandleProtocol(own_device, &disk_io_guid, (void **)&disk_io), EFI_SUCCESS);
    if (!block_io || !disk_io || block_io->Media->BlockSize > EFI_PAGE_SIZE)
        return;
    EFI_PHYSICAL_ADDRESS memory = pages_of(3);
    blocks = (UINT8 *)(UINTN)memory;
    reading_blocks(block_io);
    reading_bytes(disk_io, block_io);
    bs->FreePages(memory, 3);
}
