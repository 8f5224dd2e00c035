"""Reports on a bundle: distances, judges, pictures, language models."""
