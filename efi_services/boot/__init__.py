"""Boot services (UEFI 2.10, chapter 7), a file for each family."""
