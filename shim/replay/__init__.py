"""Doing a run again: for the rows of its accesses, for who wrote what, and to see that it is the same run."""

from shim.replay.origins import find_origins
from shim.replay.replay import Given, Replayed, replay

__all__ = ["Given", "Replayed", "find_origins", "replay"]
