"""The data of a model: images, vectors, signals and text."""
