"""What a virtual study looks like: `CohortSpec`, read from YAML or JSON on top of the defaults in design.yaml."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from remanent._errors import InputError
from remanent._yaml import read_written
from remanent.dynamics.priors import MECHANISMS
from remanent.study.schema import DIAGNOSES
from remanent.treatment.drugs import known
from remanent.trial.extras import Extras, read_extras
from remanent.trial.reference import reference, reference_params

PLANS = ("continue", "taper", "stop", "none")


@dataclass(frozen=True)
class Regimen:
    """Maintenance drugs (mg/day) of a share of the patients."""

    share: float
    drugs: Mapping[str, float]


@dataclass(frozen=True)
class Arm:
    """What happens to the drugs of a share of the patients.

    Attributes
    ----------
    plan
        ``continue``, ``taper`` (hyperbolic, from a day within `day`, over a number of weeks within `weeks`), ``stop`` (at once, on a day within `day`) or
        ``none`` (never a drug).
    ect_days
        Days of continuation ECT after the index course.
    """

    name: str
    share: float
    plan: str
    day: tuple[float, float] = (0.0, 0.0)
    weeks: tuple[float, float] = (12.0, 12.0)
    ect_days: tuple[int, ...] = ()


@dataclass(frozen=True)
class CohortSpec:
    """A virtual study; every field is explained in design.yaml, which holds the defaults."""

    n_patients: int
    seed: int
    mechanism: Mapping[str, float]
    params: Mapping[str, Any]
    extras: Extras
    follow_up_days: int
    enrolment_days: int
    dropout_per_day: float
    scan_days: tuple[int, ...]
    rating_days: tuple[int, ...]
    madrs_days: tuple[int, ...]
    crp_every_days: int
    sleep_every_days: int
    ema: bool
    ect_sessions: tuple[int, int]
    ect_gap_days: tuple[int, int]
    placements: Mapping[str, float]
    drug_start_days: tuple[int, int]
    regimens: tuple[Regimen, ...]
    dose_changes: bool
    arms: tuple[Arm, ...]
    n_sites: int
    age_years: tuple[float, float]
    female_share: float
    diagnoses: Mapping[str, float]
    scan_missing: float
    dwi_missing: float
    score_missing: float
    derivatives: bool
    bold_frames: int
    bold_tr_s: float
    truth_paths: int


def demo_spec(**changes: object) -> CohortSpec:
    """The default study of design.yaml, with fields changed by name as in a specification."""
    return _spec(changes, "specification")


def read_spec(path: Path | str) -> CohortSpec:
    """Read a specification (YAML or JSON); what it does not name is as in design.yaml.

    Raises
    ------
    InputError
        The file cannot be read, or a field is unknown or impossible.
    """
    try:
        document = read_written(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), do="Check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"is neither YAML nor JSON ({error})", where=str(path), do="Correct the file") from error
    if document is not None and not isinstance(document, Mapping):
        raise InputError("is not a mapping of fields", where=str(path), do="Write one `field: value` a line")
    return _spec(document or {}, str(path))


@cache
def _defaults() -> Mapping[str, Any]:
    document: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("design.yaml").read_text(encoding="utf-8"))
    return document


def _spec(changes: Mapping[str, Any], where: str) -> CohortSpec:
    unknown = sorted(set(changes) - {field.name for field in fields(CohortSpec)}, key=str)
    if unknown:
        names = ", ".join(field.name for field in fields(CohortSpec))
        raise InputError(
            f"unknown field {unknown[0]!r}", where=where, why="It would have no effect", do=f"Use: {names}"
        )
    values = {name: _checked(name, value, where) for name, value in {**_defaults(), **changes}.items()}
    spec = CohortSpec(**values)
    _within_follow_up(spec, changes, where)
    for mechanism in spec.mechanism:
        reference_params(mechanism, spec.params)
    if spec.enrolment_days >= spec.follow_up_days:
        raise InputError(
            f"enrolment_days {spec.enrolment_days} with follow_up_days {spec.follow_up_days}",
            where=where,
            why="The last patient would not be followed at all",
            do="Enrol over fewer days than patients are followed",
        )
    return spec


def _within_follow_up(spec: CohortSpec, changes: Mapping[str, Any], where: str) -> None:
    """Refuse days that were asked for and that nobody would be seen on; the shipped ones end with the follow-up."""
    for name in sorted({"scan_days", "rating_days", "madrs_days"} & set(changes)):
        if late := [day for day in getattr(spec, name) if day > spec.follow_up_days]:
            raise InputError(
                f"{name} has {', '.join(map(str, late))} with follow_up_days {spec.follow_up_days}",
                where=where,
                why="Nobody is followed so long, so nothing would come of these days",
                do="Leave them out, or follow longer",
            )


def _checked(name: str, value: object, where: str) -> Any:
    try:
        return _RULES[name](value)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} is {value!r}", where=where, why=f"It must be {error}", do="Correct this field"
        ) from error


def _need(condition: bool, expected: str) -> None:
    if not condition:
        raise ValueError(expected)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        _need(
            isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
            f"a whole number from {low} to {high}",
        )
        return int(value)

    return check


def _number(low: float, high: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        _need(_is_number(value) and low <= value <= high, f"a number from {low:g} to {high:g}")
        return float(value)

    return check


def _flag(value: Any) -> bool:
    _need(isinstance(value, bool), "true or false")
    return bool(value)


def _pair(low: float, high: float, *, ordered: bool = True, whole: bool = False) -> Callable[[Any], tuple[Any, Any]]:
    def check(value: Any) -> tuple[Any, Any]:
        kind = "whole numbers" if whole else "numbers"
        expected = f"two {kind} from {low:g} to {high:g}" + (", the smaller first" if ordered else "")
        _need(isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value)), expected)
        _need(all(low <= v <= high for v in value) and (not ordered or value[0] <= value[1]), expected)
        _need(not whole or all(isinstance(v, int) for v in value), expected)
        return value[0], value[1]

    return check


def _days(value: Any) -> tuple[int, ...]:
    expected = "a list of different whole days from -365 to 3650"
    _need(isinstance(value, list | tuple) and all(isinstance(v, int) and -365 <= v <= 3650 for v in value), expected)
    _need(len(set(value)) == len(value), expected)
    return tuple(sorted(value))


def _shares(levels: Callable[[], Mapping[str, Any]]) -> Callable[[Any], Mapping[str, float]]:
    def check(value: Any) -> Mapping[str, float]:
        allowed = list(levels())
        if isinstance(value, str):
            value = {value: 1.0}
        _need(
            isinstance(value, Mapping) and bool(value) and set(value) <= set(allowed), f"shares of {', '.join(allowed)}"
        )
        _add_up(list(value.values()))
        return {str(k): float(v) for k, v in value.items()}

    return check


def _add_up(shares: list[Any]) -> None:
    expected = "shares of 0 or more that add up to 1"
    _need(all(map(_is_number, shares)) and all(s >= 0 for s in shares), expected)
    _need(abs(sum(shares) - 1.0) < 1e-6, expected)


def _regimens(value: Any) -> tuple[Regimen, ...]:
    _need(isinstance(value, list) and bool(value), "a list of {share, drugs}")
    for one in value:
        _need(
            isinstance(one, Mapping) and set(one) == {"share", "drugs"} and isinstance(one["drugs"], Mapping),
            "a list of {share, drugs}",
        )
        _need(bool(one["drugs"]) and all(known(str(drug)) for drug in one["drugs"]), "made of drugs of the drug table")
        _need(all(_is_number(dose) and dose > 0 for dose in one["drugs"].values()), "made of doses above 0 mg/day")
    _add_up([one["share"] for one in value])
    return tuple(Regimen(float(one["share"]), {str(k): float(v) for k, v in one["drugs"].items()}) for one in value)


def _arms(value: Any) -> tuple[Arm, ...]:
    expected = "a list of {name, share, plan[, day][, weeks][, ect_days]}"
    _need(isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value), expected)
    for one in value:
        _need({"name", "share", "plan"} <= set(one) <= {"name", "share", "plan", "day", "weeks", "ect_days"}, expected)
        _need(all(d >= 1 for d in _days(one.get("ect_days", []))), "given continuation ECT on days from 1 on")
        _need(one["plan"] in PLANS, f"made of plans out of {', '.join(PLANS)}")
        _need(
            "day" in one or one["plan"] in {"continue", "none"}, "given the days between which a taper or stop begins"
        )
    _add_up([one["share"] for one in value])
    return tuple(
        Arm(
            name=str(one["name"]),
            share=float(one["share"]),
            plan=one["plan"],
            day=_pair(1, 3650)(one.get("day", [1, 1])),
            weeks=_pair(1, 104)(one.get("weeks", [12, 12])),
            ect_days=_days(one.get("ect_days", [])),
        )
        for one in value
    )


def _params(value: Any) -> Mapping[str, Any]:
    _need(isinstance(value, Mapping), "a mapping from parameter to value")
    return dict(value)


_probability = _number(0.0, 1.0)
_RULES: Mapping[str, Callable[[Any], Any]] = {
    "n_patients": _integer(1, 100_000),
    "seed": _integer(0, 2**63 - 1),
    "mechanism": _shares(lambda: dict.fromkeys(MECHANISMS)),
    "params": _params,
    "extras": read_extras,
    "follow_up_days": _integer(1, 3650),
    "enrolment_days": _integer(0, 3649),
    "dropout_per_day": _probability,
    "scan_days": _days,
    "rating_days": _days,
    "madrs_days": _days,
    "crp_every_days": _integer(0, 365),
    "sleep_every_days": _integer(0, 365),
    "ema": _flag,
    "ect_sessions": _pair(1, 60, whole=True),
    "ect_gap_days": _pair(1, 30, whole=True),
    "placements": _shares(lambda: reference()["ect"]["pulse_width_ms"]),
    "drug_start_days": _pair(-365, 365, whole=True),
    "regimens": _regimens,
    "dose_changes": _flag,
    "arms": _arms,
    "n_sites": _integer(1, 100),
    "age_years": _pair(0, 89, ordered=False),
    "female_share": _probability,
    "diagnoses": _shares(lambda: DIAGNOSES),
    "scan_missing": _probability,
    "dwi_missing": _probability,
    "score_missing": _probability,
    "derivatives": _flag,
    "bold_frames": _integer(20, 5000),
    "bold_tr_s": _number(0.2, 10.0),
    "truth_paths": _integer(2, 1_000_000),
}
