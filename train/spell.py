"""The second stage for text: a decoder that spells.

One pass decodes each character by itself, given z, so between the latents of two strings it mixes
them letter by letter. Encoder and prior stay as they are while the decoder learns to please a
language model too (a GRU, of the training set) with what it makes of draws from the prior, as far
as real strings please it and no further; the likelihood of reconstructions keeps x_hat at x. The
device runs the same graph as before, and never the language model.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from edgevae import sampling

from . import checkpoint
from .data import Data, as_float
from .fit import LOG_EVERY, averaging, batch_rows, cosine, progress, seed_step, set_rate
from .prior import encode


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


def nats(language: nn.Module, x: Tensor) -> Tensor:
    """-log p of each string's characters up to its end, expected under x: their mean, (N,)."""
    log_p = language(x)
    # Whether each place belongs to the string: no end came before it.
    alive = torch.cumprod(F.pad(1 - x[:, :-1, -1], (1, 0), value=1.0), dim=1)
    return -((x * log_p).sum(2) * alive).sum(1) / alive.sum(1)


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
    weight: float = 20.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Fine-tune the decoder of a finished first stage; return the checkpoint, written at the end.

    Where `content` has the stage already, that is all. `weight` is that of the nats a character,
    of prior draws, above those of real strings.
    """
    if "sharp" in content:
        return content
    batch = min(batch, len(data.train))
    steps = epochs * (len(data.train) // batch)
    model = checkpoint.build(content["architecture"])
    model.load_state_dict(content["ema"])
    model.to(engine.device)
    prior = checkpoint.prior(content)
    mu, logvar = encode(model, data.train)
    train = data.train.to(engine.device)
    language = learn(engine, train, 4, 2 * batch, seed)
    with torch.inference_mode():
        goal = nats(language, as_float(data.test.to(engine.device))).mean()

    average = averaging(model.decoder, steps)
    optimizer = torch.optim.AdamW(model.decoder.parameters(), lr=learning_rate, betas=(0.9, 0.99))
    decode, optimizer = engine.setup(model.decoder, optimizer)
    bar = progress(engine, "spell", steps * batch, 0)
    for step in range(steps):
        seed_step(seed + 1, step)
        set_rate(optimizer, learning_rate * cosine(step, steps, warmup=100))
        rows = batch_rows(len(train), batch, step, seed + 1)
        draws = sampling.draw(prior, batch, model.latent_dim, seed=seed, start=step * batch)
        z = torch.cat(
            [model.reparameterize(mu[rows], logvar[rows]), torch.from_numpy(draws).to(mu.device)]
        )
        kept, made = torch.softmax(decode(z).float(), dim=-1).split(batch)
        recon = -(as_float(train[rows]) * kept.clamp_min(1e-30).log()).flatten(1).sum(1).mean()
        spelled = nats(language, hardened(made)).mean()
        loss = recon + weight * F.relu(spelled - goal)
        optimizer.zero_grad(set_to_none=True)
        engine.backward(loss)
        optimizer.step()
        average.update_parameters(model.decoder)
        bar.update(batch)
        if step % LOG_EVERY == 0 or step == steps - 1:
            figures = {"recon": recon.item(), "nats": spelled.item(), "goal": goal.item()}
            bar.set_postfix({name: f"{value:.3f}" for name, value in figures.items()})
            engine.log_dict({f"spell_{name}": v for name, v in figures.items()}, step=step)
    bar.close()
    for logger in engine.loggers:
        logger.finalize("success")
    content["sharp"] = {"ema": average.module.state_dict(), "log_sigma": 0.0, "step": steps}
    checkpoint.save(out / "last.pt", content)
    return content
