"""Views as a study would fill them: a rich patient, one with almost nothing, a cohort. Made-up numbers."""

from collections.abc import Callable

import numpy as np
import pytest

from remanent._errors import Problem
from remanent.report.checks import Calibration, CalibrationCurve, CalibrationGroup, SiteMeasure, Sites
from remanent.report.views import (
    Advice,
    Basis,
    CohortRow,
    CohortView,
    Dose,
    EctSession,
    Event,
    ExposureCurve,
    FitStatus,
    Forecast,
    Forecasts,
    Indicator,
    Interval,
    Mechanisms,
    ModalityGain,
    PatientView,
    Provenance,
    Remanence,
    Scan,
    Series,
    States,
    Threshold,
    Timeline,
)

NAMES, PRIOR = ("natural", "passive", "active", "dual"), (0.4, 0.2, 0.2, 0.2)
PROVENANCE = Provenance(
    versions={"remanent": "0.1.0", "Python": "3.11.7", "JAX": "0.10.2"},
    sources={"XCP-D": "0.11.0", "QSIRecon": "1.1.0", "FreeSurfer": "7.4.1"},
    settings={"Atlas": "4S156Parcels", "Half-lives": "treatment/drugs.yaml"},
    seed=20,
    snapshot_id="sha256:4f1c0b7e9a",
    run_at="run 3 of this record, 41 s",
)
PROBLEMS = (
    Problem(
        "phenotype/madrs.tsv",
        14,
        "total",
        "71 is outside 0 to 60. Correct the value or leave it empty (n/a).",
        "set_aside",
    ),
    Problem(
        "phenotype/madrs.tsv",
        15,
        "total",
        "71 is outside 0 to 60. Correct the value or leave it empty (n/a).",
        "set_aside",
    ),
    Problem(
        "derivatives/xcp_d/sub-07/ses-3/func",
        None,
        "",
        "Run shorter than 4 minutes after censoring (2.1 min).",
        "set_aside",
    ),
    Problem(
        "phenotype/medication.tsv",
        9,
        "stop_day",
        "Two doses of lithium overlap on day 60. The later row counts.",
        "used",
    ),
)


REMISSION = Threshold("remission ≤ 10", 10, "the study's protocol", "assumed")
FEATURES = (
    ("fc_default_default", "Default network FC", "Fisher z", 0, 1, "function", ""),
    ("fc_cont_sgacc", "sgACC to control FC", "Fisher z", -0.4, 1, "function", ""),
    ("sc_default_cont", "Default to control SC", "log streamlines", 2, 1.5, "structure", ""),
    ("sfc_spearman_default", "Structure-function coupling", "Spearman rho", 0.1, 0.5, "both", ""),
    ("vol_hippocampus", "Hippocampal volume", "mm³", 7400, 500, "ECT trace", "within scan-rescan noise"),
)


def _forecast(plan: str, label: str, doses: str, rate: float, spread: float) -> Forecast:
    days = np.array([0, 7, 14, 28, 56, 91, 126, 182, 238, 301, 364], dtype=float)
    return Forecast(plan, label, days, *(1 - np.exp(-rate * f * days) for f in (1, 1 / spread, spread)), doses)


