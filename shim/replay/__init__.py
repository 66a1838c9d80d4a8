"""Doing a run again: for the rows of its accesses, and to see that it is the same run."""

from shim.replay.replay import Replayed, replay

__all__ = ["Replayed", "replay"]
