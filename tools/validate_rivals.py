"""The state model beside its rivals on simulated studies: where structure matters, and where nothing does.

Where it matters, forecasts are also held against the probability that is true: with q the probability of relapse given the true state, a forecast p has the
expected Brier score E[q (1 - q)] + E[(p - q)²]. The first part is chance, the same for all; the second, the excess, is what a model could do better, and it
is known far more precisely than scores of outcomes are.

usage: python tools/validate_rivals.py [COHORTS] [PATIENTS] [FOLDS]     prints the tables of docs/validation/forecast_rivals.md
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from remanent.dynamics.design import choose_design
from remanent.dynamics.grid import build_timeline
from remanent.relapse.landmark import Landmarks
from remanent.relapse.learn import compete, folds
from remanent.relapse.rivals import DAYS
from remanent.relapse.score import as_score, brier, gap, patient_weights
from remanent.stages import rivals
from remanent.stages.measure import measure_study
from remanent.stages.out_of_fold import Source, mechanistic
from remanent.study.panel import Panel, build_panel
from remanent.study.schema import OUTPUT
from remanent.study.store import Record
from remanent.study.table import Table, missing
from remanent.trial.cohort import Cohort, simulate
from remanent.trial.reference import indicators
from remanent.trial.spec import demo_spec
from remanent.trial.truth import HORIZONS, roll_forward
from remanent.trial.write import write_study

HORIZON = 182.0
# Doses change early and stand afterwards, so that the forecast on standing doses is a forecast of what was done.
_DESIGN = {
    "mechanism": "dual",
    "derivatives": False,
    "truth_paths": 200,
    "enrolment_days": 0,
    "follow_up_days": 420,  # beyond the last landmark's horizon: who is well when the study ends must count as well by then
    "dropout_per_day": 0.0003,
    "scan_days": [-28, 7, 45, 90, 170],
    "rating_days": [3, 14, 28, 42, 56, 70, 91, 119, 147, 182, 210, 238, 273, 301, 329, 364, 392, 420],
    "madrs_days": [],
    "sleep_every_days": 28,
    "arms": [
        {"name": "continue", "share": 0.5, "plan": "continue"},
        {"name": "stop", "share": 0.5, "plan": "stop", "day": [14, 60]},
    ],
}
_RATED = ("rating",)
TRUE, OURS = "truth/known", "mechanistic/with"


def silent(*_: object, **__: object) -> None:
    """Drop a log line."""


def study(cohort: Cohort, folder: Path) -> tuple[dict[str, Table], Table]:
    """Tables as read from files, and features: the simulator's indicators with a sampling error, in place of scans."""
    write_study(cohort, folder / "study")
    measure_study(folder / "study", folder / "out", workers=1, participants=(), log=silent)
    with Record.open(folder / "out") as record:
        tables = dict(record.tables())
    return tables, _features(cohort, [str(p) for p in tables["participants"]["participant_id"]])


def _features(cohort: Cohort, names: list[str]) -> Table:
    rng = np.random.default_rng(cohort.spec.seed)
    kinds = {i.name: i.kind for i in indicators()}
    noise = dict(zip(kinds, np.asarray(cohort.params.sigma), strict=True))
    rows = [
        (names[s.patient], s.session, s.day, name, value + noise[name] * rng.normal(), noise[name])
        for s in cohort.scans
        for name, value in s.values.items()
        if kinds[name] not in _RATED
    ]
    n = len(rows)
    columns = {c.name: missing(c, n) for c in OUTPUT["features"].columns}
    columns |= dict(
        zip(
            ("participant_id", "session_id", "day", "feature", "value", "se"),
            map(np.array, zip(*rows, strict=True)),
            strict=True,
        )
    )
    columns |= {name: columns[name].astype(object) for name in ("participant_id", "session_id", "feature")}
    columns["usable"] = np.full(n, "true", object)
    return Table(OUTPUT["features"], columns, np.full(n, "", object), np.arange(n))


def shuffled(panel: Panel, rng: np.random.Generator) -> Panel:
    """Outcomes of other patients, as far as each patient's own record goes: nothing that is measured has anything to do with relapse."""
    order = rng.permutation(len(panel.patients))
    end = panel.risk_end_day[order]
    within = end <= panel.last_day
    seen = {name: getattr(panel, name)[order] & within for name in ("relapsed", "dropped_out")}
    return replace(panel, risk_end_day=np.minimum(end, panel.last_day), **seen)


def true_risk(cohort: Cohort, names: list[str], patients: tuple[str, ...], rows: Landmarks) -> np.ndarray:
    """Probability of relapse by HORIZON given the true state at each landmark, on the doses that were taken, [row]."""
    place = np.array([names.index(patients[i]) for i in rows.patient])
    doses = [cohort.people.doses[i] for i in place]
    return roll_forward(cohort, place, rows.day, doses)[0][HORIZONS.index(int(HORIZON))]


