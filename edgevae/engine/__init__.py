"""Graphs on execution providers: sessions, plans and workers, and `Runner`, which holds them."""

from edgevae.engine import cuda, machine, ort, plans, plugins, providers
from edgevae.engine.graph import Arrays, Graph, Placement
from edgevae.engine.plans import Plan, Setting, Tuned
from edgevae.engine.providers import Asked
from edgevae.engine.runner import VARIANTS, Runner

__all__ = [
    "VARIANTS",
    "Arrays",
    "Asked",
    "Graph",
    "Placement",
    "Plan",
    "Runner",
    "Setting",
    "Tuned",
    "cuda",
    "machine",
    "ort",
    "plans",
    "plugins",
    "providers",
]
