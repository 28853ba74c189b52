"""How often the rule of `decide.py` is wrong: for one patient from the posterior, and for the rule as such from virtual patients with known truth.

What is true of a patient, at the rule's horizon H: hold (no relapse within H without drugs), stay (no relapse on unchanged doses) and tapered (no relapse
under a 12-week taper). The patient could taper where the rule's own conditions are true of these: hold >= least_hold and stay - tapered <=
most_extra_relapse. Two errors matter:

    false reassurance   taper is advised, and hold < least_hold; with it the relapses that tapering causes, max(stay - tapered, 0)
    needless drug       hold is advised, and the patient could taper; with it the months on drugs until relapse or H

From the posterior (`of_patient`): each draw is a possible truth, so the expected error of the advice given is a weighted share of draws. It is as good as
the model. For the rule as such (`of_rule`): virtual patients of the same study design whose truth is known, advised on their own virtual data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from remanent.plan.decide import AdviceCode

LEAST_CASES = 20
# The rule's numbers: one for all, or one for each patient.
Limits = Mapping[str, float] | Mapping[str, Float[np.ndarray, " patient"]]


class Chance(NamedTuple):
    """An expected value and its Monte Carlo standard error."""

    mean: float
    error: float


class Truths(NamedTuple):
    """Possible truths about patients, [draw, patient], or about one, [draw]; weights need not sum to 1."""

    hold: Float[np.ndarray, "..."]
    stay: Float[np.ndarray, "..."]
    tapered: Float[np.ndarray, "..."]
    drug_months: Float[np.ndarray, "..."]
    weight: Float[np.ndarray, "..."]


@dataclass(frozen=True)
class AdviceErrors:
    """Expected errors of one advice; None where that error is not possible under it.

    Attributes
    ----------
    below
        Probability that hold is below the threshold though a taper is advised.
    caused
        Probability of a relapse that tapering causes.
    needless
        Probability that the patient could taper though holding is advised.
    needless_months
        Expected months on drugs that this costs.
    cases
        Draws or virtual patients behind the numbers, as many as equally weighted ones would be.
    """

    code: AdviceCode
    below: Chance | None = None
    caused: Chance | None = None
    needless: Chance | None = None
    needless_months: Chance | None = None
    cases: float = 0.0


def of_patient(code: AdviceCode, truths: Truths, patient: int, limits: Limits) -> AdviceErrors:
    """Expected errors of the advice given to one patient, over the posterior."""
    mine = Truths(*(v[:, patient] for v in truths))
    return _errors(code, mine, limits)


def of_rule(
    codes: Sequence[AdviceCode], cases: Truths, limits: Mapping[str, Float[np.ndarray, " patient"]]
) -> dict[AdviceCode, AdviceErrors]:
    """Errors of each advice among virtual patients, one draw (the truth) each; advices with fewer than 20 cases are left out."""
    given = np.array(codes)
    found: dict[AdviceCode, AdviceErrors] = {}
    can_be_wrong: tuple[AdviceCode, ...] = ("taper", "hold")
    for code in can_be_wrong:
        rows = given == code
        if not rows.any():
            continue
        mine = Truths(*(v[0, rows] for v in cases))
        errors = _errors(code, mine, {name: v[rows] for name, v in limits.items()})
        if errors.cases >= LEAST_CASES:
            found[code] = errors
    return found


def could_taper(truths: Truths, limits: Limits) -> np.ndarray:
    """Whether the rule's own conditions for a taper are true."""
    extra = truths.stay - truths.tapered
    return (truths.hold >= limits["least_hold"]) & (extra <= limits["most_extra_relapse"])


def _errors(code: AdviceCode, mine: Truths, limits: Limits) -> AdviceErrors:
    w = mine.weight / max(mine.weight.sum(), 1e-300)
    cases = float(1 / max((w**2).sum(), 1e-300))
    if code == "taper":
        below = (mine.hold < limits["least_hold"]).astype(float)
        caused = np.maximum(mine.stay - mine.tapered, 0.0)
        return AdviceErrors(code, below=chance(below, w), caused=chance(caused, w), cases=cases)
    if code == "hold":
        could = could_taper(mine, limits).astype(float)
        months = could * mine.drug_months
        return AdviceErrors(code, needless=chance(could, w), needless_months=chance(months, w), cases=cases)
    return AdviceErrors(code, cases=cases)


def chance(values: Float[np.ndarray, " draw"], weight: Float[np.ndarray, " draw"]) -> Chance:
    """Weighted mean and its Monte Carlo standard error; weights sum to 1. A share of 0 or 1 among n has the error of half a case more."""
    mean = float((weight * values).sum())
    spread = float((weight**2 * (values - mean) ** 2).sum())
    n = 1 / float((weight**2).sum())
    least = 0.0 if spread > 0 or not np.isin(values, (0.0, 1.0)).all() else (0.5 / n) ** 2
    return Chance(mean, float(np.sqrt(max(spread, least))))


def words(own: AdviceErrors, rule: AdviceErrors | None, horizon_days: float) -> str:
    """How often the advice to one patient is wrong, beside the rule's own rate where it could be tried; empty where the advice can be wrong in neither way."""
    asked = {
        "below": "the recovery does not hold without drugs as the rule demands",
        "caused": f"tapering causes a relapse within {horizon_days:.0f} days",
        "needless": "the drugs could be tapered after all",
        "needless_months": f"needless months on drugs within {horizon_days:.0f} days",
    }
    shown = [(name, what) for name, what in asked.items() if getattr(own, name) is not None]
    said = []
    for k, (name, what) in enumerate(shown):
        mine, whose = _rate(name, getattr(own, name)), " for this patient" if k == 0 else ""
        general = "" if rule is None else f", {_rate(name, getattr(rule, name))}"
        tried = f" in {rule.cases:.0f} virtual patients with this advice" if rule is not None and k == 0 else ""
        said.append(f"{what}: {mine}{whose}{general}{tried}")
    if said and rule is None:
        said.append("too few virtual patients got this advice to try the rule on them")
    return "; ".join(said)


def _rate(name: str, c: Chance) -> str:
    if name == "needless_months":
        return f"{c.mean:.1f} (± {c.error:.1f})"
    return f"{100 * c.mean:.0f} % (± {100 * c.error:.0f})"
