"""Checks on a cohort, as the pages show them: calibration of the forecasts of patients left out, and sites before and after harmonisation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from remanent.circuits.catalogue import describe
from remanent.relapse.calibration import calibration
from remanent.relapse.rivals import DAYS
from remanent.relapse.score import Score
from remanent.report import checks as show
from remanent.report.words import feature_label
from remanent.stages.comparable import Comparable
from remanent.stages.rivals import Competitor, Rivalry, Scored
from remanent.study.table import Table

LEAST_RELAPSES = 10  # fewer say nothing about a curve; a display rule of this program
MOST_MEASURES = 4
_NOT_ASKED = (
    "Not assessed in this run: it needs forecasts of patients that the model has not seen, which 'remanent run --rivals' makes "
    "('remanent update' never does)."
)


@dataclass(frozen=True)
class Checks:
    """What the cohort page says of calibration and of sites."""

    calibration: show.Calibration = field(default_factory=show.Calibration)
    sites: show.Sites = field(default_factory=show.Sites)


def cohort_checks(rivalry: Rivalry | None, comparable: Comparable, tables: Mapping[str, Table]) -> Checks:
    """The checks of a run."""
    return Checks(calibration_of(rivalry), sites_of(comparable, tables["participants"]))


def calibration_of(rivalry: Rivalry | None) -> show.Calibration:
    """Out-of-fold forecasts of the state model against what happened, or why they cannot be assessed."""
    if rivalry is None:
        return show.Calibration(unsaid=_NOT_ASKED)
    ours = [one for one in rivalry.competitors if one.model == "mechanistic" and one.ran]
    if rivalry.lacking or not ours:
        return show.Calibration(unsaid=f"Not assessable. {rivalry.lacking}".strip())
    curves, few = [], []
    for at in rivalry.scored:
        curve = _curve(at, ours[0])
        if curve.relapsed < LEAST_RELAPSES or not curve.groups:
            why = (
                f"{curve.relapsed} of {curve.patients} patients relapsed"
                if curve.groups
                else "nobody was watched beyond it"
            )
            few.append(f"within {at.horizon_days:.0f} days: {why}")
        else:
            curves.append(curve)
    note = f"Not assessable, at least {LEAST_RELAPSES} relapses being needed: {'; '.join(few)}." if few else ""
    return show.Calibration(tuple(curves), unsaid="" if curves else note, note=note if curves else "")


def _curve(at: Scored, ours: Competitor) -> show.CalibrationCurve:
    upto = int(np.searchsorted(DAYS, at.horizon_days))
    risk = ours.risk[at.rows][:, upto]
    shape = calibration(at.known, risk, at.horizon_days, at.weight)
    relapsed = at.known.event & (at.known.time_days <= at.horizon_days)
    return show.CalibrationCurve(
        horizon_days=at.horizon_days,
        patients=len(np.unique(at.known.patient)),
        relapsed=len(np.unique(at.known.patient[relapsed])),
        forecasts=len(at.known),
        predicted=float(risk.mean()),
        groups=tuple(show.CalibrationGroup(g.rows, g.predicted, *_parts(g.observed)) for g in shape.groups),
        in_the_large=_parts(shape.in_the_large),
        slope=_parts(shape.slope),
    )


def _parts(score: Score) -> tuple[float, float, float]:
    return (float(score.value), float(score.lower), float(score.upper))


def sites_of(comparable: Comparable, participants: Table) -> show.Sites:
    """The measures whose sites differed most, before and after; or why no measure was harmonised."""
    features = comparable.features
    done = np.isfinite(features["harmonised"].astype(float)) & np.isfinite(features["value"].astype(float))
    if not done.any():
        return show.Sites(unsaid=f"No measure was harmonised: {comparable.no_sites}.")
    rows = features.select(done)
    known = dict(zip(participants["participant_id"], participants["site"], strict=True))
    site = np.array([known.get(who) or "" for who in rows["participant_id"]], dtype=object)
    names = rows["feature"].astype(str)
    found = [_measure(name, rows, site, np.flatnonzero(names == name)) for name in dict.fromkeys(names.tolist())]
    several = [one for one in found if len(one.sites) > 1 and np.isfinite(one.apart_before)]
    several.sort(key=lambda one: -one.apart_before)
    return show.Sites(tuple(several[:MOST_MEASURES]), len(several), comparable.sites_from, unsaid="")


def _measure(name: str, rows: Table, site: np.ndarray, mine: np.ndarray) -> show.SiteMeasure:
    sites = sorted({str(s) for s in site[mine] if s})
    parts = {
        column: tuple(rows[column][mine[site[mine] == one]].astype(float) for one in sites)
        for column in ("value", "harmonised")
    }
    return show.SiteMeasure(
        label=feature_label(name),
        unit=describe(name).unit,
        sites=tuple(sites),
        before=parts["value"],
        after=parts["harmonised"],
        apart_before=_apart(parts["value"]),
        apart_after=_apart(parts["harmonised"]),
    )


def _apart(values: Sequence[np.ndarray]) -> float:
    """Spread of site means (largest less smallest) in standard deviations within a site; NaN where there is none."""
    large = [one for one in values if len(one) > 1]
    if len(large) < 2:
        return float("nan")
    freedom = sum(len(one) - 1 for one in large)
    within = np.sqrt(sum(((one - one.mean()) ** 2).sum() for one in large) / freedom)
    return float(np.ptp([one.mean() for one in large]) / within) if within > 0 else float("nan")
