"""Which measures enter the model, on which scale, and what they may load on (loadings.yaml)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from remanent.study.panel import Panel
from remanent.study.schema import INSTRUMENTS

COMPONENTS = "fsew"


@dataclass(frozen=True)
class Indicators:
    """The measures of a fit, frozen with it so that a later visit is read on the same scale.

    A value y enters as (y - centre) / scale; scale is negative for instruments on which higher is better, so that 'up' is always 'more severe'.

    Attributes
    ----------
    names, is_symptom
        [indicator].
    centre, scale
        In the unit of the measure, [indicator].
    loads
        Whether the loading on (f, s, e, w) is free, [indicator, 4].
    """

    names: tuple[str, ...]
    is_symptom: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    loads: np.ndarray


@cache
def pattern() -> Mapping[str, Any]:
    """loadings.yaml."""
    return yaml.safe_load((files("remanent.dynamics") / "loadings.yaml").read_text("utf-8"))


def choose_indicators(panel: Panel) -> Indicators:
    """Every depression scale and momentary item of the panel, and every feature that loadings.yaml names and at least one patient has."""
    scales = [(n, True, *_range(n, panel)) for n in panel.symptoms.names if _values(panel, n, symptom=True).size]
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
    )


def _values(panel: Panel, name: str, *, symptom: bool) -> np.ndarray:
    return named_values(panel.symptoms if symptom else panel.features, name)


def named_values(records: Any, name: str) -> np.ndarray:
    """Every value of one name, of all patients."""
    return records.value[records.name == records.names.index(name)] if name in records.names else np.empty(0)


def _range(name: str, panel: Panel) -> tuple[float, float]:
    """Symptoms: half the instrument's range is about the score of a severe episode; an unknown instrument uses its observed range."""
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
