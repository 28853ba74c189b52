"""What if: plans and stress tests as courses, paired differences, refusals, and no compilation for a new plan."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from remanent._errors import InputError
from remanent.dynamics import survive as kernel
from remanent.dynamics.design import Design
from remanent.dynamics.forecast import Today
from remanent.dynamics.grid import Medication, TimeLine
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.infer import Posterior
from remanent.dynamics.priors import layout
from remanent.dynamics.steps import Grid
from remanent.plan.parse import parse_plan_text
from remanent.plan.plans import CONTINUE, STOP, TAPER, Ect, Stress
from remanent.plan.simulate import Person, added_stress, ect_shares, months_on_drugs, stability_plans, what_if
from remanent.relapse.predict import EDGES_DAYS, Ensemble
from remanent.treatment.drugs import CLASSES
from remanent.treatment.exposure import DoseHistory, Levels

DESIGN = Design(
    Indicators(("hdrs17",), np.array([True]), np.zeros(1), np.ones(1), np.array([[True, False, False, True]])),
    crp_centre=0.0,
    sleep_centre=7.0,
    classes=("ssri",),
    class_weight=(1.0,),
    placements=("RUL",),
    placement_weight=(1.0,),
    tether=(),
    risk=(),
    reserve=(),
    dropout=False,
)
LAYOUT = layout(DESIGN)
DRAWS = 250
SERTRALINE = DoseHistory(("sertraline",), np.array([100.0]), np.array([0.0]), np.array([np.inf]))
PERSON = Person(0, Medication(SERTRALINE, Levels((), np.zeros(0), np.zeros(0))), 10)


def line_of() -> TimeLine:
    """One patient, drug started after the first record, today day 200."""
    step = np.zeros((1, 1))
    grid = Grid(
        **dict.fromkeys(("day", "dt", "lost", "at_risk", "relapse", "dropout"), step),
        **dict.fromkeys(("observed", "value", "se2", "beyond"), step[None]),
        indicator=step[None].astype(int),
        dose=np.zeros((1, 1, 1)),
        held=np.zeros((1, 1)),
        stress=np.zeros((3, 1, 1)),
        ect=np.zeros((1, 1, 1)),
        period=np.zeros((0, 1, 1)),
        tether=np.zeros((0, 1)),
        risk=np.zeros((0, 1)),
        reserve=np.zeros(1),
    )
    return TimeLine(
        grid,
        np.zeros(1, int),
        np.ones(1, int),
        np.array([200.0]),
        np.zeros((len(CLASSES), 1)),
        np.zeros((2, 1)),
        DESIGN,
    )


def ensemble_of(seed: int = 0, draws: int = DRAWS) -> Ensemble:
    """Draws near the prior's centre under all four mechanisms; sleep and CRP harm."""
    rng = np.random.default_rng(seed)
    today = []
    for _ in range(4):
        theta = 0.3 * rng.standard_normal((draws, LAYOUT.size))
        for name in ("b_crp", "b_sleep"):
            theta[:, LAYOUT.index(name)] += 1.5
        f, s, p = (rng.normal(m, 0.15, (draws, 1)) for m in (1.0, 0.6, 0.5))
        one = np.ones((draws, 1))
        today.append(Today(theta, f, s, p, one, 0.3 * one, one))
    return Ensemble(Posterior(LAYOUT, ()), (0, 1, 2, 3), tuple(today), np.full((1, 4), 0.25))


LINE, ENSEMBLE = line_of(), ensemble_of()
AT = int(np.searchsorted(EDGES_DAYS[1:], 182.0))


def test_order_of_standard_plans_and_paired_differences() -> None:
    found = what_if(ENSEMBLE, LINE, PERSON, (CONTINUE, TAPER, STOP))
    stay, taper, stop = found.relapse.mean[AT]
    assert stay < taper < stop
    assert_allclose(found.added.mean[AT], [0, taper - stay, stop - stay], atol=1e-9)
    assert found.added.lower[AT, 0] == found.added.upper[AT, 0] == 0
    width = found.relapse.upper - found.relapse.lower
    paired = found.added.upper - found.added.lower
    assert paired[AT, 2] < np.hypot(width[AT, 0], width[AT, 2])
    assert (np.diff(found.relapse.mean, axis=0) >= -1e-12).all()
    assert found.drug_months[AT, 0] > found.drug_months[AT, 1] > found.drug_months[AT, 2]


def test_the_same_plan_is_the_same_whatever_stands_beside_it() -> None:
    alone = what_if(ENSEMBLE, LINE, PERSON, (STOP,))
    among = what_if(ENSEMBLE, LINE, PERSON, (CONTINUE, TAPER, STOP, *stability_plans()))
    assert_allclose(alone.relapse.mean[:, 0], among.relapse.mean[:, 2], rtol=1e-12)


