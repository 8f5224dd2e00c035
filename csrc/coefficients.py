"""Fit the polynomials of normal.h and scale.h and print them with their errors.

Each polynomial is a minimax fit in float64, by Lawson's iteratively reweighted least squares on a
dense grid. The coefficients are then rounded to float32 one after the other, lowest first, and the
remaining ones are fitted again after each. Leading coefficients that must be exact are constants.
"""

import numpy as np


def lawson(basis: np.ndarray, target: np.ndarray, rounds: int = 300) -> np.ndarray:
    """Return the coefficients c that minimise max |basis @ c - target|."""
    weight = np.full(len(target), 1.0 / len(target))
    for _ in range(rounds):
        root = np.sqrt(weight)
        fit = np.linalg.lstsq(basis * root[:, None], target * root, rcond=None)[0]
        weight *= np.abs(basis @ fit - target) + 1e-30
        weight /= weight.sum()
    return fit


def fit(
    name: str, x: np.ndarray, f: np.ndarray, scale: np.ndarray, fixed: list[float], n: int
) -> list[float]:
    """Return n float32 coefficients c such that sum(c[k] x**k) approximates f.

    The fit minimises the largest error * scale. The first coefficients are those in `fixed`.
    """
    powers = x[:, None] ** np.arange(n)
    coefficients = [float(np.float32(c)) for c in fixed]
    while len(coefficients) < n:
        k = len(coefficients)
        residual = (f - powers[:, :k] @ np.array(coefficients)) * scale if k else f * scale
        fitted = lawson(powers[:, k:] * scale[:, None], residual)
        coefficients.append(float(np.float32(fitted[0])))
    error = np.abs((powers @ np.array(coefficients) - f) * scale).max()
    print(f"{name}: max error {error:.2e}")
    for c in coefficients:
        print(f"    {c.hex()}  {c:.9g}")
    return coefficients


def shift_ulps(c: list[float], ulps: list[int]) -> list[str]:
    """Return c in hexadecimal, each moved away from 0 by its number of units in the last place."""
    bits = np.float32(c).view(np.int32) + np.int32(ulps)
    return [float(x).hex() for x in bits.view(np.float32)]


def main() -> None:
    chebyshev = np.cos(np.pi * (np.arange(20001) + 0.5) / 40002)  # (0, 1), dense at 1

    # -2 ln m = s P(s^2), s = (m - 1) / (m + 1), m in [sqrt(1/2), sqrt(2)): error relative
    s = chebyshev * (np.sqrt(2) - 1) / (np.sqrt(2) + 1)
    value = -4 * np.arctanh(s) / s
    fit("log", s**2, value, 1 / value, [-4.0], 3)

    # cos(pi q / 2) and sin(pi q / 2) / q, q in [-1/2, 1/2): error absolute
    q = chebyshev / 2
    cos = fit("cos", q**2, np.cos(np.pi / 2 * q), q**0, [1.0], 4)
    # A search of the neighbours with tests/native/check_error.c found these to have the smallest
    # error after rounding.
    print("cos as used:", *shift_ulps(cos, [0, 1, 4, -800]))
    fit("sin", q**2, np.sin(np.pi / 2 * q) / q, q, [], 4)

    # exp(f / 2), f in [-ln 2, ln 2]: error relative
    f = np.concatenate([chebyshev, -chebyshev]) * np.log(2)
    fit("exp", f, np.exp(f / 2), np.exp(-f / 2), [1.0], 6)


if __name__ == "__main__":
    main()
