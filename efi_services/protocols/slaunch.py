"""EFI_SLAUNCH_PROTOCOL of TrenchBoot's patches: how a stub has its kernel launched dynamically, and the older form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.service import Calls, function, method, protocol
from efi_services.status import Status
from efi_services.types import UINT64, PhysicalAddress

if TYPE_CHECKING:
    from efi_services.slaunch.launcher import Launcher

_SPEC, _OLDER = "TrenchBoot v16", "TrenchBoot v13"


@protocol("534189e0-6fde-413d-be91-cd4e8d672fea", name="EFI_SLAUNCH_PROTOCOL", spec=_SPEC, outlives=True)
class Slaunch:
    """What a stub is to launch, told before ExitBootServices, and the launch, asked for afterwards."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    @method("SetupDlme", _SPEC)
    def setup_dlme(self, base: PhysicalAddress, header_offset: UINT64, table: PhysicalAddress) -> Status:
        """Describe the kernel at *base*, and lay everything out; *table* is the address of boot_params."""
        self._launcher.set_up(base, header_offset, table)
        return Status.SUCCESS

    @method("Launch", _SPEC)
    def launch(self) -> Calls[Status]:
        """Launch it; returns only where a condition is not met."""
        return self._launcher.launch()


@protocol(None, name="SLR_DL_HANDLER", spec=_OLDER, outlives=True)
class DlHandler:
    """The function that DL_INFO of the SLR table names; older stubs call it as C functions of Linux are called."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    @function("DlHandler", _OLDER)
    def dl_handler(self) -> Calls[Status]:
        """Launch the kernel of the image that calls; returns only where a condition is not met."""
        return self._launcher.launch_caller()
