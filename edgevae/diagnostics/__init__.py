"""Verification, examination, measurement and tuning on a device."""
