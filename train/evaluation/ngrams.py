"""A language model of characters to judge made-up strings by: none of ours, and none of a VAE.

Interpolated n-grams with Witten and Bell's smoothing (1991, "The zero-frequency problem", method
C): in a context seen c times, before d different characters, the next character's probability is
(count + d * its probability in the context shorter by one) / (c + d).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

END = "\n"


class Ngrams:
    """Of the `order` - 1 characters before each; `symbols` counts the alphabet's and the end."""

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
        """Each character, and the end, with the context it is judged in; END also begins."""
        whole = END + item + END
        for place in range(1, len(whole)):
            yield whole[max(0, place - self.order + 1) : place], whole[place]

    def probability(self, context: str, character: str) -> float:
        p = 1 / self.symbols
        for first in range(len(context), -1, -1):
            seen = self.counts.get(context[first:])
            if seen is None:
                break
            p = (seen[character] + len(seen) * p) / (self.totals[context[first:]] + len(seen))
        return p

    def nats(self, items: Iterable[str]) -> float:
        """-log p of a character, the end among them: the mean over all of the items."""
        logs = [
            math.log(self.probability(context, character))
            for item in items
            for context, character in self._steps(item)
        ]
        return -sum(logs) / len(logs)
