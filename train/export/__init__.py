"""Bundles of checkpoints and of any other PyTorch VAE."""
