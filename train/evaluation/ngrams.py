"""A language model of characters that judges generated strings; no VAE is trained with it.

It has interpolated n-grams with the smoothing of Witten and Bell (1991, "The zero-frequency
problem", method C): in a context that occurs c times, before d different characters, the next
character's probability is (count + d * its probability in the context shorter by one) / (c + d).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

END = "\n"


class Ngrams:
    """A model of each character by the `order` - 1 before it.

    `symbols` is the number of characters of the alphabet and the end.
    """

    def __init__(self, items: Iterable[str], order: int, symbols: int) -> None:
        self.order, self.symbols = order, symbols
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.totals: Counter[str] = Counter()
        for item in items:
            for context, character in self._steps(item):
                for first in range(len(context) + 1):
                    self.counts[context[first:]][character] += 1
                    self.totals[context[first:]] += 1

    def _steps(self, item: str) -> Iterable[tuple[str, str]]:
        """Yield each character, and the end, after its context; END also begins a string."""
        text = END + item + END
        for place in range(1, len(text)):
            yield text[max(0, place - self.order + 1) : place], text[place]

    def probability(self, context: str, character: str) -> float:
        """Return the probability of a character after its context."""
        p = 1 / self.symbols
        for first in range(len(context), -1, -1):
            counts = self.counts.get(context[first:])
            if counts is None:
                break
            p = (counts[character] + len(counts) * p) / (self.totals[context[first:]] + len(counts))
        return p

    def nats(self, items: Iterable[str]) -> float:
        """Return the mean of -log p over all characters of the items, ends included."""
        logs = [
            math.log(self.probability(context, character))
            for item in items
            for context, character in self._steps(item)
        ]
        return -sum(logs) / len(logs)
