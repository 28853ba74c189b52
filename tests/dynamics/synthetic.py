"""A small cohort as a Panel, simulated by Euler-Maruyama: shares the model's equations with the engine and nothing else.

Level 0 of function is the patient's own level before treatment, with whatever drug is then taken: the passive gain acts on the change of exposure since the
first record.
"""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from designs import padded_grid

from remanent.dynamics.design import Design, choose_design
from remanent.dynamics.grid import TimeLine, build_timeline
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.model import Params
from remanent.dynamics.priors import Layout, layout
from remanent.dynamics.steps import Grid
from remanent.study.panel import ABOUT_PEOPLE, Doses, Long, Panel
from remanent.treatment.exposure import DoseHistory, exposure

TRUTH = {
    "k_f": 1 / 14, "r": 1 / 90, "c": 0.5 / 90, "a": 1 / 90, "p": 0.5, "sd_p": 0.2, "mu_gs": 0.3, "sd_gs": 0.15, "sd_gf": 0.3,
    "sig_f": 0.05, "sig_s": 0.015, "h0": 0.02, "eta_f": 2.0,
}  # fmt: skip
FEATURES = {
    "fc_default_default": (0.8, 0.0),
    "sc_strength_frontolimbic": (0.0, 0.8),
    "sfc_spearman_default": (0.5, 0.5),
}
# Loadings on (f, s, e) of a study that scans nothing but a volume.
TRACE_ONLY = {"vol_hippocampus": (0.0, 0.0, 1.0)}
RATINGS = np.array([-25.0, -14, 0, 7, 14, 28, 42, 56, 84, 112, 140, 168, 196, 224, 252, 280, 308, 336, 364])
SCANS = np.array([-24.0, 6, 90, 180, 260, 350])


class Cohort(NamedTuple):
    """A simulated cohort as the engine sees it, and the truth it does not."""

    panel: Panel
    design: Design
    timeline: TimeLine
    layout: Layout
    truth: dict

    @property
    def indicators(self) -> Indicators:
        return self.design.indicators


def simulate_cohort(rng: np.random.Generator, patients: int, *, steps: int = 128, **design: object) -> Cohort:
    """Padded to `steps`, so that one compiled program serves many cohorts."""
    panel, truth = simulate_panel(rng, patients, **design)
    chosen = choose_design(panel)
    # A class of drugs even where nobody takes one: the same program serves.
    chosen = replace(chosen, classes=("snri",), class_weight=(1.0,))
    line = build_timeline(panel, chosen)
    padded = Grid(*map(np.array, padded_grid(line.grid, steps - line.grid.dt.shape[0], 0)))
    padded.day[line.grid.day.shape[0] :] = np.nan
    return Cohort(panel, chosen, replace(line, grid=padded), layout(chosen), truth)


def true_params(cohort: Cohort, **changes: float) -> Params:
    """The simulator's parameters on the standardised scale of the cohort's indicators."""
    scale, centre = cohort.indicators.scale, cohort.indicators.centre
    unit = np.concatenate([[26.0], np.ones(len(FEATURES))]) / scale
    loads = np.array([(-0.6, 0.0), *FEATURES.values()])
    noise = np.sqrt(np.array([0.12**2, *[0.4**2 - 0.2**2] * len(FEATURES)]))
    zero = np.zeros(len(scale))
    values = {**TRUTH, "b": np.zeros(3), "omega": 0.0, "tau_w": 10.0, "tau_e": 60.0}
    per = {"mu": (unit * scale * np.array([1.0, *np.zeros(len(FEATURES))]) - centre) / scale}
    per |= {"sd_mu": np.array([0.2, *np.ones(len(FEATURES))]) * unit, "sigma": noise * unit}
    per |= {"l_f": loads[:, 0] * unit, "l_s": loads[:, 1] * unit, "l_e": zero, "l_w": zero}
    return Params(**{k: jnp.asarray(v, float) for k, v in (values | per | changes).items()})


