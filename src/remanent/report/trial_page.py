"""The page of a virtual trial: policies side by side, and how many patients a question needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from remanent.report import theme
from remanent.report.data_tables import DataTable
from remanent.report.pages import Picture, render
from remanent.report.sheet import Sheet
from remanent.report.svg import svg
from remanent.report.words import NB, clean, count, minus, percent
from remanent.trial.world import Entry


@dataclass(frozen=True)
class PolicyView:
    """What one policy came to: means and 90 % intervals."""

    policy: str
    relapse_mean: float
    relapse_lower: float
    relapse_upper: float
    drug_months_mean: float
    drug_months_lower: float
    drug_months_upper: float
    scans_mean: float
    withdrawn_mean: float
    regret_mean: float
    regret_lower: float
    regret_upper: float


@dataclass(frozen=True)
class CurveView:
    """Probability of an answer by number of patients."""

    question: str
    patients: tuple[int, ...]
    mean: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


@dataclass(frozen=True)
class TrialView:
    """What the page shows."""

    title: str
    source: str
    patients: int
    replicates: int
    follow_up_days: int
    relapse_drug_months: float
    policies: tuple[PolicyView, ...]
    differences: tuple[Mapping[str, Any], ...]
    compare: tuple[str, str]
    curves: tuple[CurveView, ...]
    contrast: tuple[str, str] | None
    entry: str = ""


def render_trial(view: TrialView) -> str:
    """Return the page, self-contained."""
    return render("trial.html", **trial_parts(view))


def trial_parts(view: TrialView) -> dict[str, Any]:
    """Return what ``trial.html`` shows, by name; the app puts the same into its own frame."""
    caption = f"Relapse, drug use and regret under each policy: mean and {_interval(view)}."
    policies = _picture("policies", plot_policies(view), caption, _says(view), [_policies_table(view)])
    powers = [
        _picture(f"power-{c.question}", plot_curve(c), _asks(view, c), _in_words(c), [_curve_table(view, c)])
        for c in view.curves
    ]
    return {"view": view, "policies": policies, "differences": _differences_table(view), "powers": powers}


def entry_words(entry: Entry, let_in: Sequence[float]) -> str:
    """How the virtual patients came into the trial, and how few of those drawn."""
    after = f"{count(round(entry.rated_day), 'day')} after" if entry.rated_day else "At"
    since = "before the first record" if np.isneginf(entry.drug_from) else _from_day(entry.drug_from)
    drug = "not taken until then" if entry.drug_from >= entry.rated_day else f"taken since {since}"
    limit = "" if entry.at_most is None else f" with a score of {entry.at_most:g} or less on the 24-item Hamilton scale"
    few, many = percent(min(let_in)), percent(max(let_in))
    shares = f"{few} of the people drawn" if few == many else f"{few} to {many} of the people drawn, by population"
    who = "everybody is let in" if entry.at_most is None else f"let in{limit}: {shares}"
    return f"{after} the last session of ECT, the drug {drug}: {who}."


def _from_day(day: float) -> str:
    if day == 0:
        return "the last session"
    return f"{count(abs(round(day)), 'day')} {'before' if day < 0 else 'after'} the last session"


def _says(view: TrialView) -> str:
    least = min(view.policies, key=lambda p: p.regret_mean)
    relapses = [p.relapse_mean for p in view.policies]
    return (
        f"Least regret: {clean(least.policy, 60)} ({_signed(least.regret_mean)} drug-months a patient beyond the oracle); "
        f"relapse from {percent(min(relapses))} to {percent(max(relapses))}."
    )


def _picture(name: str, figure: Sheet, caption: str, summary: str, tables: Sequence[DataTable]) -> Picture:
    drawn = svg(figure, name, caption, summary)
    return Picture(name, drawn, caption, summary, tuple(tables))


PANELS = (
    ("relapse", 100.0, "relapsed within the follow-up, %"),
    ("drug_months", 1.0, "months on a full dose, a patient"),
    ("regret", 1.0, "regret, drug-months a patient"),
)


def plot_policies(view: TrialView) -> Sheet:
    """Draw relapse, drug-months and regret of each policy, a row each."""
    n = len(view.policies)
    sheet, panels = theme.row(3, height_in=0.36 * n + 0.1, left_in=2.0, top_in=0.12)
    for k, (panel, (name, scale, label)) in enumerate(zip(panels, PANELS, strict=True)):
        mean, low, high = (
            np.array([scale * getattr(p, f"{name}_{end}") for p in view.policies]) for end in ("mean", "lower", "upper")
        )
        first, last = min(0.0, float(low.min())), max(1.0, float(high.max()))
        panel.x_limits = first - 0.03 * (last - first), last + 0.03 * (last - first)
        ticks = theme.nice_ticks(first, last, count=4)
        theme.x_ticks(panel, ticks)
        theme.grid(panel, ticks, theme.FAINT)
        panel.lying(range(n), low, high, theme.SKY, width=3)
        panel.points(mean, range(n), "o", 6, theme.INK)
        panel.y_limits = n - 0.5, -0.5
        theme.y_ticks(panel, range(n), [clean(p.policy, 24) for p in view.policies] if k == 0 else [""] * n)
        panel.x_label = label
    return sheet


def plot_curve(curve: CurveView) -> Sheet:
    """Draw probability of an answer against the number of patients."""
    sheet, (panel,) = theme.stack([2.0])
    panel.band(curve.patients, curve.lower, curve.upper, theme.BLUE, 0.16)
    panel.line(curve.patients, curve.mean, theme.BLUE)
    panel.points(curve.patients, curve.mean, "o", 4, theme.BLUE)
    panel.through_y(0.8, theme.GREY, width=0.8, dash=theme.DASHES[1])
    margin = 0.05 * np.log(max(curve.patients) / min(curve.patients)) or 0.1
    panel.x_log, panel.x_limits = True, (min(curve.patients) / np.exp(margin), max(curve.patients) * np.exp(margin))
    theme.x_ticks(panel, _apart(curve.patients))
    panel.y_limits = 0, 1.02
    shares = (0, 0.2, 0.4, 0.6, 0.8, 1)
    theme.y_ticks(panel, shares, [f"{100 * share:.0f} %" for share in shares])
    panel.x_label = _counted(curve)
    theme.side_title(panel, "Probability", "of an answer")
    return sheet


def _apart(patients: Sequence[int], least: float = 0.06) -> list[int]:
    """Numbers whose labels do not touch on a logarithmic axis: at least a share of its length apart."""
    kept = [patients[0]]
    span = np.log(patients[-1] / patients[0])
    for n in patients[1:]:
        if np.log(n / kept[-1]) > least * span:
            kept.append(n)
    return kept


def _interval(view: TrialView) -> str:
    """What the interval of a policy is for."""
    if view.replicates > 1:
        return "90 % interval for another population drawn"
    return "90 % Monte Carlo interval in the only population drawn; how populations differ is not in it"


def _counted(curve: CurveView) -> str:
    return "patients per arm (logarithmic)" if curve.question == "policies" else "patients in all (logarithmic)"


def _asks(view: TrialView, curve: CurveView) -> str:
    if curve.question == "policies":
        return (
            f"Power to tell the relapse proportions of {view.compare[0]} and {view.compare[1]} apart; "
            f"band: {_spread(view, curve)}; dashed: 80 %."
        )
    first, second = view.contrast or ("", "")
    return (
        f"Probability that the data decide for {first} against {second} when {first} is true and {second} mimics it as well as it can; "
        f"band: {_spread(view, curve)}; dashed: 80 %."
    )


def _spread(view: TrialView, curve: CurveView) -> str:
    """What the curve's interval is over."""
    only = curve.question == "policies" and view.replicates == 1
    return "90 % Monte Carlo interval in one population" if only else "90 % of populations"


