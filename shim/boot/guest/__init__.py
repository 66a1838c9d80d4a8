"""What runs in the guest before the kernel, and beside it."""
