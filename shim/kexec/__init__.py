"""kexec: a kernel that starts the next one without a reset, as one run that follows another."""
