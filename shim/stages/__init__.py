"""What runs between ExitBootServices and the kernel's first instruction: the user's own stages."""
