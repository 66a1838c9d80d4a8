"""Going on from a hand-off in QEMU."""
