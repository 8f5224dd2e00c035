"""Latents: posteriors, paths and variations."""
