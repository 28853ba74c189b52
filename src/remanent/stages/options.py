"""What a run was asked to do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from remanent._errors import InputError
from remanent._yaml import read_written
from remanent.plan.decide import Thresholds, shipped_thresholds
from remanent.plan.parse import parse_plans
from remanent.plan.plans import PlanSpec
from remanent.relapse.predict import HORIZONS_DAYS

Level = Literal["participant", "group"]
Inference = Literal["laplace", "nuts"]


@dataclass(frozen=True)
class Options:
    """Arguments of `remanent run`.

    `level` None means both levels, `thresholds` None the shipped ones; `plans` are those beyond the standard ones, `plans_file` the name of their file;
    `relapse_rule` derives relapse from ratings; `hazard_breaks` are days on which the hazard of relapse may change; `cluster` is the address of a Dask
    scheduler, empty for processes of this machine; `rivals` asks for the comparison with other predictors; `inference` is how the population is fitted;
    `form` is that of the pull on structure, or both, compared.
    """

    study_root: Path
    out: Path
    level: Level | None = None
    workers: int = 1
    cluster: str = ""
    participants: tuple[str, ...] = ()
    seed: int = 0
    thresholds: Mapping[str, Thresholds | None] | None = None
    rivals: bool = False
    inference: Inference = "laplace"
    plans: tuple[PlanSpec, ...] = ()
    relapse_rule: str | None = None
    hazard_breaks: tuple[float, ...] = ()
    form: Literal["linear", "two-basin", "both"] = "linear"
    plans_file: str = "plans"


def read_plans(path: Path) -> tuple[PlanSpec, ...]:
    """Plans of the user's own, from YAML or JSON; see `plan.plans`.

    Raises
    ------
    InputError
        The file cannot be read, or a plan in it cannot be understood or carried out.
    """
    where = str(path)
    try:
        found = read_written(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"cannot be read as YAML or JSON: {error}", where=where, do="Start from docs/plan.md."
        ) from error
    return parse_plans(found, where)


def read_thresholds(path: Path) -> Mapping[str, Thresholds | None]:
    """A thresholds file of the user's own, laid out as the shipped plan/thresholds.yaml; what it leaves out is as shipped.

    Raises
    ------
    InputError
        The file cannot be read, or an entry is not `name: {value, status, source}`.
    """
    where, shipped = str(path), shipped_thresholds()
    try:
        found = read_written(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"cannot be read as YAML: {error}", where=where, do="Start from the shipped thresholds.yaml."
        ) from error
    if not isinstance(found, dict):
        raise InputError("holds no table of diagnoses", where=where, do="Start from the shipped thresholds.yaml.")
    default = shipped["default"] or {}
    table = {**shipped, **{str(name).lower(): _checked(where, name, own, default) for name, own in found.items()}}
    if table["default"] is None:
        raise InputError("default is null", where=where, do="Give null to the diagnoses that get no advice.")
    return {**table, "default": {**default, **table["default"]}}


def _checked(where: str, diagnosis: object, own: object, default: Thresholds) -> Thresholds | None:
    """One diagnosis' own thresholds; `plan.decide.thresholds_for` lays them over the default."""
    if own is None:
        return None
    if not isinstance(own, dict):
        raise InputError(
            f"{diagnosis} is {type(own).__name__}", where=where, do="Give a table of thresholds, or null for no advice."
        )
    for name, entry in own.items():
        value = entry.get("value") if isinstance(entry, dict) else None
        if name not in default:
            raise InputError(
                f"{diagnosis}.{name} is not a threshold", where=where, do=f"Use one of {', '.join(default)}."
            )
        if not _is_threshold(name, value) or "status" not in entry:
            why = "Every threshold needs a number it can be, and where it comes from"
            raise InputError(
                f"{diagnosis}.{name} is {entry!r}",
                where=where,
                why=why,
                do=f"Write it as {{value: {default[name]['value']}, status: assumed, source: ...}}; {_MAY_BE[name]}.",
            )
    return own


_PROBABILITY = "a probability from 0 to 1"
_MAY_BE = {
    "horizon_days": f"one of the horizons {', '.join(f'{h:.0f}' for h in HORIZONS_DAYS)}",
    "least_hold": _PROBABILITY,
    "most_extra_relapse": _PROBABILITY,
    "act_relapse": _PROBABILITY,
    "crp_mg_l": "0 or more",
    "sleep_h": "0 or more",
    "recent_days": "0 or more",
    "least_ratings": "0 or more",
}


def _is_threshold(name: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if name == "horizon_days":
        return value in HORIZONS_DAYS
    return 0 <= value <= (1 if _MAY_BE[name] == _PROBABILITY else math.inf)
