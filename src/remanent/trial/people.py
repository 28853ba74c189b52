"""Who takes part and what is done to them: demography, ECT, drugs, stressors. Drawn before anything evolves."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import lfilter

from remanent.treatment.exposure import DoseHistory
from remanent.treatment.taper import stop, taper
from remanent.trial.extras import EDUCATION_YEARS, PREMORBID_IQ
from remanent.trial.reference import reference
from remanent.trial.spec import Arm, CohortSpec

DAYS_BEFORE_FIRST_SESSION = 2
AGE_LIMITS = (18, 89)


@dataclass(frozen=True)
class People:
    """The patients of a study, in order.

    Attributes
    ----------
    mechanism, arm, placement
        Names, [patient].
    table
        Columns of participants.tsv.
    ect_days
        Days of the sessions of the index course, the last on day 0, one array per patient.
    start_day
        Day of the first record, [patient].
    later_ect
        Days of continuation ECT, one array per patient.
    doses
        What is planned to be taken over the whole follow-up, one history per patient.
    """

    participant: tuple[str, ...]
    mechanism: np.ndarray
    arm: np.ndarray
    placement: np.ndarray
    table: Mapping[str, list[Any]]
    ect_days: tuple[np.ndarray, ...]
    start_day: np.ndarray
    doses: tuple[DoseHistory, ...]
    later_ect: tuple[np.ndarray, ...]


def stream(spec: CohortSpec, name: str) -> np.random.Generator:
    """An independent random stream per purpose, so that changing one part of a design leaves the others as they were."""
    return np.random.default_rng([spec.seed, zlib.crc32(name.encode())])


def draw_people(spec: CohortSpec) -> People:
    """Draw the patients; shares are met to the nearest whole patient and dealt out at random."""
    n = spec.n_patients
    rng = stream(spec, "people")
    width = max(3, len(str(n)))
    participant = tuple(f"sub-{i + 1:0{width}d}" for i in range(n))
    ect_days = tuple(_course(rng, spec) for _ in range(n))
    first = np.array([days[0] for days in ect_days])
    baseline = min((day for day in spec.scan_days if day < 0), default=0)
    arms = dict(zip(range(len(spec.arms)), spec.arms, strict=True))
    arm = deal(rng, {i: one.share for i, one in arms.items()}, n)
    regimen = deal(rng, {i: one.share for i, one in enumerate(spec.regimens)}, n)
    doses = tuple(
        _doses(rng, spec, arms[int(a)], spec.regimens[int(r)].drugs) for a, r in zip(arm, regimen, strict=True)
    )
    return People(
        participant=participant,
        mechanism=deal(rng, spec.mechanism, n),
        arm=np.array([arms[int(a)].name for a in arm]),
        placement=deal(rng, spec.placements, n),
        table=_demography(rng, spec, participant),
        ect_days=ect_days,
        start_day=np.minimum(first - DAYS_BEFORE_FIRST_SESSION, baseline).astype(float),
        doses=doses,
        later_ect=tuple(np.array(arms[int(a)].ect_days, float) for a in arm),
    )


def deal(rng: np.random.Generator, shares: Mapping[Any, float], n: int) -> np.ndarray:
    """`n` labels in proportion to their shares (largest remainders), in random order."""
    exact = n * np.array(list(shares.values()))
    counts = np.floor(exact + 1e-9).astype(int)
    for i in np.argsort(counts - exact, kind="stable")[: n - counts.sum()]:
        counts[i] += 1
    return rng.permutation(np.repeat(np.array(list(shares)), counts))


def _course(rng: np.random.Generator, spec: CohortSpec) -> np.ndarray:
    """Days of an index course that ends on day 0."""
    sessions = int(rng.integers(spec.ect_sessions[0], spec.ect_sessions[1], endpoint=True))
    gaps = rng.integers(spec.ect_gap_days[0], spec.ect_gap_days[1], size=sessions - 1, endpoint=True)
    return np.concatenate([-np.cumsum(gaps[::-1])[::-1], [0]]).astype(float)


def _doses(rng: np.random.Generator, spec: CohortSpec, arm: Arm, drugs: Mapping[str, float]) -> DoseHistory:
    start = float(rng.integers(*spec.drug_start_days, endpoint=True))
    day = float(np.floor(rng.uniform(*arm.day)))
    weeks = float(np.round(rng.uniform(*arm.weeks)))
    if arm.plan == "none" and spec.dose_changes:
        return DoseHistory((), np.empty(0), np.empty(0), np.empty(0))
    names = tuple(drugs)
    first = np.full(len(names), start if spec.dose_changes else -np.inf)
    history = DoseHistory(names, np.array([drugs[d] for d in names]), first, np.full(len(names), np.inf))
    if not spec.dose_changes or arm.plan == "continue":
        return history
    return taper(history, day, weeks) if arm.plan == "taper" else stop(history, day)


def _demography(rng: np.random.Generator, spec: CohortSpec, participant: tuple[str, ...]) -> Mapping[str, list[Any]]:
    n = spec.n_patients
    age = np.clip(np.round(rng.normal(*spec.age_years, n)), *AGE_LIMITS).astype(int)
    sites = {f"site{i + 1}": 1 / spec.n_sites for i in range(spec.n_sites)}
    return {
        "participant_id": list(participant),
        "age": age.tolist(),
        "sex": deal(rng, {"F": spec.female_share, "M": 1 - spec.female_share}, n).tolist(),
        "site": deal(rng, sites, n).tolist(),
        "diagnosis": deal(rng, spec.diagnoses, n).tolist(),
        "education_years": np.clip(np.round(rng.normal(*EDUCATION_YEARS, n)), 8, 21).astype(int).tolist(),
        "premorbid_iq": np.clip(np.round(rng.normal(*PREMORBID_IQ, n)), 70, 145).astype(int).tolist(),
        "prs_mdd": np.round(rng.normal(0.3, 1.0, n), 2).tolist(),
    }


@dataclass(frozen=True)
class Stress:
    """Stressors of every patient on whole days, [day, patient]: C-reactive protein (mg/L) and total sleep time (h)."""

    days: np.ndarray
    crp: np.ndarray
    tst_h: np.ndarray

    def acting(self, days: np.ndarray) -> np.ndarray:
        """The inputs u at any days, [stressor, day, patient]: log CRP above, and hours of sleep below, the population's median."""
        k = self.index(days)
        numbers = reference()["stressors"]
        crp = np.log(self.crp[k] / numbers["crp_mg_l"]["median"])
        return np.stack([crp, numbers["tst_h"]["median"] - self.tst_h[k]])

    def index(self, days: np.ndarray) -> np.ndarray:
        """Row of the whole day each of `days` lies in."""
        return np.clip(np.floor(days - self.days[0] + 1e-9).astype(int), 0, len(self.days) - 1)


def draw_stress(spec: CohortSpec, first_day: float, last_day: float) -> Stress:
    """A person's own level and a stationary Ornstein-Uhlenbeck course around it."""
    days = np.arange(np.floor(first_day), np.ceil(last_day) + 1)
    numbers = reference()["stressors"]
    log_crp = _wander(stream(spec, "crp"), numbers["crp_mg_l"], len(days), spec.n_patients)
    tst = _wander(stream(spec, "sleep"), numbers["tst_h"], len(days), spec.n_patients)
    crp = numbers["crp_mg_l"]["median"] * np.exp(log_crp)
    return Stress(days, crp, numbers["tst_h"]["median"] + tst)


def _wander(rng: np.random.Generator, numbers: Mapping[str, Any], days: int, patients: int) -> np.ndarray:
    keep = np.exp(-1 / numbers["tau_days"])
    z = rng.standard_normal((days, patients))
    z[1:] *= np.sqrt(1 - keep**2)
    own = numbers["sd_person"] * rng.standard_normal(patients)
    course: np.ndarray = own + numbers["sd_within"] * lfilter([1.0], [1.0, -keep], z, axis=0)
    return course
