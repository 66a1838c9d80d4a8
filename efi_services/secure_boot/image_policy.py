"""What stands between a file and its being loaded as an image: its measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg import firmware_events

if TYPE_CHECKING:
    from efi_services.ports import ImageReader
    from efi_services.tcg.measurer import Measurer


class ImagePolicy:
    """Lets images pass, and measures them."""

    def __init__(self, reader: ImageReader, measurer: Measurer) -> None:
        self._reader = reader
        self._measurer = measurer

    def admit(self, data: bytes, path: bytes, location: int = 0) -> None:
        """Decide on the file *data*, which lies at *location*, and measure it; 0 where it lies nowhere."""
        if not self._measurer.ledgers:
            return
        try:
            subsystem = self._reader.read_image(data).subsystem
        except ValueError:
            # It is no image: there is nothing to be measured, and whoever loads it will say so.
            return
        firmware_events.image(self._measurer, data, subsystem, location, path)
