"""Float images, channels first, become 8-bit images, channels last: one rounding, half up."""

from edgevae._core import pack

__all__ = ["pack"]
