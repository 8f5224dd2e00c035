"""The cosine transform of images, and the frequency bands that share a gain."""

import functools
import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def bands(size: int) -> npt.NDArray[np.intp]:
    """Return the band of each of `size` frequencies: (size,). Higher bands are wider."""
    edges = np.unique(np.round(np.geomspace(1, size, 15)).astype(int))
    edges[0] = 0
    band: npt.NDArray[np.intp] = np.searchsorted(edges[:-1], np.arange(size), side="right") - 1
    return band


def dct(images: Floats) -> Floats:
    """Return the orthonormal cosine transform (DCT-II) of images (N, C, H, W)."""
    height, width = images.shape[2:]
    coefficients: Floats = np.matmul(np.matmul(_dct_matrix(height), images), _dct_matrix(width).T)
    return coefficients


def inverse_dct(coefficients: Floats) -> Floats:
    """Return the images (N, C, H, W) that have the coefficients of `dct`."""
    height, width = coefficients.shape[2:]
    images: Floats = np.matmul(np.matmul(_dct_matrix(height).T, coefficients), _dct_matrix(width))
    return images


@functools.cache
def _dct_matrix(size: int) -> Floats:
    """Return the matrix (size, size) whose rows are cosines of ascending frequency."""
    frequency, pixel = np.ogrid[:size, :size]
    basis = np.sqrt(2 / size) * np.cos(np.pi * frequency * (2 * pixel + 1) / (2 * size))
    basis[0] /= math.sqrt(2)
    matrix: Floats = basis.astype(np.float32)
    return matrix
