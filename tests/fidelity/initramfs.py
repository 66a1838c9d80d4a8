"""A small initramfs that collects what the kernel was handed, and writes it to the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A line before the archive, with its SHA-256 behind it, and one after.
BEGIN, END = b"==FIDELITY== ", b"==FIDELITY-END=="
#: Files and folders that are collected where they are there.
COLLECTED = (
    "/proc/cmdline",
    "/sys/kernel/security/tpm0/binary_bios_measurements",
    "/sys/class/tpm/tpm0/pcr-*",
    "/sys/firmware/acpi/tables/TPM2",
    "/sys/firmware/efi/fw_platform_size",
    "/sys/firmware/fdt",
    "/sys/kernel/boot_params/data",
)
#: The kernel's TPM driver, where it is a module, in the order in which it is loaded.
MODULES = ("tpm_tis_core.ko", "tpm_tis.ko")
_FOLDERS = ("bin", "dev", "proc", "sys", "out", "modules")
_INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t securityfs securityfs /sys/kernel/security
dmesg > /out/dmesg
# What the kernel says from here on would end up within the archive.
dmesg -n 1
for module in {modules}; do insmod /modules/$module; done
[ -d /sys/firmware/efi/efivars ] && mount -t efivarfs efivarfs /sys/firmware/efi/efivars
# Files of these file systems tell no size, so they are copied before they are packed.
for each in {collected}; do
    [ -e "$each" ] || continue
    for file in $(find "$each" -type f); do
        mkdir -p "/out/${{file%/*}}"
        cat "$file" > "/out/$file"
    done
done
[ -e /sys/firmware/initrd ] && sha256sum < /sys/firmware/initrd > /out/initrd.sha256
tar -c -z -f /archive -C /out .
echo "{begin}$(sha256sum < /archive)"
base64 /archive
echo "{end}"
{leave}
"""


def build(
    busybox: bytes,
    modules: Mapping[str, bytes],
    collected: tuple[str, ...] = COLLECTED,
    leave: str = "poweroff -f",
) -> bytes:
    """The initramfs: busybox, the modules, and an init that does it all, and in the end leaves."""
    init = _INIT.format(
        modules=" ".join(modules), collected=" ".join(collected), begin=BEGIN.decode(), end=END.decode(), leave=leave
    )
    files = [(name, 0o40755, b"", (0, 0)) for name in _FOLDERS]
    files += [
        ("dev/console", 0o20600, b"", (5, 1)),
        ("bin/busybox", 0o100755, busybox, (0, 0)),
        ("init", 0o100755, init.encode(), (0, 0)),
        *((f"modules/{name}", 0o100644, data, (0, 0)) for name, data in modules.items()),
    ]
    return cpio(files)


def cpio(files: Iterable[tuple[str, int, bytes, tuple[int, int]]]) -> bytes:
    """An archive of name, mode, content and device number, as the kernel unpacks it (buffer-format.rst, "newc")."""
    out = bytearray()
    for number, (name, mode, data, device) in enumerate((*files, ("TRAILER!!!", 0, b"", (0, 0))), 1):
        path = name.encode() + b"\0"
        # inode, mode, user, group, links, time, size, device it is on, device it is, length of the name, checksum
        head = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        out += b"070701" + b"".join(b"%08x" % each for each in head) + path
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)
