"""Diagnostics of a device: verify a bundle, examine the machine, measure and tune the speed.

Each module is imported by itself, so that `numpy_import` runs where NumPy cannot be imported.
"""

__all__ = ["bench", "doctor", "finding", "numpy_import", "tune", "verify"]
