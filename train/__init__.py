"""Train a VAE in PyTorch and export it as a bundle: a workstation's work, never in the wheel."""