def simulate_panel(
    rng: np.random.Generator,
    patients: int,
    *,
    tapers: bool = True,
    drug: bool = True,
    events: bool = True,
    truth: dict | None = None,
    scans: np.ndarray = SCANS,
    features: dict | None = None,
    withdrawal: float = 0.0,
    last_day: np.ndarray | float = 364.0,
) -> tuple[Panel, dict]:
    """Panel and the true paths {'f', 's'} [patient, day from -28 to 364]; `withdrawal`: symptoms per unit of exposure lost, fading over ten days.

    `last_day`: when each patient's record ends at the latest.
    """
    t = {**TRUTH, **(truth or {})}
    days = np.arange(-28.0, 365.0)
    ect = np.arange(-21.0, 0.1, 3)
    histories = [_history(i, tapers=tapers, drug=drug) for i in range(patients)]
    dose = np.stack([exposure(h, days).sum(0) for h in histories]) if drug else np.zeros((patients, days.size))
    f, s = _paths(rng, t, days, dose, ect)
    hazard = t["h0"] * np.exp(-t["eta_f"] * f) * (days >= 0)
    relapse = np.array([_first(np.cumsum(h), e) for h, e in zip(hazard, rng.exponential(size=patients), strict=True)])
    relapse = np.where(relapse > last_day, np.nan, relapse)
    end = np.where(np.isnan(relapse) | (not events), last_day, relapse)
    other = {"trace": _trace(days, ect), "symptoms": withdrawal * _withdrawal(dose)}
    seen = {"scans": scans, "features": features or FEATURES, **other}
    panel = _panel(rng, (f, s), histories, ect, (end, ~np.isnan(relapse)), seen, events=events)
    return panel, {"f": f, "s": s, "days": days, "relapse_day": relapse}


def after_taper(patients: int) -> np.ndarray:
    """First rating day after each patient's last drop of the dose; the end for who never drops it."""
    ends = [
        h.stop_day[-1] if h.drug else np.inf for h in (_history(i, tapers=True, drug=True) for i in range(patients))
    ]
    return np.array([RATINGS[e <= RATINGS].min() if np.isfinite(e) else 364.0 for e in ends])


def _history(i: int, *, tapers: bool, drug: bool) -> DoseHistory:
    if not drug:
        return DoseHistory((), np.empty(0), np.empty(0), np.empty(0))
    if not tapers or i % 3 == 0:
        return DoseHistory(("venlafaxine",), np.array([150.0]), np.array([-np.inf]), np.array([np.inf]))
    stop = 100.0 + 20 * (i % 5)
    begin = 2.0 if i % 3 == 1 else -20.0
    return DoseHistory(
        ("venlafaxine", "venlafaxine"), np.array([150.0, 37.5]), np.array([begin, stop]), np.array([stop, stop + 42])
    )


