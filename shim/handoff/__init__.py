"""The state at the kernel entry."""
