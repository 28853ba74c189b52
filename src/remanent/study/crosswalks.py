"""One depression scale read as another, by published tables (crosswalks.yaml); every table leads to or from the 17-item Hamilton scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import yaml
from jaxtyping import Float

from remanent._errors import UsageError

HUB = "hdrs17"
Scores = Float[np.ndarray, "..."]


@dataclass(frozen=True)
class Crosswalk:
    """Scores of a scale and what the hub would have shown, [point], both ascending; `status` and `source` say how far it can be trusted."""

    own: tuple[float, ...]
    hub: tuple[float, ...]
    status: Literal["published", "derived"]
    source: str


@cache
def crosswalks() -> Mapping[str, Crosswalk]:
    """crosswalks.yaml, by scale."""
    document: dict[str, dict[str, Any]] = yaml.safe_load(
        (files("remanent.study") / "crosswalks.yaml").read_text("utf-8")
    )
    return {
        name: Crosswalk(_numbers(e["own"]), _numbers(e[HUB]), e["status"], _cited(e)) for name, e in document.items()
    }


def convertible(source: str, target: str) -> bool:
    """Whether published tables lead from one scale to the other."""
    known = {HUB, *crosswalks()}
    return source == target or (source in known and target in known)


def read_as(score: Scores, source: str, target: str) -> Scores:
    """Scores of one scale as the other would have shown them, by published tables; NaN outside these tables.

    Raises
    ------
    UsageError
        No table joins the two.
    """
    if source == target:
        return score
    if not convertible(source, target):
        raise UsageError(
            f"{source} cannot be read as {target}", why="No published table joins them", do="Choose another rule."
        )
    at_hub = score if source == HUB else _between(score, crosswalks()[source].own, crosswalks()[source].hub)
    return at_hub if target == HUB else _between(at_hub, crosswalks()[target].hub, crosswalks()[target].own)


def as_hub(score: Scores, own: Sequence[float], hub: Sequence[float]) -> Scores:
    """The same for one table, its first and last straight lines carried on beyond it: monotone, and finite for every score."""
    x, y = np.asarray(own, float), np.asarray(hub, float)
    slope = np.diff(y) / np.diff(x)
    below = y[0] + slope[0] * (score - x[0])
    above = y[-1] + slope[-1] * (score - x[-1])
    return np.where(score < x[0], below, np.where(score > x[-1], above, np.interp(score, x, y)))


def _between(score: Scores, x: Sequence[float], y: Sequence[float]) -> Scores:
    return np.interp(score, x, y, left=np.nan, right=np.nan)


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _cited(entry: Mapping[str, Any]) -> str:
    return f"{entry['source']}, {entry['doi']}" if entry["doi"] else str(entry["source"])
