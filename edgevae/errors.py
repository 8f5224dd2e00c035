"""Every error that edgevae raises on purpose.

    EdgeVAEError
    ├── BundleError     a bundle is missing, truncated, altered or of another schema
    ├── InputError      an argument has the wrong type, shape, dtype or value (also a ValueError)
    ├── ProviderError   an execution provider that was asked for cannot be had
    └── CheckError      a computation does not give the answers it was proved to give

A message says what was expected, what came, where, and what to do.
"""


class EdgeVAEError(Exception):
    """The root: `except edgevae.EdgeVAEError` catches whatever edgevae refuses to do."""


class BundleError(EdgeVAEError):
    """A bundle is missing, truncated, altered or of another schema."""


class InputError(EdgeVAEError, ValueError):
    """An argument has the wrong type, shape, dtype or value."""


class ProviderError(EdgeVAEError):
    """An execution provider that was asked for cannot be had."""


class CheckError(EdgeVAEError):
    """A computation does not give the answers it was proved to give."""
