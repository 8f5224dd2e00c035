"""Signals: windows that were cut from recordings of several features."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from edgevae.data.features import Features, numbered
from edgevae.data.kind import Kind
from edgevae.json_fields import Fields


@dataclass(frozen=True)
class Signal(Kind):
    """Windows of L steps of C features: float32 (C, L).

    In training, each window began `stride` steps after the one before it. `features.impute`
    replaces NaN, if it is known.
    """

    name: ClassVar[str] = "signal"
    tabular: ClassVar[bool] = True

    features: Features | None = None
    stride: int | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.features.names if self.features else numbered("x", self.x_shape[0])

    @property
    def row_shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.x_shape[:1], self.x_shape)

    @property
    def window(self) -> int:
        return self.x_shape[1]

    def as_json(self) -> dict[str, Any]:
        features = {"features": self.features.as_json()} if self.features else {}
        stride = {"stride": self.stride} if self.stride else {}
        return {**super().as_json(), **features, **stride}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        x = fields.fields("x")
        shape = x.shape("shape")
        if len(shape) != 2:
            raise x.bad("shape", "[features, window] for signals")
        stride = fields.integer("stride") if "stride" in fields else None
        return cls(shape, x.span("range"), Features.from_json(fields, shape[0]), stride)