def _paths(
    rng: np.random.Generator, t: dict, days: np.ndarray, dose: np.ndarray, ect: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    n, substeps = len(dose), 4
    gain_f, gain_s = 1 + t["sd_gf"] * rng.standard_normal(n), t["mu_gs"] + t["sd_gs"] * rng.standard_normal(n)
    p = t["p"] + t["sd_p"] * rng.standard_normal(n) if t["p"] else np.zeros(n)
    f, s = 0.1 * rng.standard_normal(n), 0.1 * rng.standard_normal(n)
    fs, ss, h = [], [], 1 / substeps
    for k, day in enumerate(days):
        if k:
            for _ in range(substeps):
                noise = rng.standard_normal((2, n)) * np.sqrt(h)
                df = -t["k_f"] * (f - s - p * (dose[:, k] - dose[:, 0])) * h + t["sig_f"] * noise[0]
                ds = ((t["c"] + t["a"] * dose[:, k]) * (f - s) - t["r"] * s) * h + t["sig_s"] * noise[1]
                f, s = f + df, s + ds
        if day in ect:
            f, s = f + gain_f / ect.size, s + gain_s / ect.size
        fs.append(f)
        ss.append(s)
    return np.stack(fs, 1), np.stack(ss, 1)


def _trace(days: np.ndarray, ect: np.ndarray, tau: float = 60.0) -> np.ndarray:
    """ECT's fading imaging trace, [day]."""
    since = days[:, None] - ect[None]
    return np.where(since >= 0, np.exp(-np.maximum(since, 0) / tau), 0.0).sum(1) / ect.size


def _withdrawal(dose: np.ndarray, tau: float = 10.0) -> np.ndarray:
    """Exposure lost so far, fading, [patient, day]."""
    out = np.zeros_like(dose)
    for k in range(1, dose.shape[1]):
        out[:, k] = out[:, k - 1] * np.exp(-1 / tau) + np.maximum(dose[:, k - 1] - dose[:, k], 0)
    return out


def _first(cumulative: np.ndarray, threshold: float) -> float:
    hit = np.flatnonzero(cumulative > threshold)
    return float(hit[0] - 28) if hit.size else np.nan


def _panel(
    rng: np.random.Generator, paths: tuple, histories: list, ect: np.ndarray, risk: tuple, seen: dict, *, events: bool
) -> Panel:
    f, s = paths
    measures = seen["features"]
    end, relapsed = risk
    n = len(f)
    rows = [(i, d) for i in range(n) for d in RATINGS if d <= end[i]]
    at = np.array([[i, int(d + 28)] for i, d in rows])
    scores = 26 * (
        1.0
        + 0.2 * rng.standard_normal(n)[at[:, 0]]
        - 0.6 * f[at[:, 0], at[:, 1]]
        + 0.12 * rng.standard_normal(len(rows))
        + seen["symptoms"][at[:, 0], at[:, 1]]
    )
    symptoms = _long(("hdrs17",), rows, np.zeros(len(rows), int), scores, np.full(len(rows), np.nan))
    scans = [(i, d) for i in range(n) for d in seen["scans"] if d <= end[i]]
    own = rng.standard_normal((n, len(measures)))
    parts = []
    for j, (lf, ls, *le) in enumerate(measures.values()):
        expected = lf * f + ls * s + (le[0] if le else 0.0) * seen["trace"]
        parts += [(i, d, j, own[i, j] + expected[i, int(d + 28)] + 0.4 * rng.standard_normal()) for i, d in scans]
    parts.sort(key=lambda row: row[:3])
    features = _long(
        tuple(measures),
        [row[:2] for row in parts],
        np.array([r[2] for r in parts]),
        np.array([r[3] for r in parts]),
        np.full(len(parts), 0.2),
    )
    empty = _long((), [], np.empty(0, int), np.empty(0), np.empty(0))
    per = [
        (i, h.drug[k], h.dose_mg_day[k], h.start_day[k], h.stop_day[k])
        for i, h in enumerate(histories)
        for k in range(len(h.drug))
    ]
    doses = Doses(*(np.array([row[c] for row in per], t) for c, t in enumerate((int, object, float, float, float))))
    return Panel(
        tuple(f"sub-{i:03d}" for i in range(n)), ("mdd",) * n, symptoms, features, empty, empty, empty, empty, doses,
        np.repeat(np.arange(n), ect.size), np.tile(ect, n), np.full(n * ect.size, "RUL", object),
        np.full(n, -25.0), end, end if events else np.full(n, np.nan), relapsed if events else np.zeros(n, bool),
        np.zeros(n, bool), {name: np.full(n, np.nan) for name in ABOUT_PEOPLE},
    )  # fmt: skip


def _long(names: tuple, rows: list, name: np.ndarray, value: np.ndarray, se: np.ndarray) -> Long:
    return Long(names, np.array([r[0] for r in rows], int), np.array([r[1] for r in rows], float), name, value, se)
