"""Data sets: Fashion-MNIST, folders of images, tables, windows of signals, lines of text."""
