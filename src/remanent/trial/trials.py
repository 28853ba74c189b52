"""trials.yaml as values: published trials of maintenance after ECT, arm by arm."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import yaml
from scipy.stats import norm

from remanent.relapse.definition import Rule, rule
from remanent.study.crosswalks import convertible, read_as
from remanent.treatment.exposure import IS_DRUG, DoseHistory, exposure
from remanent.trial.world import SCALE


@dataclass(frozen=True)
class Entry:
    """Who is let in: score at most `at_most` and fallen by at least `fall` on both `days` after ECT."""

    at_most: float
    fall: float
    days: tuple[float, ...]


@dataclass(frozen=True)
class Arm:
    """One arm and what was found in it.

    Attributes
    ----------
    mix
        Share of patients and doses (mg/day) of each regimen.
    ect_days
        Continuation ECT, days after the index course.
    weeks
        Follow-up.
    dropout_rate
        Hazard of dropout (1/day), from the share who had left by the end.
    relapsed, n
        The published count and its denominator.
    ci
        95 % interval of the proportion.
    """

    name: str
    mix: tuple[tuple[float, Mapping[str, float]], ...]
    ect_days: tuple[float, ...]
    weeks: int
    denominator: Literal["all", "completers"]
    dropout_rate: float
    relapsed: int
    n: int
    ci: tuple[float, float]
    read: str

    @property
    def proportion(self) -> float:
        """Observed share relapsed."""
        return self.relapsed / self.n


@dataclass(frozen=True)
class Trial:
    """One trial. `rule` is its relapse rule, put on the 24-item Hamilton scale by published tables (or by assumption, where trials.yaml says so)."""

    name: str
    title: str
    split: Literal["fitted", "held_out"]
    year: int
    entry: Entry
    rule: Rule
    arms: tuple[Arm, ...]


@cache
def document() -> Mapping[str, Any]:
    """The whole of trials.yaml."""
    loaded: dict[str, Any] = yaml.safe_load((files("remanent.trial") / "trials.yaml").read_text("utf-8"))
    return loaded


@cache
def trials() -> tuple[Trial, ...]:
    """Every usable trial."""
    return tuple(_trial(name, entry) for name, entry in document()["trials"].items())


def visit_days(weeks: int) -> tuple[float, ...]:
    """Days since randomisation on which patients are rated, the first 0."""
    planned = document()["defaults"]["visits"]
    days = [0, *planned["weeks"]]
    while days[-1] < weeks:
        days.append(days[-1] + planned["then_every"])
    kept = sorted({min(d, weeks) for d in days})
    return tuple(7.0 * d for d in kept)


def arm_exposure(mix: Mapping[str, float], start_day: float, days: np.ndarray) -> np.ndarray:
    """Exposure summed over drugs at any days of someone who starts this regimen on `start_day`, [day]."""
    if not mix:
        return np.zeros(len(days))
    n = len(mix)
    history = DoseHistory(
        tuple(mix), np.array([float(v) for v in mix.values()]), np.full(n, start_day), np.full(n, np.inf)
    )
    return exposure(history, days)[IS_DRUG].sum(axis=0)


def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a proportion."""
    z = float(norm.ppf((1 + level) / 2))
    p, d = k / n, 1 + z**2 / n
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / d
    middle = (p + z**2 / (2 * n)) / d
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _trial(name: str, entry: Mapping[str, Any]) -> Trial:
    usual = document()["defaults"]["entry"] | entry.get("entry", {})
    return Trial(
        name=name,
        title=entry["title"],
        split=entry["split"],
        year=int(entry["year"]),
        entry=Entry(float(usual["at_most"]), float(usual["fall"]), tuple(float(d) for d in usual["days"])),
        rule=_on_the_scale(rule(entry["rule"]), entry.get("simulated_as")),
        arms=tuple(_arm(one) for one in entry["arms"]),
    )


def _on_the_scale(known: Rule, simulated_as: Mapping[str, Any] | None) -> Rule:
    if simulated_as is not None:
        return replace(
            known, instrument=SCALE, cut_off=float(simulated_as["cut_off"]), rise=float(simulated_as["rise"])
        )
    if not convertible(known.instrument, SCALE):
        raise ValueError(f"trials.yaml: {known.name} is on {known.instrument} and needs simulated_as")
    cut_off = float(read_as(np.array([known.cut_off]), known.instrument, SCALE)[0])
    return replace(known, instrument=SCALE, cut_off=cut_off)


def _arm(entry: Mapping[str, Any]) -> Arm:
    usual, weeks = document()["defaults"]["dropout"], int(entry["weeks"])
    gone, over = (entry["dropout"], weeks) if "dropout" in entry else (usual["value"], usual["per_weeks"])
    mix = entry.get("mix", [{"share": 1.0, "drugs": entry.get("drugs", {})}])
    k, n = int(entry["relapsed"]), int(entry["n"])
    ci = tuple(v / 100 for v in entry["ci"]) if "ci" in entry else wilson(k, n)
    return Arm(
        name=entry["name"],
        mix=tuple((float(one["share"]), dict(one["drugs"])) for one in mix),
        ect_days=tuple(float(d) for d in entry.get("ect", ())),
        weeks=weeks,
        denominator=entry["denominator"],
        dropout_rate=float(-np.log1p(-float(gone)) / (7.0 * over)),
        relapsed=k,
        n=n,
        ci=(float(ci[0]), float(ci[1])),
        read=entry["read"],
    )
