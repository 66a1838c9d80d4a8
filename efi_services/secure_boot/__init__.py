"""Secure Boot (UEFI 2.10, chapter 32): which images may be loaded, and who may change that."""
