"""Denoise images: combine a noisy image with its reconstruction.

The reconstruction x_hat has less noise than the noisy image but lacks fine detail, so under light
noise it is farther from the clean image x than the noisy image is. `blend` weighs the two, first
in each frequency band of the cosine transform, then by the local contrast:

    b = a noisy + c x_hat      in each band, with the a and c of the least squared error from x on
                               training images (a Wiener filter of two observations)
    x ~ x_hat + g (b - x_hat)  at each pixel, with a g that depends on the contrast of x_hat around
                               it: in flat areas x_hat has little error, and the difference of b is
                               mostly noise

`fit` measures a, c and g on training images at several noise levels sigma; in between, they are
interpolated. If sigma is not known, `estimate_sigma` estimates it from each image. An image of 8
bits has its noise clipped at black and white; `restore_clipped` replaces clipped pixels by their
expected values before the two images are combined.
"""

from edgevae.denoising.denoise import denoise
from edgevae.denoising.fit import fit
from edgevae.denoising.table import FILE, Table, read

__all__ = ["FILE", "Table", "denoise", "fit", "read"]
