"""The page of a virtual trial: policies side by side, and how many patients a question needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from remanent.report import theme
from remanent.report.data_tables import DataTable
from remanent.report.pages import Picture, render
from remanent.report.svg import svg
from remanent.report.words import clean


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


def render_trial(view: TrialView) -> str:
    """Return the page, self-contained."""
    least = min(view.policies, key=lambda p: p.regret_mean)
    says = (
        f"Least regret: {least.policy} ({least.regret_mean:.1f} drug-months a patient beyond the oracle); "
        f"relapse from {100 * min(p.relapse_mean for p in view.policies):.0f} to {100 * max(p.relapse_mean for p in view.policies):.0f} %."
    )
    pictures = [
        _picture(
            "policies", plot_policies(view), "Relapse and drug use under each policy, mean and 90 % interval.", says
        )
    ]
    pictures += [_picture(c.question, plot_curve(c), _asks(view, c), _in_words(c)) for c in view.curves]
    return render(
        "trial.html",
        view=view,
        pictures=pictures,
        policies=_policies_table(view),
        differences=_differences_table(view),
        curves=_curves_table(view),
    )


def _picture(name: str, figure: Figure, caption: str, summary: str) -> Picture:
    return Picture(name, Markup(svg(figure, name, caption, summary)), caption, summary)  # noqa: S704 - svg escapes all text


@theme.styled
def plot_policies(view: TrialView) -> Figure:
    """Draw relapse and drug-months of each policy, a row each."""
    n = len(view.policies)
    figure, axes = theme.row(2, height_in=0.42 * n + 0.2, left_in=2.2)
    parts = (("relapse", 100.0, "relapsed, %"), ("drug_months", 1.0, "drug-months a patient"))
    for k, (axis, (name, scale, label)) in enumerate(zip(axes, parts, strict=True)):
        mean, low, high = (
            np.array([scale * getattr(p, f"{name}_{end}") for p in view.policies]) for end in ("mean", "lower", "upper")
        )
        axis.hlines(range(n), low, high, color=theme.SKY, linewidth=3)
        theme.points(axis, mean, list(range(n)), "o", 6, theme.INK)
        axis.set_ylim(n - 0.5, -0.5)
        theme.y_ticks(axis, range(n), [clean(p.policy, 24) for p in view.policies] if k == 0 else [""] * n)
        axis.set_xlabel(label, fontsize=9)
    return figure


@theme.styled
def plot_curve(curve: CurveView) -> Figure:
    """Draw probability of an answer against the number of patients."""
    figure, (axis,) = theme.stack([2.0])
    axis.fill_between(curve.patients, curve.lower, curve.upper, color=theme.FAINT)
    axis.plot(curve.patients, curve.mean, color=theme.BLUE, marker="o", markersize=4)
    axis.axhline(0.8, color=theme.GREY, linewidth=0.8, linestyle=theme.DASHES[1])
    axis.set_xscale("log")
    axis.set_xticks(curve.patients, [str(n) for n in curve.patients])
    axis.minorticks_off()
    axis.set_ylim(0, 1.02)
    theme.y_ticks(axis, (0, 0.25, 0.5, 0.75, 1))
    axis.set_xlabel("patients per arm" if curve.question == "policies" else "patients", fontsize=9)
    theme.side_title(axis, "Probability", "of an answer")
    return figure


def _asks(view: TrialView, curve: CurveView) -> str:
    if curve.question == "policies":
        return f"Power to tell the relapse proportions of {view.compare[0]} and {view.compare[1]} apart; dashed: 80 %."
    first, second = view.contrast or ("", "")
    return f"Probability of deciding for {first} against {second} when {first} is true: a bound from above, parameters being taken as known; dashed: 80 %."


def _in_words(curve: CurveView) -> str:
    enough = next((n for n, p in zip(curve.patients, curve.mean, strict=True) if p >= 0.8), None)
    return (
        f"80 % is reached with {enough} patients."
        if enough
        else f"80 % is not reached with {curve.patients[-1]} patients."
    )


def _range(mean: float, low: float, high: float, scale: float = 1.0, digits: int = 1) -> str:
    return f"{scale * mean:.{digits}f} ({scale * low:.{digits}f} to {scale * high:.{digits}f})"


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
    heads = ("Policy", "Relapsed, %", "Drug-months", "Scans", "Withdrawn, %", "Regret, drug-months")
    return DataTable(
        "Each policy on the same virtual patients: mean (90 % interval for another population drawn)", heads, rows
    )


def _differences_table(view: TrialView) -> DataTable:
    rows = tuple(
        (clean(str(d["policy"]), 60), clean(str(d["measure"]), 30), _range(d["mean"], d["lower"], d["upper"], 1, 2))
        for d in view.differences
    )
    return DataTable(
        f"Difference from {clean(view.policies[0].policy, 60)}, same patients and luck",
        ("Policy", "Measure", "Difference"),
        rows,
    )


def _curves_table(view: TrialView) -> DataTable:
    rows = tuple(
        (curve.question, str(n), _range(m, low, high, 1, 2))
        for curve in view.curves
        for n, m, low, high in zip(curve.patients, curve.mean, curve.lower, curve.upper, strict=True)
    )
    return DataTable("Probability of an answer by number of patients", ("Question", "Patients", "Probability"), rows)
