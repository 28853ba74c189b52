"""Doses that were written down against those that are given: a slip of a unit or a digit is a dose nobody took."""

from remanent._errors import Action
from remanent.treatment.drugs import Drug, find
from remanent.treatment.sourced import taken


def doubt_dose(name: str, dose: float, before: float) -> tuple[Action, str] | None:
    """What speaks against a daily dose, and whether its row can be used all the same; None: nothing, or an unknown drug.

    Parameters
    ----------
    before
        The dose of this drug that the patient had before, 0 for none: the steps of a taper may be as small as they like,
        if each is a step.
    """
    drug = find(name)
    if drug is None or dose <= 0.0:
        return None
    limit, most, least = drug.maximum_dose, _times("most"), _times("least")
    usual = drug.full_dose.value
    said = f'"{dose:g}" {limit.unit} of "{drug.name}" is'
    label = f'the labelled maximum ("{limit.value:g}" {limit.unit})'
    if dose > most * limit.value:
        why = "this cannot be what was taken, and would count as a dose that large. Check the unit and the digits."
        return "set_aside", f"{said} more than {most:g} times {label}: {why}"
    if dose > limit.value:
        return "used", f"{said} above {label}. The model takes it as it stands: check it."
    if dose < least * (min(usual, before) if before > 0.0 else usual):
        full = f'the usual full dose ("{usual:g}" {limit.unit})'
        return "used", f"{said} less than {least:g} of {full}, so it counts as hardly anything. {_meant(drug)}"
    return None


def _meant(drug: Drug) -> str:
    if drug.level is None:
        return "Was another unit meant?"
    return f"Is it a serum level (they are in {drug.level.target.unit})? Levels belong in labs.tsv. Or was another unit meant?"


def _times(limit: str) -> float:
    return float(taken()["doses"][limit]["value"])
