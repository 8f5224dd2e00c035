"""Batches, shares of processes and noise."""

import pytest
import torch

from train.stages.loop import batch_rows, corrupt, own_share


def test_a_batch_that_processes_cannot_share_is_refused():
    class Three:
        world_size, global_rank = 3, 1

    assert own_share(Three, 9) == slice(3, 6)
    with pytest.raises(ValueError, match="multiple of 3"):
        own_share(Three, 128)


def test_vectors_are_corrupted_in_their_own_units():
    torch.manual_seed(0)
    noise = 0.5 * torch.tensor([1e-3, 1.0, 1e3])
    spread = corrupt(torch.zeros(4000, 3), noise, share=1).std(0)
    torch.testing.assert_close(spread / spread[1], noise / noise[1], rtol=0.1, atol=0)


def test_each_epoch_visits_every_item_once_in_a_new_order():
    epochs = [
        torch.cat([batch_rows(12, 4, step, seed=1) for step in range(first, first + 3)])
        for first in (0, 3)
    ]
    assert all(epoch.sort().values.tolist() == list(range(12)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_corruption_adds_the_noise_that_it_says():
    torch.manual_seed(0)
    x = torch.zeros(4000, 1, 8, 8)
    sigma = corrupt(x, noise=0.5, share=0.25).flatten(1).std(1)
    assert (sigma > 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert sigma.max() == pytest.approx(0.5, abs=0.15)
    assert sigma[sigma > 0].mean() == pytest.approx(0.25, abs=0.03)
