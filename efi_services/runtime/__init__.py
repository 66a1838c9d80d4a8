"""Runtime services (UEFI 2.10, chapter 8), a file for each family."""