def rich_patient(participant_id: str = "sub-07", seed: int = 1) -> PatientView:
    """Return a patient with everything: two drugs, a taper begun, five scans, symptoms, CRP and sleep."""
    rng = np.random.default_rng(seed)
    visits = np.array([-28, -14, 0, 14, 28, 56, 91, 119, 154, 182], dtype=float)
    severity = np.array([36, 22, 9, 8, 7, 6, 8, 7, 9, 8.0]) + rng.integers(-1, 2, 10)
    exposure_days = np.arange(-28, 183, 3.0)
    ssri = np.where(
        exposure_days < 0, 0, np.clip(exposure_days / 14, 0, 1) - np.clip((exposure_days - 126) / 80, 0, 0.45)
    )
    lithium = np.clip((exposure_days - 7) / 7, 0, 0.8)
    days = np.union1d(np.arange(-28, 183, 7.0), visits)
    function = 1 - np.exp(-np.clip(days + 28, 0, None) / 14) + 0.05 * np.sin(days / 20)
    structure = 0.75 * (1 - np.exp(-np.clip(days + 10, 0, None) / 70))
    scans = np.array([-25, 4, 91, 180.0])
    fc = np.array([0.18, 0.31, 0.33, 0.32])
    return PatientView(
        participant_id,
        "ECT follow-up, made-up data",
        Advice(
            "hold",
            (
                "hold within 182 days is 0.64, and its 90 % interval (0.41 to 0.83) reaches below the bound of 0.80 set for this study",
                "structure still rises (0.55 on day 91, 0.68 on day 182): consolidation is not complete",
                "CRP was raised on day 154 (6.1 mg/L)",
            ),
            ("a structural connectome after day 91", "two weeks of sleep diary"),
            ("diffusion MRI on day 210 (week 30): narrows hold most (0.31 bits)", "CRP in 2 weeks"),
            "in 400 simulated patients of this design, 6 % of those told to hold would have stayed well without drugs (assumed model)",
        ),
        Timeline(
            today=182.0,
            ect=tuple(EctSession(float(d), "RUL" if d < -14 else "BT") for d in range(-27, 1, 3)),
            doses=(
                Dose("sertraline", "SSRI", 50, 0, 7),
                Dose("sertraline", "SSRI", 150, 7, 126),
                Dose("sertraline", "SSRI", 100, 126, 154),
                Dose("sertraline", "SSRI", 50, 154, np.inf),
                Dose("lithium", "lithium", 900, 7, np.inf),
                Dose("mirtazapine", "NaSSA", 15, -np.inf, -20),
            ),
            exposure=(ExposureCurve("SSRI", exposure_days, ssri), ExposureCurve("lithium", exposure_days, lithium)),
            symptoms=(
                Series("madrs", "MADRS", "points", visits, severity, 0, 60, "higher_is_worse", (REMISSION,)),
                Series("isi", "ISI", "points", visits[::3], np.array([22, 11, 9, 12.0]), 0, 28, "higher_is_worse"),
            ),
            labs=(Series("crp", "CRP", "mg/L", np.array([-27, 14, 91, 154.0]), np.array([3.2, 2.0, 1.8, 6.1])),),
            sleep=(
                Series(
                    "tst_h",
                    "Total sleep time",
                    "h",
                    np.arange(-20, 182, 6.0),
                    6.5 + rng.normal(0, 0.6, 34),
                    direction="higher_is_better",
                ),
            ),
            events=(Event(61, "hospitalised", "fracture of the wrist"),),
            scans=tuple(
                Scan(float(d), f"ses-{k + 1}", k != 2, f"{9 + k:.0f}.4 usable min", "head motion" if k == 2 else "")
                for k, d in enumerate(scans)
            ),
            relapse_rule="MADRS of 16 or more at two visits in a row at least 7 days apart, or admission for depression",
        ),
        States(
            days,
            function,
            0.08 + 0.002 * np.abs(days - 60) ** 0.9,
            structure,
            np.full(days.size, 0.16),
            np.where(days > 126, 0.25 * np.exp(-np.abs(days - 140) / 12), 0),
            Basis("data", "10 symptom visits, 3 usable scans, 5 dose changes"),
        ),
        tuple(
            Indicator(
                name,
                label,
                unit,
                scans,
                offset + scale * fc + rng.normal(0, 0.01 * scale, 4),
                np.full(4, 0.03 * scale),
                offset + scale * (fc + 0.005),
                np.full(4, 0.025 * scale),
                np.array([True, True, False, True]),
                informs,
                note,
            )
            for name, label, unit, offset, scale, informs, note in FEATURES
        ),
        Remanence(
            (28, 91, 182, 364),
            (
                Interval(0.86, 0.68, 1.02),
                Interval(0.74, 0.49, 0.98),
                Interval(0.66, 0.38, 0.95),
                Interval(0.6, 0.28, 0.94),
            ),
            (
                Interval(0.93, 0.85, 0.98),
                Interval(0.79, 0.61, 0.92),
                Interval(0.64, 0.41, 0.83),
                Interval(0.48, 0.23, 0.73),
            ),
            Basis("data", "two dose changes after day 126 and symptoms after them; structure measured three times"),
        ),
        Forecasts(
            (
                _forecast("continue", "Continue", "sertraline 50, lithium 900 mg/day", 0.0007, 1.7),
                _forecast("taper", "Taper over 12 weeks", "to zero in equal steps of effect", 0.0016, 1.8),
                _forecast("stop", "Stop today", "zero from today", 0.0026, 1.9),
            ),
            Basis("data", "as above; still at risk on day 182"),
        ),
        Mechanisms(
            NAMES,
            (0.03, 0.21, 0.17, 0.59),
            PRIOR,
            True,
            "the dose reduction from day 126, with symptoms and one scan after it",
        ),
        (
            ModalityGain("resting fMRI", 0.12, "a little more certain of staying well"),
            ModalityGain("diffusion MRI", 0.31, "later relapse more likely"),
        ),
        flags=("scanner software changed between ses-2 and ses-3",),
        problems=PROBLEMS,
        fit=FitStatus(True, "40 patients, 214 iterations, largest gradient 3e-6"),
        provenance=PROVENANCE,
    )


