"""The kinds of data by name, and the reader of a manifest's description of the data."""

from collections.abc import Mapping
from types import MappingProxyType

from edgevae.data.image import Image
from edgevae.data.kind import Kind
from edgevae.data.signal import Signal
from edgevae.data.text import Text
from edgevae.data.vector import Vector
from edgevae.json_fields import Fields

KINDS: Mapping[str, type[Kind]] = MappingProxyType(
    {kind.name: kind for kind in (Image, Vector, Signal, Text)}
)


def kind_from_json(fields: Fields) -> Kind:
    """Return the kind that a manifest describes. Raises `BundleError`."""
    kind = KINDS[fields.text("kind", tuple(KINDS))]
    if ("text" in fields) != kind.is_text:
        raise fields.bad("text", "there for kind 'text', and for no other")
    return kind.from_json(fields)
