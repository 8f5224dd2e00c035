"""Diagnostics of a device: verify a bundle, examine the machine, measure and tune the speed."""

from edgevae.diagnostics import bench, doctor, tune, verify

__all__ = ["bench", "doctor", "tune", "verify"]
