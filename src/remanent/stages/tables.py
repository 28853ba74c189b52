"""Results as columns of the output tables."""

from typing import Any

import numpy as np

from remanent.dynamics.compare import settings
from remanent.dynamics.priors import MECHANISMS
from remanent.relapse.predict import HORIZONS_DAYS, Estimate, at_horizons
from remanent.stages.analyse import Results
from remanent.stages.comparison import comparison_table, identifiability_table
from remanent.study.schema import OUTPUT

Columns = dict[str, list[Any]]


def tables(results: Results | None) -> dict[str, Columns]:
    """The results as columns of the output tables (schema.OUTPUT); tables without rows where there are no results."""
    if results is None:
        names = ("states", "mechanisms", "comparison", "identifiability", "remanence", "forecasts", "plans")
        return {n: {c.name: [] for c in OUTPUT[n].columns} for n in names}
    return {
        "states": _states_table(results),
        "mechanisms": _mechanisms_table(results),
        "comparison": comparison_table(results.posterior, results.left_out),
        "identifiability": identifiability_table(results.posterior, results.comparison),
        "remanence": _remanence_table(results),
        "forecasts": _forecasts_table(results),
        "plans": _plans_table(results),
    }


def _ids(results: Results) -> list[str]:
    return [results.panel.patients[i] for i in results.timeline.lanes]


def _states_table(results: Results) -> Columns:
    columns: Columns = {c.name: [] for c in OUTPUT["states"].columns}
    x, informed = results.states.smoothed, states_informed(results)
    numbers = (x.f_mean, x.f_sd, x.s_mean, x.s_sd, x.withdrawal)
    for lane, who in enumerate(_ids(results)):
        rows = report_rows(results, lane)
        values = [
            [who] * len(rows),
            results.timeline.grid.day[rows, lane].tolist(),
            *(v[rows, lane].tolist() for v in numbers),
        ]
        source = "reference" if results.reference else "data"
        basis = [source if informed[lane] else "prior"] * len(rows)
        for column, part in zip(columns.values(), [*values, basis], strict=True):
            column.extend(part)
    return columns


def states_informed(results: Results) -> np.ndarray:
    """Whether the data removed enough of the prior variance of function for states to be shown as findings, [lane]."""
    return results.states.contraction[: len(results.timeline.lanes)] >= settings()["informed"]["states"]["value"]


def report_rows(results: Results, lane: int) -> np.ndarray:
    """Steps that states.tsv shows: every day with an observation, one a week between, the last."""
    grid, n = results.timeline.grid, results.timeline.steps[lane]
    day = grid.day[:n, lane]
    last_of_day = np.append(np.diff(day) > 0, True)
    seen = np.isin(day, day[(grid.observed[:, :n, lane] > 0).any(0)])
    weekly = np.abs((day - day[0] + 3.5) % 7 - 3.5) < 1e-5
    return np.flatnonzero(last_of_day & (seen | weekly | (day == day[-1])))


def _mechanisms_table(results: Results) -> Columns:
    comparison, ids = results.comparison, _ids(results)
    count = len(MECHANISMS)
    by_patient = np.stack([f.patient_log_lik[: len(ids)] for f in results.posterior.fits], axis=1)
    return {
        "participant_id": ["cohort"] * count + [who for who in ids for _ in MECHANISMS],
        "mechanism": list(MECHANISMS) * (1 + len(ids)),
        "probability": [*comparison.cohort.tolist(), *comparison.patient.ravel().tolist()],
        "log_evidence": [*(f.log_evidence for f in results.posterior.fits), *by_patient.ravel().tolist()],
        "identifiable": [*comparison.cohort_identifiable.tolist(), *comparison.patient_identifiable.ravel().tolist()],
    }


def _rows(results: Results) -> tuple[list[str], list[float], list[float]]:
    ids, today = _ids(results), results.timeline.today.tolist()
    return (
        [who for who in ids for _ in HORIZONS_DAYS],
        [day for day in today for _ in HORIZONS_DAYS],
        list(HORIZONS_DAYS) * len(ids),
    )


def _basis(results: Results, informed: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Mask of the numbers that may be shown, [horizon, lane], and what each row rests on."""
    undefined = results.gone[None] | np.isnan(values)
    shown = informed[None] & ~undefined
    source = "reference" if results.reference else "data"
    words = np.where(undefined, "undefined", np.where(informed[None], source, "prior"))
    return shown, words.T.ravel().tolist()


def _shown(estimate: Estimate, shown: np.ndarray, name: str) -> Columns:
    parts = zip(("mean", "lower", "upper"), (estimate.mean, estimate.lower, estimate.upper), strict=True)
    return {f"{name}_{part}": np.where(shown, v, np.nan).T.ravel().tolist() for part, v in parts}


def _remanence_table(results: Results) -> Columns:
    who, day, horizon = _rows(results)
    kept, stopped = at_horizons(results.outcome.remanence), at_horizons(results.outcome.relapse["stop"])
    hold = Estimate(1 - stopped.mean, 1 - stopped.upper, 1 - stopped.lower)
    hold_shown, words = _basis(results, results.outcome.informed["stop"], hold.mean)
    shown = hold_shown & _basis(results, results.outcome.remanence_informed, kept.mean)[0]
    return {
        "participant_id": who,
        "day": day,
        "horizon_days": horizon,
        **_shown(kept, shown, "remanence"),
        **_shown(hold, hold_shown, "hold"),
        "basis": words,
    }


def _forecasts_table(results: Results) -> Columns:
    columns: Columns = {}
    for plan, estimate in results.outcome.relapse.items():
        who, day, horizon = _rows(results)
        at = at_horizons(estimate)
        shown, words = _basis(results, results.outcome.informed[plan], at.mean)
        part: Columns = {
            "participant_id": who,
            "plan": [plan] * len(who),
            "day": day,
            "horizon_days": horizon,
            **_shown(at, shown, "relapse"),
            "basis": words,
        }
        for name, values in part.items():
            columns.setdefault(name, []).extend(values)
    return columns


def _plans_table(results: Results) -> Columns:
    return {
        "participant_id": _ids(results),
        "day": results.timeline.today.tolist(),
        "advice": [a.code for a in results.advice],
        "reasons": ["; ".join(a.reasons) for a in results.advice],
        "missing": ["; ".join(a.missing) or None for a in results.advice],
    }
