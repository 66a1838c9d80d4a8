"""Doing a run again: for the rows of its accesses, and to see that it is the same run."""

from shim.replay.replay import Replayed, find_initrd, find_payload, replay

__all__ = ["Replayed", "find_initrd", "find_payload", "replay"]
