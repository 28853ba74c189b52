"""A specification for `remanent trial`: read, checked field by field, on top of trial_defaults.yaml; ready-made designs in designs/."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from remanent._errors import InputError
from remanent._yaml import read_written
from remanent.dynamics.priors import MECHANISMS
from remanent.trial.policy import Policy, Protocol, Stage

LONGEST_DAYS = 3650


@dataclass(frozen=True)
class Contrast:
    """The question which of two mechanisms is true, and the visits and arms that should answer it; trial/contrast.py says which is taken as the true one.

    `taper_days` holds the day from which each arm's drug is withdrawn over `taper_weeks` (inf: never); the arms are of equal size.
    """

    mechanisms: tuple[str, str]
    patients: tuple[int, ...]
    scan_days: tuple[float, ...]
    taper_days: tuple[float, ...]
    taper_weeks: float
    odds: float


@dataclass(frozen=True)
class Power:
    """The curve over the number of patients per arm."""

    patients_per_arm: tuple[int, ...]
    alpha: float
    resamples: int


@dataclass(frozen=True)
class TrialSpec:
    """A virtual trial; every field is explained in trial_defaults.yaml, which holds the defaults."""

    population: str
    mechanism: str
    patients: int
    replicates: int
    seed: int
    follow_up_days: int
    visit_every_days: int
    decide_every_days: int
    last_decision_day: int
    dropout_per_day: float
    entry_at_most: float | None
    relapse_drug_months: float
    policies: tuple[Policy, ...]
    compare: tuple[str, str]
    power: Power
    contrast: Contrast | None

    @property
    def visit_days(self) -> tuple[float, ...]:
        """Days of ratings and of decisions on them, day 0 the first."""
        return tuple(float(d) for d in range(0, self.follow_up_days + 1, self.visit_every_days))

    @property
    def decision_days(self) -> tuple[float, ...]:
        """Days on which the biomarker is looked at: visits, `decide_every_days` apart."""
        every = max(1, round(self.decide_every_days / self.visit_every_days))
        return tuple(
            d for d in self.visit_days[every::every] if d <= self.last_decision_day and d < self.follow_up_days
        )

    def protocol(self, holds: Mapping[float, np.ndarray]) -> Protocol:
        """What the policies share."""
        return Protocol(
            float(self.follow_up_days), self.visit_days, self.dropout_per_day, self.relapse_drug_months, holds
        )


def designs() -> tuple[str, ...]:
    """Names of the designs that come with the program."""
    return tuple(sorted(p.name.removesuffix(".yaml") for p in (files("remanent.trial") / "designs").iterdir()))


def read_trial(path: Path | str) -> TrialSpec:
    """Read a specification (YAML or JSON), or a ready-made design by its name.

    Raises
    ------
    InputError
        The file cannot be read, or a field is unknown or impossible; the message names the field by its path.
    """
    where, text = str(path), _text(path)
    try:
        document = read_written(text)
    except yaml.YAMLError as error:
        raise InputError(f"is neither YAML nor JSON ({error})", where=where, do="Correct the file") from error
    if document is not None and not isinstance(document, Mapping):
        raise InputError("is not a mapping of fields", where=where, do="Write one `field: value` a line")
    return trial_spec(document or {}, where)


def trial_spec(changes: Mapping[str, Any], where: str = "specification") -> TrialSpec:
    """A specification from its fields, the rest as in trial_defaults.yaml."""
    default = _defaults()
    if unknown := sorted(set(map(str, changes)) - set(default)):
        raise InputError(f"{unknown[0]} is no field", where=where, do=f"Use one of {', '.join(default)}")
    given = {**default, **changes}
    if "policies" in changes and "compare" not in changes:
        given["compare"] = None
    found = {name: _at(where, name, given[name], rule) for name, rule in _RULES.items()}
    found["entry_at_most"] = found.pop("entry")
    found["relapse_drug_months"] = found.pop("loss")
    names = tuple(one.name for one in found["policies"])
    found["compare"] = found["compare"] or (names[0], names[-1])
    spec = TrialSpec(**found)
    _check_together(spec, names, where)
    return spec


def _check_together(spec: TrialSpec, names: tuple[str, ...], where: str) -> None:
    problems = (
        (len(set(names)) < len(names), "policies", "two have one name"),
        (not set(spec.compare) <= set(names), "compare", f"names no policy; there are {', '.join(names)}"),
        (spec.visit_every_days > spec.follow_up_days, "visit_every_days", "is longer than the follow-up"),
    )
    for wrong, field, words in problems:
        if wrong:
            raise InputError(f"{field} {words}", where=where, do="Correct this field")
    for i, policy in enumerate(spec.policies):
        for k, stage in enumerate(policy.stages):
            if stage.day >= spec.follow_up_days:
                raise InputError(
                    f"policies[{i}].stages[{k}].day is {stage.day:g}, the follow-up ends on day {spec.follow_up_days}",
                    where=where,
                    why="The stage would never come",
                    do="Lengthen follow_up_days, or drop the stage",
                )


def _text(path: Path | str) -> str:
    if str(path) in designs():
        return (files("remanent.trial") / "designs" / f"{path}.yaml").read_text("utf-8")
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        ready = ", ".join(designs())
        raise InputError(
            "cannot be read", where=str(path), why=str(error), do=f"Check the path, or name a design: {ready}"
        ) from error


@cache
def _defaults() -> Mapping[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((files("remanent.trial") / "trial_defaults.yaml").read_text("utf-8"))
    return loaded


class _WrongError(ValueError):
    """A value that cannot be: `path` below the field, and what is expected."""

    def __init__(self, path: str, expected: str) -> None:
        self.path, self.expected = path, expected
        super().__init__(expected)


def _at(where: str, name: str, value: Any, rule: Callable[[Any, str], Any]) -> Any:
    try:
        return rule(value, name)
    except _WrongError as error:
        raise InputError(
            f"{error.path} cannot be used", where=where, why=f"It must be {error.expected}", do="Correct this field"
        ) from error


def _number(low: float, high: float, *, whole: bool = False) -> Callable[[Any, str], Any]:
    kind = "a whole number" if whole else "a number"

    def check(value: Any, path: str) -> Any:
        right = isinstance(value, int) if whole else isinstance(value, int | float)
        if not right or isinstance(value, bool) or not low <= value <= high:
            raise _WrongError(path, f"{kind} from {low:g} to {high:g}, not {value!r}")
        return int(value) if whole else float(value)

    return check


def _word(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _WrongError(path, f"a name, not {value!r}")
    return value.strip()


def _one_of(*allowed: str) -> Callable[[Any, str], str]:
    def check(value: Any, path: str) -> str:
        if value not in allowed:
            raise _WrongError(path, f"one of {', '.join(allowed)}, not {value!r}")
        return str(value)

    return check


def _list_of(
    rule: Callable[[Any, str], Any], least: int = 1, most: int = 1000
) -> Callable[[Any, str], tuple[Any, ...]]:
    def check(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise _WrongError(path, f"a list of {least} or more" if most >= 1000 else f"a list of {least} to {most}")
        return tuple(rule(one, f"{path}[{i}]") for i, one in enumerate(value))

    return check


def _record(value: Any, path: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _WrongError(path, f"a mapping of {', '.join(known)}")
    for name in value:
        if name not in known:
            raise _WrongError(f"{path}.{name}", f"one of {', '.join(known)}")
    return {name: known[name](one, f"{path}.{name}") for name, one in value.items()}


def _options(value: Any, path: str) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, Mapping) or not value:
        raise _WrongError(path, "a mapping from share of the full dose to probability")
    share, chance = _number(0, 1), _number(0, 1)
    found = tuple((share(k, f"{path}.{k}"), chance(p, f"{path}.{k}")) for k, p in value.items())
    if abs(sum(p for _, p in found) - 1) > 1e-6:
        raise _WrongError(path, "probabilities that add up to 1")
    return found


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _WrongError(path, f"true or false, not {value!r}")
    return value


_STAGE: Mapping[str, Any] = {
    "day": _number(1, LONGEST_DAYS),
    "options": _options,
    "weeks": _number(0, 104),
    "wait": _flag,
    "score_at_most": _number(0, 75),
    "visits": _number(1, 52, whole=True),
    "hold_at_least": _number(0, 1),
    "otherwise": _number(0, 1),
}


def _stage(value: Any, path: str) -> Stage:
    given = _record(value, path, _STAGE)
    if "day" not in given:
        raise _WrongError(f"{path}.day", "given: the day from which the stage is asked")
    return Stage(**given)


def _policy(value: Any, path: str) -> Policy:
    given = _record(value, path, {"name": _word, "stages": _list_of(_stage, least=0, most=20)})
    if set(given) != {"name", "stages"}:
        raise _WrongError(path, "given a name and stages (an empty list: never stop)")
    return Policy(given["name"], given["stages"])


def _entry(value: Any, path: str) -> float | None:
    given = _record(value or {}, path, {"at_most": lambda v, p: None if v is None else _number(0, 75)(v, p)})
    return given.get("at_most")


def _loss(value: Any, path: str) -> float:
    return float(_record(value, path, {"relapse_drug_months": _number(0, 1200)}).get("relapse_drug_months", 0.0))


def _compare(value: Any, path: str) -> tuple[str, str] | None:
    return None if value is None else _list_of(_word, 2, 2)(value, path)


def _power(value: Any, path: str) -> Power:
    rules = {
        "patients_per_arm": _list_of(_number(2, 100_000, whole=True)),
        "alpha": _number(1e-6, 0.5),
        "resamples": _number(20, 100_000, whole=True),
    }
    return Power(**{**_record(_defaults()["power"], path, rules), **_record(value, path, rules)})


def _contrast(value: Any, path: str) -> Contrast | None:
    if value is None:
        return None
    rules = {
        "mechanisms": _list_of(_one_of(*MECHANISMS), 2, 2),
        "patients": _list_of(_number(1, 100_000, whole=True)),
        "scan_days": _list_of(_number(-LONGEST_DAYS, LONGEST_DAYS)),
        "taper_day": _taper_days,
        "taper_weeks": _number(0, 104),
        "odds": _number(1, 1e9),
    }
    found = {**_record(_defaults()["contrast"], path, rules), **_record(value, path, rules)}
    if len(set(found["mechanisms"])) == 1:
        raise _WrongError(f"{path}.mechanisms", "two different mechanisms")
    return Contrast(taper_days=found.pop("taper_day"), **found)


def _taper_days(value: Any, path: str) -> tuple[float, ...]:
    """One day, or one for each arm; null: never."""
    day = _number(-LONGEST_DAYS, LONGEST_DAYS)
    if not isinstance(value, list | tuple):
        return (day(value, path),)
    return _list_of(lambda one, at: np.inf if one is None else day(one, at), 1, 20)(value, path)


_RULES: Mapping[str, Callable[[Any, str], Any]] = {
    "population": _word,
    "mechanism": _one_of("posterior", *MECHANISMS),
    "patients": _number(10, 1_000_000, whole=True),
    "replicates": _number(1, 10_000, whole=True),
    "seed": _number(0, 2**31 - 1, whole=True),
    "follow_up_days": _number(28, LONGEST_DAYS, whole=True),
    "visit_every_days": _number(7, 364, whole=True),
    "decide_every_days": _number(7, 728, whole=True),
    "last_decision_day": _number(0, LONGEST_DAYS, whole=True),
    "dropout_per_day": _number(0, 0.1),
    "entry": _entry,
    "loss": _loss,
    "policies": _list_of(_policy, 1, 40),
    "compare": _compare,
    "power": _power,
    "contrast": _contrast,
}
