"""Numbers the simulator uses where a specification is silent: reference.yaml as values, and `Params` made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from remanent._errors import InputError
from remanent.dynamics.model import Params

PER_INDICATOR = ("mu", "sd_mu", "l_f", "l_s", "l_e", "l_w", "sigma")
PER_STRESSOR = ("b",)
STRESSORS = ("crp", "sleep")


@dataclass(frozen=True)
class Indicator:
    """One thing that is measured repeatedly: `kind` is rating, fc, sc or volume; loadings are those of `Params`."""

    name: str
    kind: str


@cache
def reference() -> Mapping[str, Any]:
    """The whole of reference.yaml."""
    document: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("reference.yaml").read_text(encoding="utf-8"))
    return document


@cache
def indicators() -> tuple[Indicator, ...]:
    """The indicators of the simulator, in the order of the indicator axis of `reference_params`."""
    return tuple(Indicator(name, entry["kind"]) for name, entry in reference()["indicators"].items())


def start_sd() -> float:
    """Spread of function and structure on a patient's first day."""
    return float(reference()["population"]["start_sd"]["value"])


def reference_params(mechanism: str, overrides: Mapping[str, Any] | None = None) -> Params:
    """Population parameters under one mechanism, in NumPy, indicators in the unit of their files (`indicators()` names the axis).

    `overrides` go by the field's name: a number, a list for `b`, a mapping from indicator to number for loadings and noise. What the mechanism forbids
    (`a` without active action, `p` and `sd_p` without passive action) stays 0.

    Raises
    ------
    InputError
        An override names no field or no indicator, or is not a number.
    """
    numbers = reference()["population"] | reference()["mechanisms"][mechanism]
    values: dict[str, Any] = {name: np.asarray(numbers[name]["value"], float) for name in _scalars_and_b()}
    table = reference()["indicators"].values()
    values |= {name: np.array([float(entry.get(name, 0.0)) for entry in table]) for name in PER_INDICATOR}
    for name, override in (overrides or {}).items():
        values[name] = _overridden(name, override, values)
    if mechanism in {"natural", "passive"}:
        values["a"] = np.asarray(0.0)
    if mechanism in {"natural", "active"}:
        values["p"] = values["sd_p"] = np.asarray(0.0)
    return Params(**values)


def _scalars_and_b() -> list[str]:
    return [name for name in Params._fields if name not in PER_INDICATOR and name not in Params._field_defaults]


def _overridden(name: str, override: object, values: Mapping[str, np.ndarray]) -> np.ndarray:
    if name not in Params._fields:
        raise InputError(
            f"params names {name!r}",
            why="No population parameter is called so",
            do=f"Use one of {', '.join(Params._fields)}",
        )
    if name in PER_INDICATOR:
        return _per_indicator(name, override, values[name])
    shape = (len(STRESSORS),) if name in PER_STRESSOR else ()
    return _number(name, override, shape)


def _per_indicator(name: str, override: object, values: np.ndarray) -> np.ndarray:
    names = [one.name for one in indicators()]
    if not isinstance(override, Mapping) or not set(override) <= set(names):
        raise InputError(f"params has {name}: {override!r}", do=f"Give a number for any of {', '.join(names)}")
    changed = values.copy()
    for one, value in override.items():
        changed[names.index(one)] = _number(f"{name} of {one}", value, ())
    return changed


def _number(name: str, value: object, shape: Sequence[int]) -> np.ndarray:
    try:
        number = np.asarray(value, float)
    except (TypeError, ValueError):
        number = np.asarray(np.nan)
    signed = name.startswith(("l_", "mu", "b"))
    if number.shape != tuple(shape) or not np.isfinite(number).all() or (not signed and (number < 0).any()):
        expected = f"{shape[0]} numbers" if shape else "a number" if signed else "a number of 0 or more"
        raise InputError(f"params has {name}: {value!r}", do=f"Give {expected}")
    return number
