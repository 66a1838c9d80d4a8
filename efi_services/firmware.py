"""The firmware: everything put together in guest memory, and the few operations that several services share."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from efi_services import guids, tables
from efi_services.boot.images import run_image
from efi_services.configuration import ConfigurationTables
from efi_services.console import Console
from efi_services.device_path import END, file_path, vendor_hardware, vendor_media
from efi_services.disks import Disks
from efi_services.dispatch import Dispatcher, RunEnds
from efi_services.events import POLL_INTERVAL, EventQueue
from efi_services.gates import Gates
from efi_services.handles import HANDLE_BYTES, HandleDatabase
from efi_services.images import Images
from efi_services.keyboard import Keyboard
from efi_services.machine_tables import offer_tables
from efi_services.memory_map import PAGE, AllocateType, MemoryMap, MemoryType, Owner
from efi_services.pool import Pool
from efi_services.ports import Access, MemoryFault
from efi_services.protocols.cc_measurement import CcMeasurement
from efi_services.protocols.device_path_from_text import DevicePathFromText
from efi_services.protocols.device_path_to_text import DevicePathToText
from efi_services.protocols.device_path_utilities import DevicePathUtilities
from efi_services.protocols.graphics_output import offer_screen
from efi_services.protocols.hii_string import offer_hii
from efi_services.protocols.load_file2 import LoadFile2
from efi_services.protocols.memory_attribute import MemoryAttribute
from efi_services.protocols.riscv_boot import RiscvBoot
from efi_services.protocols.rng import Rng
from efi_services.protocols.security import Security
from efi_services.protocols.security2 import Security2
from efi_services.protocols.simple_text_input import SimpleTextInput
from efi_services.protocols.simple_text_input_ex import SimpleTextInputEx
from efi_services.protocols.simple_text_output import SimpleTextOutput
from efi_services.protocols.tcg2 import offer_tcg2
from efi_services.secure_boot.image_policy import ImagePolicy
from efi_services.service import Member
from efi_services.slaunch.launcher import Launcher
from efi_services.slots import Slots
from efi_services.status import EfiError, Status
from efi_services.system_table import SystemTable, TableHeader
from efi_services.tcg import firmware_events
from efi_services.tcg.measurer import Measurer
from efi_services.tcg.tpm import Tpm
from efi_services.types import codec_of
from efi_services.variables import VariableStore

if TYPE_CHECKING:
    from efi_services.abi import Abi
    from efi_services.images import Image
    from efi_services.platform import Platform
    from efi_services.ports import (
        Entropy,
        Ports,
        TpmTransport,
    )
    from efi_services.resume import Resumed
    from efi_services.service import Calls, ProtocolType
    from efi_services.types import Guid

#: Bytes of a payload's last words that are kept.
MAX_SAID = 2048


class Firmware:
    """One machine's firmware, from power-on to the end of the run."""

    def __init__(
        self,
        abi: Abi,
        platform: Platform,
        ports: Ports,
        initrd: bytes | None = None,
        resumed: Resumed | None = None,
    ) -> None:
        self.abi = abi
        self.platform = platform
        self.cpu = ports.cpu
        self.memory = ports.memory
        self.mmu = ports.mmu
        self.clock = ports.clock
        self.reader = ports.reader
        self.observer = ports.observer
        self.memory_map = MemoryMap(platform.ranges, abi.runtime_granularity)
        self.pool = Pool(self.memory_map)
        self.events = EventQueue(self.clock, self.new_handle, self.discard)
        self.handles = HandleDatabase(self.new_handle, self.discard)
        self.variables = VariableStore(
            platform.variables if resumed is None else resumed.variables,
            platform.secure_boot.mode if resumed is None else resumed.mode,
            enforcing=platform.secure_boot.enforcing,
        )
        self.console = Console()
        self.images = Images(self)
        self.configuration = ConfigurationTables(self)
        self.dispatcher = Dispatcher(self)
        self.slots = Slots(self)
        #: Protocol instances by the address of their interface structure.
        self.interfaces: dict[int, Any] = {}
        self.protocol_classes: dict[str, type] = {}
        self.boot_services_exited = False
        self.exit_announced = False
        self.virtual_map: tuple[tuple[int, int, int], ...] = ()
        self.converting = False
        self.monotonic_count = 0
        self.time_offset = 0
        self.watchdog: int | None = None
        self._guid_addresses: dict[Guid, int] = {}
        self._console_in = self._console_out = (0, 0)
        self.system_table = 0
        self._system_packed = b""
        #: At whose addresses the CPU enters the firmware.
        self.gates = Gates(self)
        self._build_tables()
        self.measurer = Measurer(self, self._tpm(ports), ports.authenticode)
        if resumed is None:
            firmware_events.power_on(self.measurer, self.variables)
        else:
            self.measurer.resume(resumed)
        self.image_policy = ImagePolicy(self, ports.authenticode)
        #: The interface of EFI_SECURITY2_ARCH_PROTOCOL, which LoadImage goes through.
        self.security2 = 0
        self._offer_protocols(ports.entropy, initrd)
        offer_hii(self)
        #: The screen, where there is one.
        self.screen = offer_screen(self)
        self.disks = Disks(self, ports.disks)
        offer_tables(self)
        #: What launches kernels dynamically, where the platform has it.
        self.launcher = None if platform.slaunch is None else Launcher(self, platform.slaunch)

    # What services share.

    def finding(self, kind: str, detail: str) -> None:
        """Tell the observer of something remarkable."""
        self.observer.finding(kind, detail)

    def allocate_pages(self, how: AllocateType, memory_type: MemoryType, pages: int, address: int = 0) -> int:
        """Pages for the guest, executable where their type is one of code."""
        start = self.memory_map.allocate(how, memory_type, pages, address)
        end = start + pages * PAGE
        access = Access.RWX if memory_type.is_code else Access.RW
        if memory_type.is_code:
            self.mmu.protect(start, end - start, access)
        self.observer.region_born(start, end, "pages", memory_type.name, access=access)
        return start

    def free_pages(self, start: int, pages: int) -> None:
        """Give pages back; they lose what permissions they had got."""
        self.memory_map.free(start, pages)
        self.mmu.protect(start, pages * PAGE, Access.RW)
        self.observer.region_died(start, start + pages * PAGE)
        self.images.by_guests.forget(start, start + pages * PAGE)

    def allocate_pool(self, memory_type: MemoryType, size: int, kind: str = "pool", name: str = "") -> int:
        """Bytes from the pool."""
        address = self.pool.allocate(memory_type, size)
        self.observer.region_born(address, address + max(size, 1), kind, memory_type.name, name)
        return address

    def store(self, data: bytes, memory_type: MemoryType, name: str) -> int:
        """A copy of *data* in guest memory."""
        address = self.allocate_pool(memory_type, len(data), "firmware", name)
        self.memory.write(address, data)
        return address

    def provide(self, data: bytes, memory_type: MemoryType, name: str) -> int:
        """Something of the platform's own that the guest finds in memory."""
        address = self.store(data, memory_type, name)
        self.observer.provided(name, address, data)
        return address

    def discard(self, address: int) -> None:
        """Free a pool allocation; raises INVALID_PARAMETER."""
        size = self.pool.free(address)
        self.observer.region_died(address, address + size)

    def new_handle(self) -> int:
        """A value for a handle or an event: the address of memory that is its own."""
        return self.allocate_pool(MemoryType.BootServicesData, HANDLE_BYTES, "firmware", "handle")

    def install(self, handle: int, guid: Guid, interface: int) -> int:
        """Put a protocol on a handle (0: a new one), and tell those who wait for it."""
        handle, waiting = self.handles.install(handle, guid, interface)
        for event in waiting:
            self.events.signal(event)
        return handle

    def publish(self, instance: Any, name: str = "", room: int = 0) -> int:
        """Lay a protocol instance's interface structure out in guest memory; gives its address.

        It is called *name* there, and takes *room* bytes at least.
        """
        declared: ProtocolType = instance.protocol
        if declared.outlives:
            self.gates.outlive(declared)
        self.protocol_classes[declared.name] = type(instance)
        data = b""
        for slot in declared.slots:
            if isinstance(slot, Member):
                codec = codec_of(slot.annotation)
                size = codec.size(self.abi)
                data = data.ljust(-(-len(data) // size) * size, b"\0")
                data += codec.store(self.abi, getattr(instance, slot.value))
            else:
                data = data.ljust(-(-len(data) // self.abi.pointer_bytes) * self.abi.pointer_bytes, b"\0")
                data += self.abi.pack(self.gates.address(slot))
        kind = MemoryType.LoaderData if declared.outlives else MemoryType.BootServicesData
        address = self.store(data.ljust(room, b"\0"), kind, name or declared.name)
        self.interfaces[address] = instance
        return address

    def offer(self, instance: Any) -> tuple[int, int]:
        """Put a protocol on a handle of its own; gives the handle and the interface's address."""
        interface = self.publish(instance)
        return self.install(0, instance.protocol.guid, interface), interface

    def only_instance(self, protocol: str) -> Any:
        """The one interface there is of a protocol whose functions don't say which."""
        return next(each for each in self.interfaces.values() if each.protocol.name == protocol)

    def withdraw(self, address: int) -> None:
        """Take a published interface back; what the guest has freed already, against all rules, stays free."""
        self.interfaces.pop(address, None)
        with suppress(EfiError):
            self.discard(address)

    def guid_at(self, guid: Guid) -> int:
        """The address of a copy of *guid* that lives as long as boot services."""
        if guid not in self._guid_addresses:
            self._guid_addresses[guid] = self.store(guid.bytes_le, MemoryType.BootServicesData, f"GUID {guid}")
        return self._guid_addresses[guid]

    # The life of a run.

    def load_payload(self, data: bytes, name: str, command_line: str | None) -> Image:
        """Place the payload, with *command_line* as its load options.

        A boot manager is ready to boot first, and loads then. EDK2's platforms for QEMU load a kernel of ``-kernel``
        before (OvmfPkg's TryRunningQemuKernel), and where they have it from is in its path.

        Raises:
            EfiError: as LoadImage does.
            RunEnds: Secure Boot doesn't let it through.
        """
        direct = self.platform.direct_boot
        media = vendor_media(guids.QEMU_KERNEL_LOADER) if direct else vendor_hardware(guids.SHIM_PAYLOAD)
        path = media + file_path("kernel" if direct else f"\\{name}") + END
        if not direct:
            self.ready_to_boot()
        device = self.install(0, guids.DEVICE_PATH, self._path(media, "payload device"))
        options = (command_line + "\0").encode("utf-16-le") if command_line is not None else b""
        try:
            self.image_policy.admit(data, path)
        except EfiError as refusal:
            raise RunEnds("refused", refusal.status, self.image_policy.decisions[-1].reason) from None
        image = self.images.load(data, path, 0, name, options, device)
        if direct:
            self.ready_to_boot()
        return image

    def ready_to_boot(self) -> None:
        """Measure what a boot manager does before it starts anything, and show the table of images."""
        firmware_events.ready_to_boot(self.measurer, self.variables)
        self.image_policy.ready_to_boot()

    def run_payload(self, image: Image) -> Calls[None]:
        """Start the payload on a stack of its own; the end of this generator is the end of the run."""
        result = yield from run_image(self, image)
        raise self.end_of(image, result)

    def end_of(self, image: Image, result: int) -> RunEnds:
        """The end of a run whose first image gave *result*."""
        return RunEnds("exited" if image.left_by_exit else "returned", result, self.text_at(*reversed(image.exit_data)))

    def text_at(self, address: int, size: int) -> str:
        """The string at the start of data that a payload gave to Exit or ResetSystem; empty where there is none."""
        if not address or size < 2:
            return ""
        try:
            said = self.memory.read(address, min(size, MAX_SAID))
        except MemoryFault:
            # Last words are for people only: a wild pointer to them changes nothing.
            return ""
        return said.decode("utf-16-le", "replace").partition("\0")[0]

    def allocate_stack(self) -> int:
        """The payload's stack; gives the address just above it."""
        pages = -(-self.platform.stack_bytes // PAGE)
        # The page below stays unmapped, so that a stack that overflows is seen and not what lies below it.
        base = self.memory_map.allocate(
            AllocateType.AnyPages, MemoryType.BootServicesData, pages + 1, owner=Owner.FIRMWARE
        )
        self.mmu.protect(base, PAGE, Access.NONE)
        top, memory_type = base + (pages + 1) * PAGE, MemoryType.BootServicesData.name
        self.observer.region_born(base, base + PAGE, "firmware", memory_type, "stack guard", Access.NONE)
        self.observer.region_born(base + PAGE, top, "stack", memory_type, "payload stack")
        return top

    def leave_boot_services(self) -> None:
        """Boot services are gone: what section 7.4.6 says of the system table, and interrupts off."""
        self.boot_services_exited = True
        self.watchdog = None
        self._console_in = self._console_out = (0, 0)
        self.slots.leave_boot_services()
        self.publish_system_table()
        self.cpu.mask_interrupts()

    def tick(self) -> bool:
        """Let the timer's next interrupt come for a CPU that waits for one; there is none without boot services."""
        if not self.boot_services_exited:
            self.clock.advance(POLL_INTERVAL)
            self.check_watchdog()
        return not self.boot_services_exited

    def check_watchdog(self) -> None:
        """End the run when the watchdog timer has run out."""
        if self.watchdog is not None and self.clock.now >= self.watchdog:
            raise RunEnds("reset", Status.TIMEOUT, "the watchdog timer ran out")

    def publish_system_table(self) -> None:
        """Write the system table as it is by now, its CRC included."""
        if not self.system_table:
            return
        array, count = self.configuration.array
        table = SystemTable(
            header=TableHeader(
                int.from_bytes(self.abi.system_table_signature, "little"),
                tables.REVISION,
                SystemTable.sizeof(self.abi),
                0,
                0,
            ),
            firmware_vendor=self.convert(self._vendor),
            firmware_revision=self.platform.revision,
            console_in_handle=self._console_in[0],
            con_in=self._console_in[1],
            console_out_handle=self._console_out[0],
            con_out=self._console_out[1],
            standard_error_handle=self._console_out[0],
            std_err=self._console_out[1],
            runtime_services=self.convert(self._runtime_table),
            boot_services=0 if self.boot_services_exited else self._boot_table,
            number_of_table_entries=count,
            configuration_table=self.convert(array) if array else 0,
        )
        packed, now = table.pack(self.abi), self.memory.view(self.system_table, len(self._system_packed))
        self.memory.write(self.system_table, tables.rewritten(self.abi, bytes(now), self._system_packed, packed))
        self._system_packed = packed
        self.slots.watch_system_table(self.system_table)

    def convert(self, address: int) -> int:
        """An address in the virtual map, itself while there is none; raises NOT_FOUND."""
        if not self.virtual_map:
            return address
        for start, end, virtual in self.virtual_map:
            if start <= address < end:
                return virtual + address - start
        raise EfiError(Status.NOT_FOUND)

    def convert_tables(self) -> None:
        """Give the pointers in the runtime and system tables their virtual values."""
        pointers = [self.convert(self.gates.address(each)) for each in tables.RUNTIME_SERVICES]
        self.memory.write(self._runtime_table, tables.service_table(self.abi, tables.RUNTIME_SIGNATURE, pointers))
        self.slots.watch_services("runtime services table", self._runtime_table, tables.RUNTIME_SERVICES)
        self.publish_system_table()

    # What is built at power-on.

    def _build_tables(self) -> None:
        boot, runtime = (
            tables.service_table(self.abi, signature, [self.gates.address(each) for each in services])
            for signature, services in (
                (tables.BOOT_SIGNATURE, tables.BOOT_SERVICES),
                (tables.RUNTIME_SIGNATURE, tables.RUNTIME_SERVICES),
            )
        )
        vendor = (self.platform.vendor + "\0").encode("utf-16-le")
        self._boot_table = self.store(boot, MemoryType.BootServicesData, "boot services table")
        self._runtime_table = self.store(runtime, MemoryType.RuntimeServicesData, "runtime services table")
        self._vendor = self.store(vendor, MemoryType.RuntimeServicesData, "firmware vendor")
        self.slots.watch_services("boot services table", self._boot_table, tables.BOOT_SERVICES)
        self.slots.watch_services("runtime services table", self._runtime_table, tables.RUNTIME_SERVICES)
        size = SystemTable.sizeof(self.abi)
        self.system_table = self.store(bytes(size), MemoryType.RuntimeServicesData, "system table")
        self.publish_system_table()

    def _offer_protocols(self, entropy: Entropy, initrd: bytes | None) -> None:
        if self.platform.console:
            keyboard = Keyboard(self.clock, self.platform.keys)
            self._console_in = self.offer(SimpleTextInput(self, keyboard))
            extended = SimpleTextInputEx(self, keyboard)
            self.install(self._console_in[0], guids.SIMPLE_TEXT_INPUT_EX, self.publish(extended))
            self._console_out = self.offer(SimpleTextOutput(self))
            self.publish_system_table()
        if self.platform.rng:
            self.offer(Rng(entropy, partial(self.observer.provided, "random bytes")))
        if self.platform.memory_attribute:
            self.offer(MemoryAttribute(self.mmu))
        for each in (DevicePathUtilities, DevicePathToText, DevicePathFromText):
            self.offer(each(self))
        security = self.offer(Security())[1]
        self.security2 = self.offer(Security2(self.image_policy))[1]
        self.slots.watch("EFI_SECURITY_ARCH_PROTOCOL", security, {0: "FileAuthenticationState"})
        self.slots.watch("EFI_SECURITY2_ARCH_PROTOCOL", self.security2, {0: "FileAuthentication"})
        if self.platform.boot_hart_protocol and self.abi.name == "riscv64":
            self.offer(RiscvBoot())
        tcg2 = offer_tcg2(self.abi, self.memory, self.measurer)
        if tcg2 is not None:
            self.offer(tcg2)
        if self.measurer.cc is not None:
            self.offer(CcMeasurement(self.abi, self.memory, self.measurer, self.measurer.cc))
        if initrd is not None:
            path = self._path(vendor_media(guids.LINUX_EFI_INITRD_MEDIA), "initrd device path")
            handle = self.install(0, guids.DEVICE_PATH, path)
            self.install(
                handle, guids.LOAD_FILE2, self.publish(LoadFile2(initrd, partial(self.observer.provided, "initrd")))
            )

    def _path(self, node: bytes, name: str) -> int:
        return self.store(node + END, MemoryType.BootServicesData, name)

    def _tpm(self, ports: Ports) -> TpmTransport | None:
        settings = self.platform.tpm
        if settings is None:
            return None
        return ports.tpm or Tpm(settings.algorithms, ports.entropy, ports.clock)
