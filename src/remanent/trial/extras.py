"""Parts of the model that a virtual study leaves neutral unless its specification names them (`extras:`), and how they act on a patient.

=============== ==========================================================================================================
rho, alpha      by drug class: its passive and its active gain as a multiple of the usual one
ect_f, _s, _e   by electrode placement: what a course adds to function, structure and trace, as a multiple of the usual
set_point       level to which structure is pulled back: `prs_mdd` per unit of the polygenic score, a diagnosis by name
lam, sd_b       fall of the log sensitivity to stressors per unit of reserve, and its spread between patients of equal reserve
b_psychotherapy what a weekly session takes from function's target (negative: it helps)
eta_d           fall of the log hazard of dropout per unit of function; 0: dropout is independent of it
theta           tipping point: two basins in place of the plain pull; `theta_prs` its shift per unit of the polygenic score
=============== ==========================================================================================================

Reserve is the mean of education and premorbid IQ, each standardised by the law it was drawn from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from remanent.study.schema import DIAGNOSES
from remanent.treatment.drugs import CLASSES, NOT_DRUGS
from remanent.treatment.ect import placements
from remanent.treatment.exposure import IS_DRUG, DoseHistory, exposure

EDUCATION_YEARS, PREMORBID_IQ = (13.0, 3.0), (103.0, 13.0)

Multiples = Mapping[str, float]


@dataclass(frozen=True)
class Extras:
    """The parts, each neutral by default; see the head of this file."""

    rho: Multiples = field(default_factory=dict)
    alpha: Multiples = field(default_factory=dict)
    ect_f: Multiples = field(default_factory=dict)
    ect_s: Multiples = field(default_factory=dict)
    ect_e: Multiples = field(default_factory=dict)
    set_point: Multiples = field(default_factory=dict)
    lam: float = 0.0
    sd_b: float = 0.0
    b_psychotherapy: float = 0.0
    eta_d: float = 0.0
    theta: float | None = None
    theta_prs: float = 0.0


def read_extras(value: Any) -> Extras:
    """`extras` of a specification.

    Raises
    ------
    ValueError
        In words of what is expected.
    """
    known = [one.name for one in fields(Extras)]
    if not isinstance(value, Mapping) or not set(value) <= set(known):
        raise ValueError(f"a mapping of {', '.join(known)}")
    drugs = [c for c in CLASSES if c not in NOT_DRUGS]
    keys = dict.fromkeys(("rho", "alpha"), drugs) | {key: list(placements()) for key in ("ect_f", "ect_s", "ect_e")}
    keys["set_point"] = ["prs_mdd", *DIAGNOSES]
    found: dict[str, Any] = {}
    for name, given in value.items():
        found[name] = _multiples(name, given, keys[name]) if name in keys else _number(name, given)
    return Extras(**found)


def _multiples(name: str, given: Any, allowed: list[str]) -> Multiples:
    if not isinstance(given, Mapping) or not set(given) <= set(allowed):
        raise ValueError(f"a number in {name} for any of {', '.join(allowed)}")
    return {str(key): _number(f"{name}.{key}", one) for key, one in given.items()}


def _number(name: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not np.isfinite(given):
        raise ValueError(f"a number in {name}")
    if name == "theta" and not 0 < given < 1:
        raise ValueError("a number between 0 and 1 in theta")
    if name == "sd_b" and given < 0:
        raise ValueError("a number of 0 or more in sd_b")
    return float(given)


@dataclass(frozen=True)
class Acting:
    """What a dose history does, [day]: exposure in all, as the passive and the active gain count it, lost by classes that fell; what psychotherapy adds."""

    total: np.ndarray
    passive: np.ndarray
    active: np.ndarray
    lost: np.ndarray
    talk: np.ndarray


def acting(history: DoseHistory, days: np.ndarray, extras: Extras) -> Acting:
    """Exposure of one patient at any days, as the equations use it."""
    by_class = exposure(history, days)
    drugs = by_class * IS_DRUG[:, None]
    rho, alpha = (np.array([one.get(c, 1.0) for c in CLASSES]) for one in (extras.rho, extras.alpha))
    talk = extras.b_psychotherapy * by_class[~IS_DRUG].sum(axis=0)
    lost = np.maximum(-np.diff(drugs, axis=1, prepend=drugs[:, :1]), 0.0).sum(axis=0)
    return Acting(drugs.sum(axis=0), rho @ drugs, alpha @ drugs, lost, talk)


def of_placement(extras: Extras, name: str) -> np.ndarray:
    """Multiples of a placement on function, structure and trace, [3]."""
    return np.array([one.get(name, 1.0) for one in (extras.ect_f, extras.ect_s, extras.ect_e)])


def sensitivity(extras: Extras, table: Mapping[str, list[Any]], z: np.ndarray) -> np.ndarray:
    """Sensitivity to stressors, exp(-lam reserve) plus spread, [patient]."""
    education, iq = (np.asarray(table[name], float) for name in ("education_years", "premorbid_iq"))
    reserve = ((education - EDUCATION_YEARS[0]) / EDUCATION_YEARS[1] + (iq - PREMORBID_IQ[0]) / PREMORBID_IQ[1]) / 2
    return np.asarray(np.exp(-extras.lam * reserve) + extras.sd_b * z)


def level(extras: Extras, table: Mapping[str, list[Any]]) -> np.ndarray:
    """Set-point of structure, [patient]."""
    score = np.asarray(table["prs_mdd"], float)
    by_diagnosis = np.array([extras.set_point.get(str(d), 0.0) for d in table["diagnosis"]])
    return extras.set_point.get("prs_mdd", 0.0) * score + by_diagnosis


def tipping_point(extras: Extras, table: Mapping[str, list[Any]]) -> np.ndarray | None:
    """Tipping point between the basins, kept within (0.05, 0.95), [patient]; None in the linear form."""
    if extras.theta is None:
        return None
    moved = extras.theta + extras.theta_prs * np.asarray(table["prs_mdd"], float)
    return np.clip(moved, 0.05, 0.95)