def bare_patient(participant_id: str = "sub-103818") -> PatientView:
    """Return two resting scans of a healthy person: no drug, no ECT, no symptoms."""
    scans = np.array([0.0, 120.0])
    observed = np.array([0.24, 0.27])
    prior = Basis("prior", "no dose change, no symptom score and no measure of structure")
    return PatientView(
        participant_id,
        "Test-retest, two scans",
        Advice(
            "not_enough_data",
            (
                "nothing was ever given, so nothing can be withdrawn",
                "no symptom score, so neither recovery nor relapse can be seen",
            ),
            (
                "medication",
                "ECT sessions",
                "symptom scores (any instrument, two visits or more)",
                "a measure of structure",
            ),
        ),
        Timeline(
            120.0,
            "the first record",
            scans=(Scan(0, "ses-test", True, "27.1 usable min"), Scan(120, "ses-retest", True, "26.4 usable min")),
        ),
        States(basis=prior),
        (
            Indicator(
                "fc_default_default",
                "Default network FC",
                "Fisher z",
                scans,
                observed,
                np.array([0.012, 0.013]),
                np.full(2, np.nan),
                np.full(2, np.nan),
                np.array([True, True]),
                "function",
            ),
        ),
        Remanence(basis=prior),
        Forecasts(basis=prior),
        Mechanisms(NAMES, PRIOR, PRIOR, False, "no drug was given: every mechanism predicts the same"),
        fit=FitStatus(None, "two people are no cohort"),
        provenance=PROVENANCE,
    )


def _around(mean: float) -> Interval:
    return Interval(mean, max(mean - 0.18, 0.4 * mean), min(mean + 0.14, 1 - 0.3 * (1 - mean)))