def test_stress_costs_and_more_stress_costs_more() -> None:
    found = what_if(ENSEMBLE, LINE, PERSON, stability_plans())
    none, sleep, crp, both = found.relapse.mean[AT]
    assert none < crp < both
    assert none < sleep < both
    assert (found.added.mean[AT, 1:] > 0).all()


def test_ect_and_a_slow_taper_help() -> None:
    plans = (
        STOP,
        parse_plan_text("ect: stop; ect days=14,42,70 placement=RUL"),
        parse_plan_text("slow: taper weeks=40"),
    )
    stop, ect, slow = what_if(ENSEMBLE, LINE, PERSON, plans).relapse.mean[AT]
    assert ect < stop
    assert slow < stop


def test_what_nobody_in_the_study_had_is_refused() -> None:
    for text, said in (
        ("p: dose drug=lithium mg_day=600", "starts lithium"),
        ("p: ect days=7 placement=BT", "ECT by placement BT"),
    ):
        with pytest.raises(InputError, match=said):
            what_if(ENSEMBLE, LINE, PERSON, (CONTINUE, parse_plan_text(text)))
    with pytest.raises(InputError, match="without an index course"):
        what_if(ENSEMBLE, LINE, replace(PERSON, index_sessions=0), (parse_plan_text("p: ect days=7 placement=RUL"),))


def test_a_new_plan_compiles_nothing() -> None:
    what_if(ENSEMBLE, LINE, PERSON, (CONTINUE,))
    program = kernel._survive(LAYOUT)
    before = program._cache_size()
    what_if(ENSEMBLE, LINE, PERSON, (CONTINUE, TAPER, parse_plan_text("a: taper weeks=30; stress crp_times=3")))
    assert program._cache_size() == before


def test_stress_is_spread_over_the_intervals_it_touches() -> None:
    edges = np.array([0.0, 7, 14, 21])
    added = added_stress((Stress(2.0, 2.0, 3.5, 7.0),), edges)
    assert_allclose(added[0], np.log(2) * np.array([0.5, 0.5, 0]))
    assert_allclose(added[1], 2 * np.array([0.5, 0.5, 0]))


def test_sessions_are_shares_of_the_course() -> None:
    edges = np.array([0.0, 7, 14, 21])
    shares = ect_shares((Ect((0.0, 7.0, 8.0, 21.0), "RUL"),), 8, ("BT", "RUL"), edges)
    assert_allclose(shares, [[0, 0, 0], [0.25, 0.125, 0.125]])


def test_months_on_drugs_end_with_relapse() -> None:
    survival = np.ones((EDGES_DAYS.size - 1, 1, 2))
    survival[:, :, 1] = 0.5
    exposure = np.zeros((len(CLASSES), EDGES_DAYS.size - 1, 2))
    exposure[CLASSES.index("ssri")] = 1.0
    months = months_on_drugs(survival, exposure)[-1, 0]
    assert_allclose(months[0], EDGES_DAYS[-1] / 30.4375)
    assert_allclose(months[1], months[0] / 2, rtol=0.01)


@pytest.mark.parametrize("patients", [3, 5, 9])
def test_one_patient_of_a_cohort_has_the_numbers_of_that_patient_alone(patients: int) -> None:
    plans, lane = (CONTINUE, TAPER, STOP, parse_plan_text("slow: taper weeks=40")), patients - 2
    rng = np.random.default_rng(patients)
    every = np.zeros(patients, int)
    wide = replace(
        LINE,
        lanes=np.arange(patients),
        steps=np.ones(patients, int),
        today=200.0 + np.arange(patients),
        held=LINE.held[:, every],
        stress_today=rng.standard_normal((2, patients)),
        grid=LINE.grid._replace(**{k: getattr(LINE.grid, k)[..., every] for k in ("held", "tether", "risk")}),
    )
    today = tuple(t._replace(f=t.f + 0.1 * np.arange(patients)) for t in (one.of(every) for one in ENSEMBLE.today))
    cohort = replace(ENSEMBLE, today=today, weight=rng.dirichlet(np.ones(4), patients))
    found = what_if(cohort, wide, replace(PERSON, lane=lane), plans)
    line = replace(LINE, today=wide.today[[lane]], stress_today=wide.stress_today[:, [lane]])
    alone = what_if(cohort.of(lane), line, PERSON, plans)
    assert_allclose(found.relapse.mean, alone.relapse.mean, rtol=1e-12)
    assert_allclose(found.drug_months, alone.drug_months, rtol=1e-12)
    assert found.relapse.mean.shape == (EDGES_DAYS.size - 1, 4)
