"""The drug table: what each drug does at which dose, for how long, and who says so.

The numbers live in drugs.yaml; this module gives them types, refuses a table that is wrong, and finds a drug by any of
its names.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from remanent._errors import InputError
from remanent.treatment.sourced import Quantity, Source, Status, quantity, read_data, sources_of

CLASSES: tuple[str, ...] = (
    "ssri",
    "snri",
    "tca",
    "maoi",
    "atypical",
    "lithium",
    "antipsychotic",
    "anticonvulsant",
    "glutamatergic",
    "psychotherapy",
)
NOT_DRUGS: frozenset[str] = frozenset({"psychotherapy"})

HOURS_PER_DAY = 24.0


@dataclass(frozen=True, slots=True)
class Strengths:
    """Tablets or capsules that are sold, in mg, ascending."""

    values: tuple[float, ...]
    unit: str
    source: Source
    status: Status
    note: str = ""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Occupancy of one target at steady state: E = emax · dose / (dose + ed50)."""

    target: str
    emax: Quantity
    ed50: Quantity


@dataclass(frozen=True, slots=True)
class Level:
    """Therapeutic range of the serum trough level; `target` stands for the usual full dose."""

    low: Quantity
    high: Quantity
    target: Quantity
    molar_mass: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Drug:
    """One drug; doses in mg/day (psychotherapy: sessions a week), half-lives in hours."""

    name: str
    brands: tuple[str, ...]
    atc: tuple[str, ...]
    drug_class: str
    full_dose: Quantity
    maximum_dose: Quantity
    half_life: Quantity
    metabolite_half_life: Quantity | None = None
    effect_half_life: Quantity | None = None
    occupancy: Occupancy | None = None
    equivalent_dose: Quantity | None = None
    level: Level | None = None
    strengths: Strengths | None = None
    liquid_step: Quantity | None = None

    @property
    def lag_half_life_days(self) -> float:
        """Half-life of exposure after a change of dose: of the effect, else the active metabolite, else the drug."""
        return (self.effect_half_life or self.metabolite_half_life or self.half_life).value / HOURS_PER_DAY

    @property
    def saturation(self) -> float:
        """Usual full dose over ED50; 0 where no occupancy is known (the effect is then linear in dose)."""
        return 0.0 if self.occupancy is None else self.full_dose.value / self.occupancy.ed50.value

    @property
    def names(self) -> tuple[str, ...]:
        """Every name the drug answers to."""
        return (self.name, *self.brands, *self.atc)


@dataclass(frozen=True, slots=True)
class Formulary:
    """All drugs by generic name, the index of their other names, and the words that are no part of a name."""

    drugs: Mapping[str, Drug]
    index: Mapping[str, str]
    formulations: frozenset[str]

    def find(self, name: str) -> Drug | None:
        """The drug with this generic name, brand or ATC code, or None; case, salt and formulation do not matter."""
        key = _key(name)
        generic = self.index.get(key) or self.index.get(self._bare(key))
        return None if generic is None else self.drugs[generic]

    def suggest(self, name: str) -> str | None:
        """The generic name whose spelling, or whose brand's spelling, is nearest; None where nothing is near."""
        near = difflib.get_close_matches(self._bare(_key(name)), self.index, n=1, cutoff=0.7)
        return self.index[near[0]] if near else None

    def _bare(self, key: str) -> str:
        words = [w for w in key.split() if w not in self.formulations and not w[0].isdigit()]
        return " ".join(words)


@cache
def formulary() -> Formulary:
    """The table that comes with the software, read once."""
    return parse(read_data("drugs.yaml"))


def find(name: str) -> Drug | None:
    """The drug of the shipped table with this generic name, brand or ATC code, or None."""
    return formulary().find(name)


def known(name: str) -> bool:
    """Whether the shipped table holds this drug."""
    return formulary().find(name) is not None


def suggest(name: str) -> str | None:
    """The generic name nearest in spelling, or None."""
    return formulary().suggest(name)


def require(name: str) -> Drug:
    """The drug of this name.

    Raises
    ------
    InputError
        The table does not hold it.
    """
    drug = find(name)
    if drug is None:
        raise unknown_drug(name)
    return drug


def unknown_drug(name: str) -> InputError:
    """What to tell the user about a drug that the table does not hold; its str() is the sentence for problems.tsv."""
    near = suggest(name)
    hint = f"Did you mean {near!r}? " if near else ""
    return InputError(
        f"unknown drug {name!r}",
        where="medication",
        why="its exposure cannot be computed: no half-life or full dose is known for it",
        do=hint + "Use the generic name, a brand or the ATC code",
    )


_UNIT_FACTORS: Mapping[str, Mapping[str, float]] = {
    "ng/mL": {"ng/ml": 1.0, "ug/l": 1.0, "ug/ml": 1e3, "mg/l": 1e3},
    "mmol/L": {"mmol/l": 1.0, "meq/l": 1.0, "umol/l": 1e-3},
}


