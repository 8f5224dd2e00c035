"""The positions of tiles, and the weights of their pixels."""

import numpy as np
import pytest

from edgevae.bundle import Tiles
from edgevae.tiling import places

SIDE = 12  # of a tile


@pytest.mark.parametrize("receptive", [0, 1, 2, 5])
@pytest.mark.parametrize("overlap", [0, 1, 3, 6, 9, 11])
def test_weights_add_up_to_one_and_no_tile_is_used_near_its_cut(receptive, overlap):
    spec = Tiles(2, receptive, 0, 0.0)
    for size in range(SIDE, 61):
        found = places(size, SIDE, overlap, spec)
        total = np.zeros(2 * size)
        for i, place in enumerate(found):
            assert 0 <= place.first <= size - SIDE
            total[2 * place.first :][: 2 * SIDE] += place.weights
            for cut, next_one in ((found[i - 1], i), (found[min(i + 1, len(found) - 1)], i + 1)):
                shared = SIDE - abs(cut.first - place.first)
                if 0 < next_one < len(found) and shared >= 2 * receptive:
                    near = (
                        slice(None, 2 * receptive)
                        if next_one == i
                        else slice(2 * (SIDE - receptive), None)
                    )
                    assert not place.weights[near].any()
        np.testing.assert_allclose(total, 1, atol=1e-6)
        assert found[0].first == 0
        assert found[-1].first == size - SIDE
