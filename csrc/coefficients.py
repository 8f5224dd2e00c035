"""Fits the polynomials of normal.h and scale.h and prints them with their errors.

Each is a minimax fit (Lawson's iteratively reweighted least squares on a dense grid) in float64;
then the coefficients are rounded to float32 one after the other, lowest first, and the others are
fitted again around each that has been fixed. Leading coefficients that must be exact are given.
"""

import numpy as np


def lawson(basis: np.ndarray, target: np.ndarray, rounds: int = 300) -> np.ndarray:
    """Coefficients that minimise max |basis @ c - target|; target is scaled by the caller."""
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
    """n float32 coefficients c with sum(c[k] x**k) ~ f, the error measured as error * scale."""
    powers = x[:, None] ** np.arange(n)
    done = [float(np.float32(c)) for c in fixed]
    while len(done) < n:
        left = slice(len(done), n)
        rest = (f - powers[:, : len(done)] @ np.array(done)) * scale if done else f * scale
        done.append(float(np.float32(lawson(powers[:, left] * scale[:, None], rest)[0])))
    error = np.abs((powers @ np.array(done) - f) * scale).max()
    print(f"{name}: max error {error:.2e}")
    for c in done:
        print(f"    {c.hex()}  {c:.9g}")
    return done


def moved(c: list[float], ulps: list[int]) -> list[str]:
    """c, each moved away from zero by so many units in the last place."""
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
    # Found by trying neighbours under tests/native/check_error.c: the roundings hurt less here.
    print("cos as used:", *moved(cos, [0, 1, 4, -800]))
    fit("sin", q**2, np.sin(np.pi / 2 * q) / q, q, [], 4)

    # exp(f / 2), f in [-ln 2, ln 2]: error relative
    f = np.concatenate([chebyshev, -chebyshev]) * np.log(2)
    fit("exp", f, np.exp(f / 2), np.exp(-f / 2), [1.0], 6)


if __name__ == "__main__":
    main()
