"""The VAE in PyTorch: networks, prior, ELBO and checkpoints."""
