"""Names of files that are made of names from data: an id, a string, another file's name."""

import re
from unicodedata import normalize

from edgevae.files.batches import Id

DIGITS = 6  # of a number, at least, so that names sort
MAX_BYTES = 200  # of a name in UTF-8; file systems take 255, suffix and number included
# Names that stand for devices on Windows, whatever their suffix.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE
)


class FileNames:
    """Safe names of files, without a suffix: none is a path, no two are the same file.

    Names that differ in case, or in the form of their accents, alone are one file on some systems.
    So a name that was given before, in this sense, gets a number.
    """

    def __init__(self, digits: int = DIGITS) -> None:
        self._digits = digits
        self._copies: dict[str, int] = {}  # how often each name was given, by what compares

    def name(self, own_id: Id) -> str:
        """Return the name of the file of an id, which resembles it.

        A number has at least `digits` digits. In a string, characters that may not stand in a file
        name on any system become "_", and a long string is cut.
        """
        plain = _safe(f"{own_id:0{self._digits}d}" if type(own_id) is int else str(own_id))
        name, copies = plain, self._copies.get(_compared(plain), 0)
        while _compared(name) in self._copies:
            copies += 1
            name = f"{plain}-{copies}"
        self._copies[_compared(plain)] = max(copies, 1)
        self._copies.setdefault(_compared(name), 1)
        return name


def _safe(text: str) -> str:
    """Return a text as a file name that every system takes and that stays in its folder."""
    plain = re.sub(r"[^\w .,=@+-]|^[. ]", "_", normalize("NFC", text[:MAX_BYTES]))
    plain = plain.encode()[:MAX_BYTES].decode(errors="ignore")
    plain = re.sub(r"[. ]$", "_", plain)
    return f"_{plain}" if not plain or _DEVICE.match(plain) else plain


def _compared(name: str) -> str:
    return normalize("NFC", name.casefold())
