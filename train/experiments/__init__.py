"""Experiments beside published figures: likelihoods and anomalies."""
