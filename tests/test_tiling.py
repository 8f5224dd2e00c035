"""The positions of tiles, and the weight of each of their pixels."""

import numpy as np
import pytest

from edgevae.bundle import Tiles
from edgevae.tiling import spans

SIDE = 12  # of a tile, in cells


@pytest.mark.parametrize("receptive", [0, 1, 2, 5])
@pytest.mark.parametrize("overlap", [0, 1, 3, 6, 9, 11])
def test_weights_add_up_to_one_and_no_tile_is_used_near_its_cut(receptive, overlap):
    spec = Tiles(2, receptive, 0, 0.0)
    for size in range(SIDE, 61):
        tiles = spans(size, SIDE, overlap, spec)
        total = np.zeros(2 * size)
        for i, tile in enumerate(tiles):
            assert 0 <= tile.first <= size - SIDE
            total[2 * tile.first :][: 2 * SIDE] += tile.weights
            for other, seam in ((tiles[i - 1], i), (tiles[min(i + 1, len(tiles) - 1)], i + 1)):
                shared = SIDE - abs(other.first - tile.first)
                if 0 < seam < len(tiles) and shared >= 2 * receptive:
                    near_cut = (
                        slice(None, 2 * receptive)
                        if seam == i
                        else slice(2 * (SIDE - receptive), None)
                    )
                    assert not tile.weights[near_cut].any()
        np.testing.assert_allclose(total, 1, atol=1e-6)
        assert tiles[0].first == 0
        assert tiles[-1].first == size - SIDE
