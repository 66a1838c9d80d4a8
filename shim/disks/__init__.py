"""Disks of the guest that are made of what the host has: folders and image files, which are read only."""
