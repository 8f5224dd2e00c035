"""Anomaly scores and their calibration."""