def cohort(patients: int = 40, seed: int = 2) -> CohortView:
    """Return a cohort in all states of advice."""
    rng = np.random.default_rng(seed)
    codes = ("hold", "hold", "taper", "not_enough_data", "treat_first", "hold", "taper", "act")
    reasons = {
        "act": "MADRS rose by 9 points since the last dose reduction",
        "treat_first": "CRP was raised at the last two visits",
        "taper": "hold within 182 days is 0.91 (0.82 to 0.97)",
        "hold": "hold within 182 days is 0.64 (0.41 to 0.83), below this study's bound",
        "not_enough_data": "no dose change since ECT: the drug's part cannot be told from the patient's own",
    }
    rows = []
    for k in range(patients):
        code = codes[k % len(codes)] if k else "act"
        last = float(rng.integers(60, 420))
        symptoms = tuple(float(d) for d in np.sort(rng.integers(-30, last, 9)))
        scans = tuple(float(d) for d in np.sort(rng.integers(-28, last, 3)))
        mean = float(np.clip({"taper": 0.9, "hold": 0.65}.get(code, 0.4) + rng.normal(0, 0.05), 0.05, 0.97))
        known = code != "not_enough_data"
        visits = {
            "ect": tuple(float(d) for d in range(-28, 1, 3)),
            "symptoms": symptoms,
            "scan": scans,
            "dose change": (0.0, float(rng.integers(0, last))),
        }
        if k % 9 == 4:
            visits["relapse"] = (last,)
        if k % 11 == 7:
            visits["dropout"] = (last,)
        rows.append(
            CohortRow(
                f"sub-{k + 1:02d}",
                code,
                reasons[code],
                last,
                {
                    "ECT sessions": 10,
                    "symptom visits": 9,
                    "usable scans": 3 - (k % 5 == 0),
                    "dose changes": 2 if known else 0,
                    "CRP values": int(rng.integers(0, 4)),
                },
                visits,
                _around(mean) if known else None,
                {"continue": _around(0.12), "taper": _around(0.9 - 0.85 * mean), "stop": _around(1 - mean)}
                if known
                else {},
                int(k % 6 == 2),
                ("scanner changed",) if k % 13 == 3 else (),
            )
        )
    return CohortView(
        "ECT follow-up, made-up data",
        tuple(rows),
        Mechanisms(
            NAMES, (0.01, 0.18, 0.12, 0.69), PRIOR, True, "61 dose changes in 35 patients; structure measured in 38"
        ),
        FitStatus(True, "214 iterations, largest gradient 3e-6"),
        PROBLEMS,
        ("site B: hippocampal volumes drift by 1.2 % a year in every patient",),
        PROVENANCE,
        calibration=_calibration(),
        sites=_sites(rng),
    )


def _calibration() -> Calibration:
    groups = tuple(
        CalibrationGroup(16, p, o, o - 0.1, o + 0.12)
        for p, o in ((0.05, 0.1), (0.12, 0.11), (0.2, 0.26), (0.31, 0.35), (0.52, 0.44))
    )
    unknown = (*groups[:4], CalibrationGroup(16, 0.6, np.nan, np.nan, np.nan))
    return Calibration(
        (
            CalibrationCurve(91, 80, 14, 160, 0.24, groups, (0.02, -0.05, 0.09), (0.9, 0.5, 1.4)),
            CalibrationCurve(182, 80, 23, 120, 0.31, unknown, (-0.01, -0.08, 0.07), (np.nan, np.nan, np.nan)),
        ),
        unsaid="",
    )


def _sites(rng: np.random.Generator) -> Sites:
    names = ("Berlin <b>", "north", "south")
    draws = [tuple(rng.normal(m, 0.1, 20) for m in means) for means in ((0.2, 0.4, 0.7), (0.42, 0.43, 0.45))]
    measure = SiteMeasure("fc default default", "Fisher z", names, *draws, 4.9, 0.3)
    big = SiteMeasure(
        "vol hippocampus",
        "mm3",
        names,
        tuple(3000 + 800 * v for v in draws[0]),
        tuple(3400 + 300 * v for v in draws[1]),
        4.8,
        0.4,
    )
    return Sites((measure, big), 17, "controls", "")


@pytest.fixture(scope="session")
def make_patient() -> Callable[..., PatientView]:
    return rich_patient


@pytest.fixture(scope="session")
def make_bare() -> Callable[..., PatientView]:
    return bare_patient


@pytest.fixture(scope="session")
def make_cohort() -> Callable[..., CohortView]:
    return cohort
