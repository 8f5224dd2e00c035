"""Stream 1 in numpy, operation by operation, and the golden file that freezes it.

    python tests/golden/make_golden.py > tests/golden/golden_normal.txt

Written against the text of normal.h and philox.h, sharing no code with them: every uint32 and
float32 operation below is one rounded numpy operation.
"""

from collections.abc import Iterator

import numpy as np

F = np.float32


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Philox4x32-10 of counter (..., 4) uint32 -> (..., 4) uint32."""
    c = [counter[..., i].astype(np.uint64) for i in range(4)]
    low = np.uint64(0xFFFFFFFF)
    for r in range(10):
        k0 = np.uint64((key[0] + 0x9E3779B9 * r) & 0xFFFFFFFF)
        k1 = np.uint64((key[1] + 0xBB67AE85 * r) & 0xFFFFFFFF)
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        shift = np.uint64(32)
        c = [(p1 >> shift) ^ c[1] ^ k0, p1 & low, (p0 >> shift) ^ c[3] ^ k1, p0 & low]
    return np.stack(c, axis=-1).astype(np.uint32)


def polynomial(x: np.ndarray, *coefficients: str) -> np.ndarray:
    """Horner in float32; coefficients from the highest power down."""
    value = F(float.fromhex(coefficients[0]))
    for c in coefficients[1:]:
        value = value * x + F(float.fromhex(c))
    return value


def radius(a: np.ndarray) -> np.ndarray:
    """sqrt(-2 ln u), u = float32((a & 0x7fffffff) | 1) / 2^31."""
    u = ((a & np.uint32(0x7FFFFFFF)) | np.uint32(1)).astype(np.int32).astype(F)
    bits = u.view(np.uint32)
    exponent = (bits - np.uint32(0x4EB504F3)) & np.uint32(0xFF800000)
    m = (bits - exponent).view(F)
    one = F(2.0**31)
    t = (m - one) / (m + one)
    p = polynomial(t * t, "-0x1.a5e85ep-1", "-0x1.5546dcp+0", "-0x1p+2")
    return np.sqrt(exponent.view(np.int32).astype(F) * F(float.fromhex("-0x1.62e43p-23")) + t * p)


def pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two normals for each (a, b)."""
    q = ((b >> np.uint32(9)) | np.uint32(0x3F800000)).view(F) - F(1.5)
    q2 = q * q
    c = polynomial(q2, "-0x1.4eaad2p-6", "0x1.03b196p-2", "-0x1.3bd3a4p+0", "0x1p+0")
    s = polynomial(q2, "-0x1.2a7638p-8", "0x1.46496cp-4", "-0x1.4abb68p-1", "0x1.921fb4p+0") * q
    c = np.where(b & np.uint32(1), -c, c)
    swap = (b & np.uint32(2)) != 0
    r = radius(a)
    return r * np.where(swap, s, c), r * np.where(swap, c, s)


def normal(
    rows: int, dims: int, *, seed: int, start: int, first_dim: int, purpose: int, draw: int
) -> np.ndarray:
    """float32 (rows, dims) of the stream."""
    first, last = first_dim // 4, (first_dim + dims - 1) // 4
    index = [(start + i) % 2**64 for i in range(rows)]
    counter = np.empty((rows, last - first + 1, 4), np.uint32)
    counter[..., 0] = np.arange(first, last + 1, dtype=np.uint64).astype(np.uint32)
    counter[..., 1] = np.array([i & 0xFFFFFFFF for i in index], np.uint32)[:, None]
    counter[..., 2] = np.array([i >> 32 for i in index], np.uint32)[:, None]
    counter[..., 3] = purpose + 256 * draw
    w = philox(counter, (seed & 0xFFFFFFFF, seed >> 32))
    z = np.empty(w.shape, F)
    z[..., 0], z[..., 2] = pair(w[..., 0], w[..., 2])
    z[..., 1], z[..., 3] = pair(w[..., 1], w[..., 3])
    lead = first_dim - 4 * first
    return z.reshape(rows, -1)[:, lead : lead + dims]


CASES = [  # seed, start, first_dim, purpose, draw, rows, dims
    (0, 0, 0, 0, 0, 4, 32),
    (7, 400, 0, 0, 0, 5, 20),
    (2**64 - 1, 2**64 - 2, 0, 1, 2**24 - 1, 5, 8),
    (0x0123456789ABCDEF, 2**32 - 3, 5, 3, 9, 6, 11),
    (42, 2**40 + 1, 2**34 - 16, 2, 1, 2, 16),
    (3, 1, 4095, 0, 0, 1, 130),
]


def lines() -> Iterator[str]:
    yield "# seed start first_dim purpose draw rows dims, then the bits of float32 [rows][dims]"
    for seed, start, first_dim, purpose, draw, rows, dims in CASES:
        yield f"{seed} {start} {first_dim} {purpose} {draw} {rows} {dims}"
        z = normal(
            rows, dims, seed=seed, start=start, first_dim=first_dim, purpose=purpose, draw=draw
        )
        bits = np.ascontiguousarray(z).view(np.uint32).ravel()
        for i in range(0, len(bits), 10):
            yield " ".join(f"{b:08x}" for b in bits[i : i + 10])


if __name__ == "__main__":
    print("\n".join(lines()))
