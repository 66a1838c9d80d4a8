"""The attribute certificate table of an image: where its signatures are (PE/COFF, section 5.7; UEFI 2.10, 32.2.4)."""

from __future__ import annotations

import struct
from uuid import UUID

import pefile

from payloads.errors import NotRunnable
from payloads.pe import read_image

#: WIN_CERTIFICATE: its length, its revision, its type.
_HEADER = struct.Struct("<IHH")
_PKCS_SIGNED_DATA, _EFI_GUID = 0x0002, 0x0EF1
_CERT_TYPE_PKCS7 = UUID("4aafd29d-68df-49ee-8aa9-347d375665a7").bytes_le
_DIRECTORY = 4
MAX_SIGNATURES = 32


def signed_data(data: bytes) -> tuple[bytes, ...] | None:
    """The PKCS #7 signatures of an image, padding and all, in the order of the table.

    Returns:
        None for an image without a table; nothing for a table that holds other kinds of certificates only.

    Raises:
        NotRunnable: the bytes are no PE image, or its table is damaged.
    """
    read_image(data)
    directories = pefile.PE(data=data, fast_load=True).OPTIONAL_HEADER.DATA_DIRECTORY
    if len(directories) <= _DIRECTORY or not directories[_DIRECTORY].Size:
        return None
    # Unlike all other directories, this one has an offset in the file.
    at = directories[_DIRECTORY].VirtualAddress
    end = at + directories[_DIRECTORY].Size
    if end > len(data):
        raise NotRunnable("the certificate table lies outside the file")
    found = []
    while at < end:
        if end - at < _HEADER.size:
            raise NotRunnable("the certificate table ends within a certificate's header")
        size, _revision, kind = _HEADER.unpack_from(data, at)
        if not _HEADER.size < size <= end - at:
            raise NotRunnable(f"a certificate of {size} bytes in {end - at} of the certificate table")
        body = data[at + _HEADER.size : at + size]
        if kind == _PKCS_SIGNED_DATA:
            found.append(body)
        elif kind == _EFI_GUID and body.startswith(_CERT_TYPE_PKCS7):
            found.append(body[len(_CERT_TYPE_PKCS7) :])
        if len(found) > MAX_SIGNATURES:
            raise NotRunnable(f"the image has more than {MAX_SIGNATURES} signatures")
        # Each begins at a multiple of eight bytes; the last one's padding may be left out.
        at += min(-(-size // 8) * 8, end - at)
    return tuple(found)
