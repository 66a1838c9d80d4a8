"""From a PE file to the bytes that lie in guest memory, and who may do what with them."""

from shim.loader.image import LoadableImage, PeReader

__all__ = ["LoadableImage", "PeReader"]
