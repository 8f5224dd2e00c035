"""The second stage for text: a VAE whose samples are plausible strings (`--sharpen`).

One pass decodes each character independently, given z, so that between the latents of two strings
the decoder mixes them letter by letter. This stage trains the VAE further, with another loss beside
its own: a language model (a GRU, trained on the training set) should find decoded draws from
N(0, I) as likely as real strings, up to a margin, and their mean length should be that of real
strings. The language model is not exported, and the exported graphs have the same layers as before.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.data.dataset import Data, as_float
from train.model import elbo
from train.stages.finetune_decoder import check_sharpen
from train.stages.loop import Figures, Run, Trainer, averaging, train
from train.stages.schedule import Schedule

LEARNING_RATE, LANGUAGE_RATE = 1e-3, 4e-3
LANGUAGE_EPOCHS = 3
LANGUAGE_WARMUP = 10  # steps
BETA = 0.25  # the weight of the KL: small, so that strings are still reconstructed
WEIGHT = 20.0  # of the nats a character by which draws are less likely than real strings
MARGIN = 0.15  # nats a character of that difference that cost nothing
LENGTH_WEIGHT = 10.0  # of the squared difference of the mean lengths
REAL_ITEMS = 10_000  # training strings that draws are compared with


class FinetuneText:
    """Train a VAE of text further, so that decoded draws are as likely as real strings.

    The stage writes one checkpoint, at its end.
    """

    name = "spell"

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def check(self, data: Data, variational: bool) -> None:
        check_sharpen(data.kind, variational)

    def run(self, run: Run) -> None:
        if run.checkpoint.finetune_text is not None:
            return
        language = train_language_model(run)
        schedule = run.schedule(self.name, self.epochs, LEARNING_RATE, seed_offset=1)
        trainer = TextTrainer(run, schedule, language)
        train(run, schedule, trainer)
        run.checkpoint.has_prior = False  # the prior, if any, was fitted to other latents
        run.checkpoint.prior = None
        run.checkpoint.finetune_text = trainer.state(schedule.steps)
        run.save()


class TextTrainer(Trainer):
    """The whole model and one optimizer, beside a language model that does not learn."""

    def __init__(self, run: Run, schedule: Schedule, language: nn.Module) -> None:
        self.run, self.language = run, language
        self.items = run.data.train.to(run.fabric.device)
        with torch.inference_mode():
            real = as_float(self.items[:REAL_ITEMS])
            self.goal = nats(language, real).mean() + MARGIN
            self.length = alive(real).sum(1).mean()
        self.bare = run.checkpoint.fitted_model().to(run.fabric.device)
        self.average = averaging(self.bare, schedule.steps)
        self.parts = {"ema": self.average.module}
        optimizer = torch.optim.AdamW(self.bare.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
        self.model, self.optimizer = run.fabric.setup(self.bare, optimizer)
        self.model.mark_forward_method("decode")
        self.optimizers = [self.optimizer]

    def step(self, rows: Tensor, step: int) -> Figures:
        x = as_float(self.items[rows])
        loss, recon, kl = elbo.loss(self.model, x, x, BETA)
        z = torch.randn(len(x), self.bare.latent_dim, device=x.device)
        drawn = hardened(self.model.decode(z))
        unlikely = nats(self.language, drawn).mean()
        longer = alive(drawn).sum(1).mean() - self.length
        self.optimizer.zero_grad(set_to_none=True)
        self.run.fabric.backward(
            loss + WEIGHT * F.relu(unlikely - self.goal) + LENGTH_WEIGHT * longer.square()
        )
        self.optimizer.step()
        self.average.update_parameters(self.bare)
        return {
            "recon": recon, "kl": kl, "nats": unlikely, "goal": self.goal, "longer": longer
        }  # fmt: skip


def hardened(x_hat: Tensor) -> Tensor:
    """Return the likeliest symbols, one-hot, with the gradient of x_hat (straight through)."""
    hard = F.one_hot(x_hat.argmax(2), x_hat.shape[2]).to(x_hat.dtype)
    return hard + x_hat - x_hat.detach()


# --- the language model ----------------------------------------------------------------------


class LanguageModel(nn.Module):
    """Map x (N, length, symbols), one-hot or probabilities, to log p of each symbol.

    A symbol's probability is conditional on the symbols before it. The last symbol marks the end;
    the input before the first character is learned.
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
    """Return 1 where a place of x belongs to its string, the end included, else 0: (N, length)."""
    return torch.cumprod(F.pad(1 - x[:, :-1, -1], (1, 0), value=1.0), dim=1)


def nats(language: nn.Module, x: Tensor) -> Tensor:
    """Return the mean -log p of each string's characters up to its end, expected under x: (N,)."""
    log_p, places = (x * language(x)).sum(2), alive(x)
    return -(log_p * places).sum(1) / places.sum(1)


def train_language_model(run: Run) -> nn.Module:
    """Return a language model of the training strings."""
    torch.manual_seed(run.checkpoint.recipe.seed)
    schedule = run.schedule("language", LANGUAGE_EPOCHS, LANGUAGE_RATE, warmup=LANGUAGE_WARMUP)
    trainer = LanguageTrainer(run, schedule)
    train(run, schedule, trainer)
    return trainer.model.requires_grad_(False)


class LanguageTrainer(Trainer):
    """The language model, and one optimizer."""

    def __init__(self, run: Run, schedule: Schedule) -> None:
        self.run = run
        self.items = run.data.train.to(run.fabric.device)
        bare = LanguageModel(self.items.shape[2]).to(run.fabric.device)
        optimizer = torch.optim.AdamW(bare.parameters(), lr=schedule.learning_rate)
        self.model, self.optimizer = run.fabric.setup(bare, optimizer)
        self.optimizers = [self.optimizer]

    def step(self, rows: Tensor, step: int) -> Figures:
        loss = nats(self.model, as_float(self.items[rows])).mean()
        self.optimizer.zero_grad(set_to_none=True)
        self.run.fabric.backward(loss)
        self.run.fabric.clip_gradients(self.model, self.optimizer, max_norm=1.0)
        self.optimizer.step()
        return {"nats": loss}
