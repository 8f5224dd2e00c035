"""The errors that edgevae raises on purpose.

    EdgeVAEError
    ├── BundleError     a bundle is missing, truncated, altered or of another schema
    ├── InputError      an argument has the wrong type, shape, dtype or value (also a ValueError)
    ├── ProviderError   a requested execution provider is not available
    └── CheckError      a computation does not reproduce its recorded results

A message says what was expected, what was found, where, and how to fix it.
"""


class EdgeVAEError(Exception):
    """Base class of the errors that edgevae raises on purpose."""


class BundleError(EdgeVAEError):
    """A bundle is missing, truncated, altered or of another schema."""


class InputError(EdgeVAEError, ValueError):
    """An argument has the wrong type, shape, dtype or value."""


class ProviderError(EdgeVAEError):
    """A requested execution provider is not available."""


class CheckError(EdgeVAEError):
    """A computation does not reproduce its recorded results."""


def show(value: object) -> str:
    """Return a value as errors show it, in at most 60 characters."""
    try:
        text = repr(value)
    except Exception:  # of an integer of 5,000 digits, of lists in lists, of the value's own class
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= 60 else f"{text[:57]}..."
