"""The second stage for text: a VAE that spells.

One pass decodes each character by itself, given z, so between the latents of two strings it mixes
them letter by letter. Trained on, the VAE is to please a language model too (a GRU, of the
training set) with what it decodes of draws from N(0, I): as far as real strings please it but for
a margin, no further, and not by being shorter. Its own loss keeps x_hat at x. The device runs the
same graphs as before, and never the language model.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from train.data.dataset import Data, as_float
from train.model import checkpoint, elbo
from train.stages.fit import (
    LOG_EVERY,
    averaging,
    batch_rows,
    cosine,
    end,
    progress,
    seed_step,
    set_rate,
    show,
)


class LanguageModel(nn.Module):
    """x (N, length, symbols), one-hot or probabilities -> log p of each symbol after those before.

    The end is the last symbol; the state before the first character is learned.
    """

    def __init__(self, symbols: int, width: int = 160) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(symbols))
        self.embed = nn.Linear(symbols, 64, bias=False)
        self.state = nn.GRU(64, width, batch_first=True)
        self.next = nn.Linear(width, symbols)

    def forward(self, x: Tensor) -> Tensor:
        before = torch.cat([self.start.expand(len(x), 1, -1), x[:, :-1]], dim=1)
        states, _ = self.state(self.embed(before))
        return torch.log_softmax(self.next(states).float(), dim=-1)


def alive(x: Tensor) -> Tensor:
    """Whether each place of x belongs to its string, the end included: (N, length)."""
    return torch.cumprod(F.pad(1 - x[:, :-1, -1], (1, 0), value=1.0), dim=1)


def nats(language: nn.Module, x: Tensor) -> Tensor:
    """-log p of each string's characters up to its end, expected under x: their mean, (N,)."""
    log_p, places = (x * language(x)).sum(2), alive(x)
    return -(log_p * places).sum(1) / places.sum(1)


def learn(
    engine: Fabric, train: Tensor, epochs: int, batch: int, seed: int, rate: float = 4e-3
) -> nn.Module:
    """A language model of the training strings."""
    torch.manual_seed(seed)
    bare = LanguageModel(train.shape[2]).to(engine.device)
    optimizer = torch.optim.AdamW(bare.parameters(), lr=rate)
    language, optimizer = engine.setup(bare, optimizer)
    steps = epochs * (len(train) // batch)
    bar = progress(engine, "language", steps * batch, 0)
    for step in range(steps):
        set_rate(optimizer, rate * cosine(step, steps, warmup=10))
        x = as_float(train[batch_rows(len(train), batch, step, seed)])
        loss = nats(language, x).mean()
        optimizer.zero_grad(set_to_none=True)
        engine.backward(loss)
        engine.clip_gradients(language, optimizer, max_norm=1.0)
        optimizer.step()
        bar.update(batch)
        if step % LOG_EVERY == 0:
            bar.set_postfix({"nats": f"{loss.item():.3f}"})
    bar.close()
    return language.requires_grad_(False)


def hardened(x_hat: Tensor) -> Tensor:
    """The likeliest symbols, one-hot, with the gradient of the probabilities (straight through)."""
    hard = F.one_hot(x_hat.argmax(2), x_hat.shape[2]).to(x_hat.dtype)
    return hard + x_hat - x_hat.detach()


def spell(
    engine: Fabric,
    content: dict[str, Any],
    data: Data,
    out: Path,
    *,
    epochs: int,
    batch: int = 256,
    learning_rate: float = 1e-3,
    beta: float = 0.25,
    weight: float = 20.0,
    margin: float = 0.15,
    length_weight: float = 10.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Train a finished first stage on; return the checkpoint, written at the end.

    Where `content` has the stage already, that is all. `beta` is the KL's weight, small, so that
    strings still come back. `weight` is that of the nats a character, of draws decoded, above
    those of real strings and the `margin`; `length_weight` that of the squared difference of
    their mean lengths.
    """
    if "spelled" in content:
        return content
    batch = min(batch, len(data.train))
    steps = epochs * (len(data.train) // batch)
    train = data.train.to(engine.device)
    language = learn(engine, train, 3, batch, seed)
    with torch.inference_mode():
        real = as_float(train[:10_000])
        goal, length = nats(language, real).mean() + margin, alive(real).sum(1).mean()

    bare = checkpoint.build(content["architecture"])
    bare.load_state_dict(content["ema"])
    bare.to(engine.device)
    average = averaging(bare, steps)
    optimizer = torch.optim.AdamW(bare.parameters(), lr=learning_rate, betas=(0.9, 0.99))
    model, optimizer = engine.setup(bare, optimizer)
    model.mark_forward_method("decode")
    bar = progress(engine, "spell", steps * batch, 0)
    for step in range(steps):
        seed_step(seed + 1, step)
        set_rate(optimizer, learning_rate * cosine(step, steps, warmup=100))
        x = as_float(train[batch_rows(len(train), batch, step, seed + 1)])
        loss, recon, kl = elbo.loss(model, x, x, beta)
        made = hardened(model.decode(torch.randn(batch, bare.latent_dim, device=x.device)))
        spelled, longer = nats(language, made).mean(), alive(made).sum(1).mean() - length
        optimizer.zero_grad(set_to_none=True)
        engine.backward(loss + weight * F.relu(spelled - goal) + length_weight * longer.square())
        optimizer.step()
        average.update_parameters(bare)
        bar.update(batch)
        if step % LOG_EVERY == 0 or step == steps - 1:
            figures = {"recon": recon, "kl": kl, "nats": spelled, "goal": goal, "longer": longer}
            show(engine, bar, "spell", figures, step)
    end(engine, bar)
    content.pop("prior", None)  # which was fitted to other latents
    content["spelled"] = {"ema": average.module.state_dict(), "step": steps}
    checkpoint.save(out / "last.pt", content)
    return content