def level_value(drug: Drug, value: float, unit: str) -> float:
    """A serum level in the unit of the drug table: ng/mL, for lithium mmol/L.

    Raises
    ------
    InputError
        The table has no range for this drug, or the unit is not one of its kind.
    """
    if drug.level is None:
        raise InputError(f"a level of {drug.name}", where="labs", why="no therapeutic range is known for it")
    own = drug.level.target.unit
    factors = dict(_UNIT_FACTORS[own])
    if own == "ng/mL" and drug.level.molar_mass is not None:
        grams_per_mol = drug.level.molar_mass.value
        factors |= {"nmol/l": grams_per_mol / 1e3, "umol/l": grams_per_mol}
    key = unit.casefold().replace("\u00b5", "u").replace("\u03bc", "u").replace("mcg", "ug")
    if key not in factors:
        raise InputError(
            f"{drug.name} in {unit!r}", where="labs", why=f"it cannot be turned into {own}", do=f"Use {own}"
        )
    return value * factors[key]


# Reading the table

_DOSE_UNITS = ("mg/day", "session/week")
_LEVEL_UNITS = ("ng/mL", "mmol/L")
_QUANTITIES: Mapping[str, tuple[tuple[str, ...], float]] = {  # field: units allowed, largest plausible value
    "full_dose": (_DOSE_UNITS, 5000.0),
    "maximum_dose": (_DOSE_UNITS, 5000.0),
    "half_life": (("h",), 2000.0),
    "metabolite_half_life": (("h",), 2000.0),
    "effect_half_life": (("h",), 2000.0),
    "equivalent_dose": (_DOSE_UNITS, 5000.0),
    "liquid_step": (("mg",), 100.0),
}


def parse(document: Mapping[str, Any]) -> Formulary:
    """Check a drug table (the content of drugs.yaml) and give it types.

    Raises
    ------
    InputError
        A number without unit, source or status, out of range, an unknown class, or one name for two drugs.
    """
    sources = sources_of(document)
    drugs = {entry["name"]: _drug(entry, sources) for entry in document["drugs"]}
    return Formulary(drugs, dict(_index(drugs)), frozenset(document["formulations"]))


def _index(drugs: Mapping[str, Drug]) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    for drug in drugs.values():
        for name in drug.names:
            other = seen.setdefault(_key(name), drug.name)
            if other != drug.name:
                raise InputError(
                    f"{name!r} names both {other} and {drug.name}", where="drugs.yaml", do="Keep it for one of them"
                )
            yield _key(name), drug.name


def _key(name: str) -> str:
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())


def _drug(entry: Mapping[str, Any], sources: Mapping[str, Source]) -> Drug:
    where = f"drugs.yaml, {entry['name']}"
    if entry["class"] not in CLASSES:
        raise InputError(f"class {entry['class']!r}", where=where, do=f"Use one of {', '.join(CLASSES)}")
    quantities = {
        field: quantity(entry[field], sources, f"{where}, {field}", units, largest)
        for field, (units, largest) in _QUANTITIES.items()
        if field in entry
    }
    return Drug(
        name=entry["name"],
        brands=tuple(entry["brands"]),
        atc=tuple(entry["atc"]),
        drug_class=entry["class"],
        occupancy=_occupancy(entry["occupancy"], sources, where) if "occupancy" in entry else None,
        level=_level(entry["level"], sources, where) if "level" in entry else None,
        strengths=_strengths(entry["strengths"], sources, where) if "strengths" in entry else None,
        **quantities,
    )


def _occupancy(entry: Mapping[str, Any], sources: Mapping[str, Source], where: str) -> Occupancy:
    emax = quantity(entry["emax"], sources, f"{where}, emax", ("share",), 1.0)
    ed50 = quantity(entry["ed50"], sources, f"{where}, ed50", ("mg/day",), 5000.0)
    return Occupancy(entry["target"], emax, ed50)


def _level(entry: Mapping[str, Any], sources: Mapping[str, Source], where: str) -> Level:
    low, high, target = (
        quantity(entry[k], sources, f"{where}, level {k}", _LEVEL_UNITS, 1e6) for k in ("low", "high", "target")
    )
    if not (low.value <= target.value <= high.value and low.unit == high.unit == target.unit):
        raise InputError("level low, target, high are not in this order and in one unit", where=where)
    molar = (
        quantity(entry["molar_mass"], sources, f"{where}, molar mass", ("g/mol",), 2000.0)
        if "molar_mass" in entry
        else None
    )
    return Level(low, high, target, molar)


def _strengths(entry: Mapping[str, Any], sources: Mapping[str, Source], where: str) -> Strengths:
    values = tuple(float(v) for v in entry["values"])
    if not values or min(values) <= 0 or list(values) != sorted(set(values)):
        raise InputError(f"strengths {values}", where=where, do="Give them ascending, above 0")
    rest = quantity({**entry, "value": values[0]}, sources, f"{where}, strengths", ("mg",), 5000.0)
    return Strengths(values, rest.unit, rest.source, rest.status, rest.note)
