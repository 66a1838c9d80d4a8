"""The protocols that the firmware offers, one file each."""
