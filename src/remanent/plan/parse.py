"""Plans from what a person writes: a table of YAML or JSON, or one line, ``slow taper: taper weeks=24 from_day=28; stress crp_times=2 days=28``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from remanent._errors import InputError, UsageError
from remanent.plan.plans import KINDS, STANDARD, Dose, PlanSpec, Step, Stop, Taper
from remanent.treatment.drugs import require


def parse_plans(found: object, where: str = "plans") -> tuple[PlanSpec, ...]:
    """Plans by name, as read from YAML or JSON.

    Raises
    ------
    InputError
        Something in them cannot be understood, or cannot be done; the message says which plan and what to write.
    """
    if not isinstance(found, Mapping) or not found:
        raise InputError("holds no plans", where=where, do="Write a table: name: [{taper: {weeks: 24}}].")
    plans = tuple(_plan(str(name), steps, where) for name, steps in found.items())
    reserved = {p.name for p in STANDARD} & {p.name.casefold() for p in plans}
    if reserved:
        raise InputError(f"a plan named {min(reserved)}", where=where, why="Every run has it.", do="Choose another.")
    return plans


def parse_plan_text(text: str) -> PlanSpec:
    """One plan from one line: ``name: step key=value ...; step ...``."""
    name, colon, rest = text.partition(":")
    if not colon or not name.strip():
        raise InputError(f"the plan {text!r} has no name", do="Write `name: taper weeks=24`.")
    return parse_plans({name.strip(): written_steps(rest)})[0]


def written_steps(text: str) -> list[dict[str, dict[str, Any]]]:
    """Steps from ``step key=value ...; step ...``, as YAML would have them.

    Raises
    ------
    InputError
        A value has no key.
    """
    return [dict([_word_step(part.split())]) for part in text.split(";") if part.strip()]


def _word_step(parts: Sequence[str]) -> tuple[str, dict[str, Any]]:
    pairs = [part.partition("=") for part in parts[1:]]
    bad = next((key for key, equals, _ in pairs if not equals), None)
    if bad is not None:
        raise InputError(f"{bad!r} in a plan", do="Write key=value, such as weeks=24.")
    return parts[0], {key: _word_value(value) for key, _, value in pairs}


def _word_value(text: str) -> Any:
    if "," in text:
        return [_word_value(part) for part in text.split(",") if part]
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _plan(name: str, steps: object, where: str) -> PlanSpec:
    here = f"{where}, plan {name}"
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise InputError(f"{steps!r} is no list of steps", where=here, do="Write - taper: {weeks: 24}.")
    try:
        return PlanSpec(name, _in_order(tuple(_steps(steps))))
    except (InputError, UsageError) as error:
        raise InputError(error.got, where=here, why=error.why, do=error.do) from error


def _in_order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps; refused where one ends a drug before an earlier step starts it."""
    for k, end in enumerate(steps):
        if not isinstance(end, Taper | Stop):
            continue
        ended = {require(d).name for d in end.drugs}
        for start in (s for s in steps[:k] if isinstance(s, Dose)):
            if require(start.drug).name in ended and end.from_day <= start.from_day:
                raise InputError(
                    f"{start.drug} ends on day {end.from_day:g}, before it starts on day {start.from_day:g}",
                    do="Put the end after the start.",
                )
    return steps


def _steps(steps: Sequence[object]) -> Iterator[Step]:
    for step in steps:
        if not isinstance(step, Mapping) or len(step) != 1:
            raise InputError(f"{step!r} is no step", do=f"Write one of {', '.join(KINDS)} with its values.")
        ((kind, values),) = step.items()
        if kind not in KINDS:
            raise InputError(f"the step {kind!r}", do=f"Use one of {', '.join(KINDS)}.")
        yield _step(str(kind), {} if values is None else values)


def _step(kind: str, values: object) -> Step:
    fields = KINDS[kind].__annotations__
    if not isinstance(values, Mapping):
        raise InputError(f"{values!r} after {kind}", do=f"Give values for {', '.join(fields)}.")
    unknown = [key for key in values if key not in fields]
    if unknown:
        raise InputError(f"{kind} has no {unknown[0]!r}", do=f"Use {', '.join(fields)}.")
    missing = [f for f in fields if f not in values and not hasattr(KINDS[kind], f)]
    if missing:
        raise InputError(f"{kind} without {missing[0]}", do=f"Give {', '.join(missing)}.")
    return KINDS[kind](**{key: _value(kind, key, value) for key, value in values.items()})


def _value(kind: str, key: str, value: Any) -> Any:
    """One value of a step, of the type its field wants."""
    wanted = str(KINDS[kind].__annotations__[key])
    listed = value if isinstance(value, list | tuple) else [value]
    if "tuple[str" in wanted and all(isinstance(v, str) for v in listed):
        for drug in listed:
            require(drug)
        return tuple(listed)
    if "tuple[float" in wanted and all(map(_is_number, listed)):
        return tuple(float(v) for v in listed)
    if "str" in wanted and "tuple" not in wanted and isinstance(value, str):
        return value
    if "bool" in wanted and isinstance(value, bool):
        return value
    if "float" in wanted and "tuple" not in wanted and _is_number(value):
        return float(value)
    if "None" in wanted and value is None:
        return None
    raise InputError(f"{kind}: {key} is {value!r}", do="Give a number, or names, as the example in the documentation.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
