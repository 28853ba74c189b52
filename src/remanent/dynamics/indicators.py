"""Which measures enter the model, on which scale, and what they may load on (loadings.yaml)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from remanent.study.crosswalks import HUB, as_hub, crosswalks
from remanent.study.panel import Panel
from remanent.study.schema import INSTRUMENTS

COMPONENTS = "fsew"
_HALF_A_POINT = 0.5  # totals are whole: the least stands for everything below half a point


@dataclass(frozen=True)
class Indicators:
    """The measures of a fit, frozen with it so that a later visit is read on the same scale.

    A value y enters as (y - centre) / scale; scale is negative for instruments on which higher is better, so that 'up' is always 'more severe'. A depression
    scale with a published crosswalk enters as its HDRS-17 equivalent over half of that scale's range, so that severity is one scale across instruments.

    Attributes
    ----------
    names, is_symptom
        [indicator].
    centre, scale
        In the unit of the measure (of HDRS-17 where there are `points`), [indicator].
    loads
        Whether the loading on (f, s, e, w) is free, [indicator, 4].
    points
        Own scores and their HDRS-17 equivalents, straight lines between; None: read as it is, [indicator] (or empty: none has any).
    source
        Where the scale comes from, in words, [indicator].
    """

    names: tuple[str, ...]
    is_symptom: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    loads: np.ndarray
    points: tuple[tuple[tuple[float, ...], tuple[float, ...]] | None, ...] = ()
    source: tuple[str, ...] = ()

    def read(self, values: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of indicators `target` as the model reads them, and on which side of each the truth lies (`Grid.beyond`), [obs] each.

        Every truth beyond the end of a scale gives the total at that end, which so says only that the truth is not half a point within it.
        """
        inwards = self._inwards(np.asarray(values, float), target)
        return self._standardised(values + _HALF_A_POINT * inwards, target), -inwards * np.sign(self.scale[target])

    def _standardised(self, values: np.ndarray, target: np.ndarray) -> np.ndarray:
        read = np.asarray(values, float).copy()
        for j, table in enumerate(self.points):
            if table is not None:
                read[target == j] = as_hub(read[target == j], *table)
        return (read - self.centre[target]) / self.scale[target]

    def _inwards(self, values: np.ndarray, target: np.ndarray) -> np.ndarray:
        """1 at the lowest total of an instrument, -1 at the highest, 0 elsewhere, [obs]."""
        ends = [INSTRUMENTS.get(n) if rated else None for n, rated in zip(self.names, self.is_symptom, strict=True)]
        least, most = (
            np.array([(-np.inf, np.inf) if x is None else (x.minimum, x.maximum) for x in ends]).reshape(-1, 2).T
        )
        return (values == least[target]) * 1.0 - (values == most[target])


@cache
def pattern() -> Mapping[str, Any]:
    """loadings.yaml."""
    return yaml.safe_load((files("remanent.dynamics") / "loadings.yaml").read_text("utf-8"))


def choose_indicators(panel: Panel) -> Indicators:
    """Every depression scale and momentary item of the panel, and every feature that loadings.yaml names and at least one patient has."""
    scales = [(n, True, *_severity(n, panel)) for n in panel.symptoms.names if _values(panel, n, symptom=True).size]
    features = [
        (n, False, *_spread(_values(panel, n, symptom=False)))
        for n in pattern()["features"]
        if _values(panel, n, symptom=False).size
    ]
    loads_of = {n: pattern()["features"][n]["loads"] for n, *_ in features}
    features += [(n, False, *_spread(named_values(panel.ema_means, n))) for n in panel.ema_means.names]
    rows = scales + features
    symptom = np.array([r[1] for r in rows], bool)
    loads = [pattern()["symptom"]["loads"] if r[1] else loads_of.get(r[0], pattern()["ema"]["loads"]) for r in rows]
    return Indicators(
        names=tuple(r[0] for r in rows),
        is_symptom=symptom,
        centre=np.array([r[2] for r in rows], float),
        scale=np.array([r[3] for r in rows], float),
        loads=np.array([[c in load for c in COMPONENTS] for load in loads], bool).reshape(len(rows), 4),
        points=tuple(_points(n) if is_scale else None for n, is_scale, *_ in rows),
        source=tuple(_source(n, is_scale=is_scale) for n, is_scale, *_ in rows),
    )


def _values(panel: Panel, name: str, *, symptom: bool) -> np.ndarray:
    return named_values(panel.symptoms if symptom else panel.features, name)


def named_values(records: Any, name: str) -> np.ndarray:
    """Every value of one name, of all patients."""
    return records.value[records.name == records.names.index(name)] if name in records.names else np.empty(0)


def _points(name: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    table = crosswalks().get(name)
    return None if table is None else (table.own, table.hub)


def _source(name: str, *, is_scale: bool) -> str:
    if not is_scale:
        return "standardised within the study"
    table = crosswalks().get(name)
    if table is not None:
        return f"read as HDRS-17 ({table.status}: {table.source})"
    return "half of its range" if name in INSTRUMENTS else "half of the range seen in this study"


def _severity(name: str, panel: Panel) -> tuple[float, float]:
    """Centre and scale: half of the range is about the score of a severe episode; that of HDRS-17 where a crosswalk leads to it."""
    return _range(HUB if name in crosswalks() else name, panel)


def _range(name: str, panel: Panel) -> tuple[float, float]:
    """Best score and half of the range; an unknown instrument uses its observed range."""
    instrument = INSTRUMENTS.get(name)
    if instrument is None:
        values = _values(panel, name, symptom=True)
        return float(values.min()), float(max(np.ptp(values), 1.0)) / 2
    low, high = float(instrument.minimum), float(instrument.maximum)
    half = (high - low) / 2
    return (low, half) if instrument.direction == "higher_is_worse" else (high, -half)


def _spread(values: np.ndarray) -> tuple[float, float]:
    sd = float(np.std(values))
    return float(np.median(values)), sd if sd > 0 else max(abs(float(values[0])), 1.0)
