"""Conversion of float images, channels first, to 8-bit images, channels last."""

from edgevae._core import pack

__all__ = ["pack"]