def _in_words(curve: CurveView) -> str:
    counted = "patients per arm" if curve.question == "policies" else "patients"
    enough = next((n for n, p in zip(curve.patients, curve.mean, strict=True) if p >= 0.8), None)
    last = f"with {curve.patients[-1]} {counted} the probability is {percent(curve.mean[-1])}"
    if enough is None:
        return f"On average over populations 80 % is not reached: {last}."
    return f"On average over populations 80 % is reached with {enough} {counted}{', the fewest tried' if enough == curve.patients[0] else ''}."


def _signed(value: float, digits: int = 1) -> str:
    """A number with a true minus sign, and no minus before zero."""
    text = f"{value:.{digits}f}"
    return minus(text if float(text) else text.removeprefix("-"))


def _range(mean: float, low: float, high: float, scale: float = 1.0, digits: int = 1) -> str:
    first, second, third = (_signed(scale * part, digits) for part in (mean, low, high))
    return first if first == second == third else f"{first} ({second}{NB}to{NB}{third})"


def _policies_table(view: TrialView) -> DataTable:
    rows = tuple(
        (
            clean(p.policy, 60),
            _range(p.relapse_mean, p.relapse_lower, p.relapse_upper, 100, 0),
            _range(p.drug_months_mean, p.drug_months_lower, p.drug_months_upper),
            f"{p.scans_mean:.1f}",
            f"{100 * p.withdrawn_mean:.0f}",
            _range(p.regret_mean, p.regret_lower, p.regret_upper),
        )
        for p in view.policies
    )
    heads = ("Policy", "Relapsed (%)", "Drug-months", "Scans", "Withdrawn (%)", "Regret (drug-months)")
    return DataTable(f"Each policy on the same virtual patients: mean ({_interval(view)})", heads, rows)


# what is compared, how many of its units make one shown, decimals
_MEASURES: Mapping[str, tuple[str, float, int]] = {
    "relapse": ("relapsed (percentage points)", 100, 0),
    "drug_months": ("months on a full dose", 1, 1),
    "scans": ("scans", 1, 1),
    "withdrawn": ("all drugs withdrawn (percentage points)", 100, 0),
    "loss": ("loss (drug-months)", 1, 1),
}


def _differences_table(view: TrialView) -> DataTable:
    """A row a policy, a column a measure."""
    measures = list(dict.fromkeys(str(d["measure"]) for d in view.differences))
    shown = {m: _MEASURES.get(m, (clean(m, 30), 1.0, 2)) for m in measures}
    cells = {
        (d["policy"], d["measure"]): _range(d["mean"], d["lower"], d["upper"], *shown[str(d["measure"])][1:])
        for d in view.differences
    }
    policies = dict.fromkeys(policy for policy, _ in cells)
    rows = tuple((clean(policy, 60), *(cells.get((policy, m), "") for m in measures)) for policy in policies)
    caption = f"Difference from {clean(view.policies[0].policy, 60)}, same patients and luck: mean ({_interval(view)})"
    return DataTable(caption, ("Policy", *(label.capitalize() for label, _, _ in shown.values())), rows)


def _curve_table(view: TrialView, curve: CurveView) -> DataTable:
    counted = _counted(curve).removesuffix(" (logarithmic)").capitalize()
    rows = [
        (str(n), _range(m, low, high, 100, 0))
        for n, m, low, high in zip(curve.patients, curve.mean, curve.lower, curve.upper, strict=True)
    ]
    asked = {
        "policies": "telling the policies apart",
        "mechanisms": "deciding between the mechanisms",
    }[curve.question]
    return DataTable(
        f"Probability of {asked}, mean ({_spread(view, curve)})", (counted, "Probability (%)"), tuple(rows)
    )
