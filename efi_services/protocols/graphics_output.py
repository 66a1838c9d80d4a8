"""EFI_GRAPHICS_OUTPUT_PROTOCOL (UEFI 2.10, section 12.9)."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.device_path import END, display, vendor_hardware
from efi_services.framebuffer import PIXEL_BYTES, Framebuffer
from efi_services.memory_map import PAGE, AllocateType, MemoryType
from efi_services.service import Member, method, protocol
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import UINT32, UINTN, Buffer, Bytes, Out, PhysicalAddress, Pointer

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.framebuffer import Picture, Resolution
    from efi_services.platform import Graphics


class PixelFormat(IntEnum):
    """EFI_GRAPHICS_PIXEL_FORMAT."""

    RedGreenBlueReserved8BitPerColor = 0
    BlueGreenRedReserved8BitPerColor = 1
    BitMask = 2
    BltOnly = 3


class BltOperation(IntEnum):
    """EFI_GRAPHICS_OUTPUT_BLT_OPERATION."""

    VideoFill = 0
    VideoToBltBuffer = 1
    BufferToVideo = 2
    VideoToVideo = 3


@struct
class ModeInformation(Struct):
    """EFI_GRAPHICS_OUTPUT_MODE_INFORMATION; the masks count with PixelBitMask only."""

    version: UINT32
    horizontal_resolution: UINT32
    vertical_resolution: UINT32
    pixel_format: PixelFormat
    red_mask: UINT32
    green_mask: UINT32
    blue_mask: UINT32
    reserved_mask: UINT32
    pixels_per_scan_line: UINT32


@struct
class GraphicsMode(Struct):
    """EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE."""

    max_mode: UINT32
    mode: UINT32
    info: Pointer
    size_of_info: UINTN
    frame_buffer_base: PhysicalAddress
    frame_buffer_size: UINTN


#: Framebuffers lie below this address, where old programs look for them.
_HIGHEST = (1 << 32) - 1


@protocol("9042a9de-23dc-4a38-96fb-7aded080516a", name="EFI_GRAPHICS_OUTPUT_PROTOCOL", spec="12.9")
class GraphicsOutput:
    """A screen whose framebuffer is reserved RAM, as that of QEMU's ramfb device is."""

    def __init__(self, firmware: Firmware, graphics: Graphics) -> None:
        self._firmware = firmware
        self._memory = firmware.memory
        self._resolutions = graphics.modes
        self._number = graphics.mode
        pages = -(-max(each.size for each in graphics.modes) // PAGE)
        base = firmware.allocate_pages(AllocateType.MaxAddress, MemoryType.ReservedMemoryType, pages, _HIGHEST)
        firmware.observer.region_named(base, "framebuffer")
        self._bytes = pages * PAGE
        self._screen = Framebuffer(firmware.memory, base, self._resolutions[self._number])
        infos = b"".join(_information(each).pack(firmware.abi) for each in graphics.modes)
        self._infos = firmware.store(infos, MemoryType.BootServicesData, "graphics modes")
        self._mode_at = firmware.store(self._mode().pack(firmware.abi), MemoryType.BootServicesData, "graphics mode")

    @property
    def mode_pointer(self) -> int:
        """Where the mode lies."""
        return self._mode_at

    @property
    def framebuffer(self) -> Framebuffer:
        """Where pixels are, in the mode that is set."""
        return self._screen

    def picture(self) -> Picture:
        """What is on the screen."""
        return self._screen.picture()

    @method("QueryMode", "12.9.2.1")
    def query_mode(self, mode_number: UINT32, size_of_info: Out[Bytes], info: Out[Pointer]) -> Status:
        """Describe a mode, in memory that the caller frees."""
        if mode_number >= len(self._resolutions):
            raise EfiError(Status.INVALID_PARAMETER)
        data = _information(self._resolutions[mode_number]).pack(self._firmware.abi)
        at = self._firmware.allocate_pool(MemoryType.BootServicesData, len(data), name="graphics mode information")
        self._memory.write(at, data)
        size_of_info.set(len(data))
        info.set(at)
        return Status.SUCCESS

    @method("SetMode", "12.9.2.2")
    def set_mode(self, mode_number: UINT32) -> Status:
        """Choose a mode, which makes the screen black."""
        if mode_number >= len(self._resolutions):
            raise EfiError(Status.UNSUPPORTED)
        self._number = mode_number
        self._screen.resolution = self._resolutions[mode_number]
        self._memory.write(self._mode_at, self._mode().pack(self._firmware.abi))
        self._screen.clear()
        return Status.SUCCESS

    @method("Blt", "12.9.2.3")
    def blt(
        self,
        blt_buffer: Buffer | None,
        operation: BltOperation,
        source_x: UINTN,
        source_y: UINTN,
        destination_x: UINTN,
        destination_y: UINTN,
        width: UINTN,
        height: UINTN,
        delta: UINTN,
    ) -> Status:
        """Fill a rectangle, or copy one to the screen, from it, or within it."""
        if operation is not BltOperation.VideoToBltBuffer:
            self._check(destination_x, destination_y, width, height)
        if operation in (BltOperation.VideoToBltBuffer, BltOperation.VideoToVideo):
            self._check(source_x, source_y, width, height)
        if operation is BltOperation.VideoToVideo:
            self._screen.move(source_x, source_y, width, height, destination_x, destination_y)
            return Status.SUCCESS
        if blt_buffer is None:
            raise EfiError(Status.INVALID_PARAMETER)
        step = delta or width * PIXEL_BYTES
        if operation is BltOperation.VideoFill:
            self._screen.fill(destination_x, destination_y, width, height, blt_buffer.read(PIXEL_BYTES))
        elif operation is BltOperation.BufferToVideo:
            at = blt_buffer.address + source_y * step + source_x * PIXEL_BYTES
            self._screen.take(destination_x, destination_y, width, height, at, step)
        else:
            at = blt_buffer.address + destination_y * step + destination_x * PIXEL_BYTES
            self._screen.give(source_x, source_y, width, height, at, step)
        return Status.SUCCESS

    mode_member = Member("Mode", Pointer, value="mode_pointer")

    def _check(self, x: int, y: int, width: int, height: int) -> None:
        """Refuse a rectangle without pixels, and one that isn't all on the screen."""
        screen = self._screen.resolution
        if not width or not height or x + width > screen.width or y + height > screen.height:
            raise EfiError(Status.INVALID_PARAMETER)

    def _mode(self) -> GraphicsMode:
        size = ModeInformation.sizeof(self._firmware.abi)
        return GraphicsMode(
            max_mode=len(self._resolutions),
            mode=self._number,
            info=self._infos + self._number * size,
            size_of_info=size,
            frame_buffer_base=self._screen.base,
            frame_buffer_size=self._bytes,
        )


def _information(screen: Resolution) -> ModeInformation:
    return ModeInformation(
        version=0,
        horizontal_resolution=screen.width,
        vertical_resolution=screen.height,
        pixel_format=PixelFormat.BlueGreenRedReserved8BitPerColor,
        red_mask=0,
        green_mask=0,
        blue_mask=0,
        reserved_mask=0,
        pixels_per_scan_line=screen.width,
    )


def offer_screen(firmware: Firmware) -> GraphicsOutput | None:
    """The screen of a platform that has one, on a handle of its own."""
    if firmware.platform.graphics is None:
        return None
    screen = GraphicsOutput(firmware, firmware.platform.graphics)
    # A digital output of a card, as EDK2's driver of ramfb describes it.
    path = vendor_hardware(guids.QEMU_RAMFB) + display(0x8001_0300) + END
    at = firmware.store(path, MemoryType.BootServicesData, "device path of the screen")
    handle = firmware.install(0, guids.DEVICE_PATH, at)
    firmware.install(handle, guids.GRAPHICS_OUTPUT, firmware.publish(screen))
    return screen
