"""Pictures: benchmark charts, heat maps and maps of the latent space."""
