"""Text: strings of an alphabet, as one-hot rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.data.items import Floats, Items, Range
from edgevae.data.kind import Kind, check_dtype, type_name
from edgevae.errors import InputError, show
from edgevae.json_fields import Fields

Strings = npt.NDArray[np.str_]

CASES = ("as given", "title")


@dataclass(frozen=True)
class Text(Kind):
    """Strings of at most `length` characters of an alphabet: float32 (length, symbols), one-hot.

    Row i of an item stands for character i. The last of the len(alphabet) + 1 symbols is the end,
    which fills the rows after the last character. If `case` is "title", the alphabet is in lower
    case: strings are lowered before they are encoded, and decoded strings are in title case.
    """

    name: ClassVar[str] = "text"
    is_text: ClassVar[bool] = True

    x_shape: tuple[int, ...] = field(init=False)
    x_range: Range | None = field(default=(0.0, 1.0), kw_only=True)
    alphabet: str
    length: int
    case: str = "as given"
    # The code points of the symbols; that of the end is 0.
    _points: npt.NDArray[np.uint32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "x_shape", (self.length, len(self.alphabet) + 1))
        object.__setattr__(self, "_points", np.array([*map(ord, self.alphabet), 0], "<u4"))
        super().__post_init__()

    def read(self, x: Any) -> Items:
        """Return a caller's strings as one-hot rows, float32 (N, length, symbols).

        x is a str, which gives a str back, a list of str, which gives a list back, or float32 rows
        as `decode` returns them. Raises `InputError` for a character that the alphabet lacks and
        for a string that is too long.
        """
        if isinstance(x, str):
            rows = self.one_hot([self.fitting(x, "x")])
            return Items(rows, lambda x_hat: self.strings(x_hat).tolist(), single=True)
        if isinstance(x, (list, tuple)) and any(isinstance(item, str) for item in x):
            items = [self.fitting(item, f"item {i} of the list") for i, item in enumerate(x)]
            return Items(self.one_hot(items), lambda x_hat: self.strings(x_hat).tolist())
        if isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.dtype.kind == "f"):
            return super().read(x)
        raise InputError(
            f"x: expected a str, a list of str, or one-hot float32 (N, {self.length}, "
            f"{len(self.alphabet) + 1}), got {type_name(x)}; list(x) or x.tolist() makes a list"
        )

    def fitting(self, item: Any, where: str) -> str:
        """Return a string in the alphabet's case.

        Raises `InputError`, which begins with `where`, if it does not fit the alphabet or length.
        """
        if not isinstance(item, str):
            raise InputError(
                f"{where}: expected a str as the others are, got a {type(item).__name__}"
            )
        folded = item.lower() if self.case == "title" else item
        for position, character in enumerate(folded):
            if character not in self.alphabet:
                raise InputError(
                    f"{where}: {show(item)} has {character!r} at position {position} (from 0), not "
                    f"one of the model's alphabet, {self.alphabet!r}; remove or replace it"
                )
        if len(folded) > self.length:
            raise InputError(
                f"{where}: {show(item)} has {len(folded)} characters, expected at most "
                f"{self.length}; shorten it"
            )
        return folded

    def one_hot(self, items: Sequence[str]) -> Floats:
        """Return strings that are `fitting` as float32 (N, length, symbols)."""
        place = {character: code for code, character in enumerate(self.alphabet)}
        codes = np.full((len(items), self.length), len(place))
        for row, item in zip(codes, items, strict=True):
            row[: len(item)] = [place[character] for character in item]
        rows: Floats = np.eye(len(place) + 1, dtype=np.float32)[codes]
        return rows

    def strings(self, x_hat: Floats, out: Strings | None = None) -> Strings:
        """Return the most likely characters of x_hat (N, length, symbols), up to the first end.

        The result is an array (N,) of str: `out`, or a new one.
        """
        points = self._points[x_hat.argmax(axis=2)]
        # One string of all rows, because its parts cost less than numpy's functions of strings.
        text, length = points.tobytes().decode("utf-32-le", "surrogatepass"), self.length
        decoded = [
            text[first : first + length].partition("\0")[0] for first in range(0, len(text), length)
        ]
        if self.case == "title":
            decoded = [*map(str.title, decoded)]
        if out is None:
            return np.array(decoded, f"U{length}")
        out[...] = decoded
        return out

    def allocate(
        self,
        n: int,
        dtype: str = "float32",
        out: npt.NDArray[Any] | None = None,
        *,
        owner: str = "the model",
    ) -> npt.NDArray[Any]:
        check_dtype(dtype)
        if dtype != "float32" or out is not None:
            raise InputError(
                f"{'out' if dtype == 'float32' else 'dtype'}: expected none, since {owner} returns "
                f"a list of str; decode(sample(n)) returns float32"
            )
        return checks.output_array((n,), f"U{self.length}")

    def finish(self, x_hat: Floats, out: npt.NDArray[Any]) -> None:
        self.strings(x_hat, out)

    def result(self, out: npt.NDArray[Any]) -> list[str]:
        strings: list[str] = out.tolist()
        return strings

    def default_output(self, stem: str, image_suffix: str) -> str:
        return "-"

    def as_json(self) -> dict[str, Any]:
        spelling = {"alphabet": self.alphabet, "length": self.length, "case": self.case}
        return {**super().as_json(), "text": spelling}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        x, spelling = fields.fields("x"), fields.fields("text")
        alphabet = spelling.text("alphabet")
        if len(set(alphabet)) != len(alphabet) or "\0" in alphabet:
            raise spelling.bad("alphabet", "a string of distinct characters without NUL")
        text = cls(
            alphabet,
            spelling.count("length"),
            spelling.text("case", CASES),
            x_range=x.span("range"),
        )
        if text.case == "title" and alphabet != alphabet.lower():
            raise spelling.bad("alphabet", "in lower case, as case is 'title'")
        if x.shape("shape") != text.x_shape:
            raise x.bad("shape", "[length, characters of the alphabet and 1] for text")
        return text
