"""What plays chipset and CPU of a dynamic launch: judges the conditions, measures what is launched, and enters it.

No ACM and no SKL is at hand. So the launch event is ours: PCR 17 gets the digest of what is launched, and nothing else.
The CPU enters the kernel in the mode in which the stub left it; a launch by the CPU would begin in 32-bit mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.platform import PlatformError
from efi_services.ports import MemoryFault
from efi_services.protocols.slaunch import DlHandler, Slaunch
from efi_services.service import GuestCall
from efi_services.slaunch import dlme, heap, preamble, table
from efi_services.slaunch.dlme import DlmeError
from efi_services.slaunch.generations import GENERATIONS
from efi_services.slaunch.loader import DETAILS, Loader
from efi_services.slaunch.slrt import Entity, SlrtError
from efi_services.status import EfiError, Status
from efi_services.tcg import log
from efi_services.tcg.algorithms import digests
from efi_services.tcg.commands import TpmError
from efi_services.tcg.events import Event, EventType, type_name

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.platform import SecureLaunch
    from efi_services.service import Calls
    from efi_services.slaunch.dlme import Dlme
    from efi_services.slaunch.preamble import Condition
    from efi_services.tcg.client import TpmClient
    from efi_services.tcg.ledger import Ledger

LAUNCH_EVENT = b"dynamic launch"


class Launcher:
    """Launches for one firmware, which has to have a TPM.

    *conditions* are those of the last launch that was asked for. *entry* is where the kernel was entered, *event* what
    the launch itself logged, *laid_out* the SLR table as it was then: all that is there once it has been launched.
    """

    def __init__(self, firmware: Firmware, settings: SecureLaunch) -> None:
        generation, measurer = GENERATIONS[settings.generation], firmware.measurer
        if generation.form is None or generation.layout is None:
            raise PlatformError(f"how kernels of {settings.generation} are launched is not known here")
        if measurer.client is None or measurer.tpm is None:
            raise PlatformError("nothing can be launched dynamically without a TPM")
        if firmware.abi.name != "x86_64":
            raise PlatformError(f"dynamic launches are those of x86_64, not of {firmware.abi.name}")
        self._firmware = firmware
        self._settings = settings
        self._client: TpmClient = measurer.client
        self._ledger: Ledger = measurer.tpm
        self.generation = settings.generation
        self.architecture = settings.architecture
        self.form: str = generation.form
        self.conditions: tuple[Condition, ...] = ()
        self.dlme: Dlme | None = None
        self._why_no_dlme = "nobody has told what to launch"
        self.entry: int | None = None
        self.event: Event | None = None
        self.laid_out = b""
        handler = 0
        if self.form == "handler":
            interface = firmware.publish(DlHandler(self))
            handler = firmware.abi.unpack(firmware.memory.read(interface, firmware.abi.pointer_bytes))
        else:
            firmware.offer(Slaunch(self))
        self.loader = Loader(firmware, settings, generation.layout, self._ledger.algorithms, handler)
        if handler:
            # Who finds this table takes the launch as asked for.
            firmware.configuration.install(guids.SLR_TABLE, self.loader.address)

    def set_up(self, base: int, header_offset: int, address: int) -> None:
        """Describe what is to be launched, and lay everything out for it; raises EfiError."""
        if self._firmware.boot_services_exited:
            raise EfiError(Status.UNSUPPORTED)
        self.dlme = None
        try:
            found = dlme.read(self._firmware.memory, base, header_offset, address)
            self.loader.describe(found)
        except (DlmeError, MemoryFault) as why:
            self._why_no_dlme = str(why)
            self._firmware.finding("launch-refused", f"SetupDlme: {why}")
            raise EfiError(Status.INVALID_PARAMETER) from None
        self.dlme = found

    def launch_caller(self) -> Calls[Status]:
        """As `launch`, for a stub that only says in the table where its boot_params are: its image is launched."""
        (context,) = self._firmware.cpu.read(("rdi",))
        if context != self.loader.context:
            self._firmware.finding("launch-refused", f"DlHandler: {context:#x} is not the context that DL_INFO has")
            raise EfiError(Status.INVALID_PARAMETER)
        self.dlme = None
        try:
            found = self._of_caller()
            self.loader.describe(found)
            self.dlme = found
        except (DlmeError, SlrtError, MemoryFault) as why:
            self._why_no_dlme = str(why)
        return (yield from self.launch())

    def launch(self) -> Calls[Status]:
        """Judge the conditions, and launch where they are met; else NOT_READY."""
        self._client.transport.release()
        self._look_again()
        self.conditions = preamble.judge(self._preamble())
        broken = [each for each in self.conditions if each.met is False]
        if broken:
            self._firmware.finding("launch-refused", "; ".join(f"{each.rule}: {each.sentence}" for each in broken))
            return Status.NOT_READY
        assert self.dlme is not None
        self._measure(self.dlme)
        self.entry = self.dlme.entry
        # The kernel's entry takes its own address from EBX, and that of boot_params from RSI.
        self._firmware.cpu.write({"rbx": self.entry, "rsi": self.dlme.table})
        yield GuestCall(self.entry, ())
        return Status.ABORTED

    def _of_caller(self) -> Dlme:
        firmware = self._firmware
        row = next((each for each in self.loader.read().policy if each.entity == Entity.BOOT_PARAMS), None)
        if row is None or not row.address:
            raise DlmeError("the stub has not told where its boot_params are")
        image = firmware.images.get(firmware.images.running[-1])
        offset = firmware.memory.read(image.base, image.size).find(dlme.UUID)
        if offset < 0:
            raise DlmeError(f"{image.name} has no MLE header")
        return dlme.read(firmware.memory, image.base, offset, row.address)

    def _look_again(self) -> None:
        """What was described may have changed; the memory map is known only since ExitBootServices."""
        if self.dlme is None:
            return
        known = self.dlme
        try:
            self.dlme = dlme.read(self._firmware.memory, known.base, known.header_offset, known.table)
            self.loader.fill_policy(self.dlme)
        except (DlmeError, MemoryFault) as why:
            self.dlme, self._why_no_dlme = None, str(why)

    def _preamble(self) -> preamble.Preamble:
        settings = self._settings
        told = self.loader.read_heap()
        return preamble.Preamble(
            boot_services=not self._firmware.boot_services_exited,
            dlme=self.dlme,
            why_no_dlme=self._why_no_dlme,
            slrt=self.loader.address,
            heap=told,
            protected=self._protected(told),
            kept=(self.loader.kept,),
            locality=self._client.transport.locality if settings.locality_kept is None else settings.locality_kept,
            parked=settings.parked,
            on_boot_processor=settings.on_boot_processor,
        )

    def _protected(self, told: heap.Heap | str | None) -> tuple[tuple[int, int], ...] | None:
        """With TXT what the heap asks the chipset for. With SKINIT the SKL protects memory, which isn't there: all."""
        if not self._settings.dma_protection:
            return None
        if told is None:
            return ((0, dlme.LIMIT),)
        if isinstance(told, str):
            return ()
        start, size = told.protected
        return ((start, start + size),)

    def _measure(self, found: Dlme) -> None:
        """The launch event: PCRs 17 to 22 begin anew, and PCR 17 gets what is launched."""
        memory, banks = self._firmware.memory, self._ledger.algorithms
        measured = memory.read(found.start, found.end - found.start)
        self.laid_out = memory.read(self.loader.address, table.ROOM)
        try:
            self._client.transport.launch(measured)
        except TpmError:
            raise EfiError(Status.DEVICE_ERROR) from None
        self.event = Event(DETAILS, EventType.TXT_EVTYPE_SLAUNCH, digests(banks, measured), LAUNCH_EVENT)
        self.loader.log(log.encode_event(self.event, banks))
        self._firmware.measurer.tell(
            self._ledger, DETAILS, type_name(self.event.type), dict(self.event.digests), LAUNCH_EVENT.decode()
        )
