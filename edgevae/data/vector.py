"""Vectors: items of numbers that may have names and units of their own."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from edgevae.data.features import Features
from edgevae.data.kind import Kind
from edgevae.json_fields import Fields


@dataclass(frozen=True)
class Vector(Kind):
    """Vectors of C features: float32 (C,). `features.impute` replaces NaN, if it is known."""

    name: ClassVar[str] = "vector"
    tabular: ClassVar[bool] = True

    features: Features | None = None

    def as_json(self) -> dict[str, Any]:
        features = {"features": self.features.as_json()} if self.features else {}
        return {**super().as_json(), **features}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        x = fields.fields("x")
        shape = x.shape("shape")
        return cls(shape, x.span("range"), Features.from_json(fields, shape[0]))