def one(seed: int, patients: int, count: int, *, noise: bool) -> tuple[Landmarks, dict[str, np.ndarray]]:
    """Landmark rows, every model's out-of-fold forecast by HORIZON, and under `TRUE` the true probability (NaN where outcomes are noise)."""
    cohort = simulate(demo_spec(n_patients=patients, seed=seed, **_DESIGN))
    with tempfile.TemporaryDirectory() as folder:
        tables, features = study(cohort, Path(folder))
    panel = build_panel(tables, features)
    whole = shuffled(panel, np.random.default_rng(seed)) if noise else panel
    room = build_timeline(whole, choose_design(whole)).grid.value.shape
    source = Source(tables, features, whole, room=room)
    rivals.LANDMARK_DAYS = (91.0, 182.0)
    rows = rivals._landmarks(source)  # noqa: SLF001 - the stage's own rows
    if rows is None:
        raise RuntimeError("too few relapses in the simulated cohort")
    outer = folds(rows, count, np.random.default_rng(seed))
    k = int(np.searchsorted(DAYS, HORIZON))
    found = {name: learned.risk[:, k] for name, learned in compete(rows, outer, seed).items() if not learned.missing}
    for imaging, own in (("with", source), ("without", replace(source, features=None))):
        made = mechanistic(own, rows, outer, seed, silent)
        found[f"mechanistic/{imaging}"] = made.risk[:, k]
        print(
            f"  mechanistic {imaging} scans: {made.seconds:.0f} s, {made.converged} of {made.fits} fits converged",
            flush=True,
        )
    names = [str(p) for p in tables["participants"]["participant_id"]]
    found[TRUE] = np.full(len(rows), np.nan) if noise else true_risk(cohort, names, whole.patients, rows)
    return rows, found


def table(parts: list[tuple[Landmarks, dict[str, np.ndarray]]]) -> list[str]:
    """Brier score of every model over cohorts, beside Kaplan-Meier's and the state model's, and its excess over chance; intervals over patients."""
    rows = [r for r, _ in parts]
    patient = np.concatenate([1000 * k + r.patient for k, r in enumerate(rows)])
    stratum = np.concatenate([10 * k + r.outcome.stratum for k, r in enumerate(rows)])
    known = replace(
        rows[0].outcome,
        time_days=np.concatenate([r.time_days for r in rows]),
        event=np.concatenate([r.event for r in rows]),
        patient=patient,
        stratum=stratum,
    )
    if gap(known, HORIZON) != "estimated":
        raise RuntimeError(f"relapse within {HORIZON:g} days cannot be scored: {gap(known, HORIZON)}")
    weight = patient_weights(patient, 1000, np.random.default_rng(0))
    told = {name: np.concatenate([f[name] for _, f in parts]) for name in parts[0][1]}
    true = told.pop(TRUE)
    scores = {name: brier(known, risk, HORIZON, weight) for name, risk in told.items()}
    beyond = {name: weight @ (risk - true) ** 2 / weight.sum(1) for name, risk in told.items()}
    counts = f"{len(np.unique(patient))} patients, {len(known)} forecasts, {int(known.event.sum())} followed by relapse"
    lines = [
        counts + (f"; chance alone {np.mean(true * (1 - true)):.3f}." if np.isfinite(true).all() else "."),
        "",
        "| model | scans | Brier score (90 % interval) | this less the state model's | excess over chance | this less the state model's |",
        "|---|---|---|---|---|---|",
    ]
    for name in sorted(told, key=lambda name: scores[name][0]):
        columns = [
            _told(by_model[name] - base, sign)
            for by_model in (scores, beyond)
            for base, sign in ((0.0, ""), (by_model[OURS], "+"))
        ]
        lines.append(f"| {' | '.join((*name.split('/'), *columns))} |")
    return lines


def _told(draws: np.ndarray, sign: str) -> str:
    """A value and its interval."""
    if not np.isfinite(draws[0]):
        return "n/a"
    s = as_score(draws)
    return f"{s.value:{sign}.3f} ({s.lower:{sign}.3f} to {s.upper:{sign}.3f})"


def main() -> None:
    """Run and print."""
    count, patients, outer = (int(v) for v in (*sys.argv[1:], *("4", "60", "3")[len(sys.argv) - 1 :]))
    for title, noise in (("structure matters", False), ("features are noise", True)):
        parts = []
        for seed in range(500, 500 + count):
            parts.append(one(seed, patients, outer, noise=noise))
            print(f"\n{title}, {len(parts)} cohorts so far:\n", *table(parts), sep="\n", flush=True)


if __name__ == "__main__":
    main()
