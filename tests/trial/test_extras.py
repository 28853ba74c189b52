"""What a virtual study leaves neutral unless named: each part against a closed form or a plain count, and neutral where nothing is named."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from remanent._errors import InputError
from remanent.treatment.exposure import DoseHistory
from remanent.trial.cohort import simulate
from remanent.trial.extras import Extras, acting, read_extras
from remanent.trial.reference import reference_params
from remanent.trial.spec import demo_spec
from remanent.trial.trajectory import Forcing, Person, State, event_days, hazard_of, integrate

PARAMS = reference_params("dual")
QUIET = PARAMS._replace(sig_f=0.0, sig_s=0.0)


def course_of(person, exposure, days, **forces):
    n = len(person.p)
    D = np.broadcast_to(np.asarray(exposure, float).reshape(-1, 1), (len(days), n))
    zero = np.zeros(n)
    forcing = Forcing(days, D, np.zeros((2, 1, 1)), np.zeros((1, 1)), np.full(n, days[0]), **forces)
    return integrate(np.random.default_rng(0), QUIET, person, forcing, State(zero + 0.9, zero + 0.6, zero, zero))


def person(n=1, **more):
    full = np.ones(n)
    return Person(0.5 * full, full, 0.3 * full, float(PARAMS.c) * full, float(PARAMS.a) * full, **more)


def test_a_level_is_where_structure_ends_without_consolidation() -> None:
    days = np.arange(0.0, 2000.0)
    still = Person(*(np.array([v]) for v in (0.0, 1.0, 0.3, 0.0, 0.0)), level=np.array([-0.2]))
    end = course_of(still, 0.0, days)
    np.testing.assert_allclose([end.f[-1, 0], end.s[-1, 0]], -0.2, atol=1e-6)


def test_two_basins_part_at_the_tipping_point() -> None:
    """Against a general-purpose solver of the same equation, and by where it ends."""
    days = np.arange(0.0, 2500.0, 0.5)
    theta = 0.4
    ends = {}
    for s0 in (0.36, 0.44):
        one = Person(*(np.array([v]) for v in (0.0, 1.0, 0.3, float(PARAMS.c), 0.0)), theta=np.array([theta]))
        zero = np.zeros(1)
        forcing = Forcing(days, np.zeros((len(days), 1)), np.zeros((2, 1, 1)), np.zeros((1, 1)), days[:1])
        got = integrate(np.random.default_rng(0), QUIET, one, forcing, State(zero + s0, zero + s0, zero, zero))
        k_f, r, c = (float(v) for v in (PARAMS.k_f, PARAMS.r, PARAMS.c))

        def slope(_, x, k_f=k_f, r=r, c=c):
            f, s = x
            return [k_f * (s - f), c * (f - s) - r * s * (s - theta) * (s - 1)]

        expected = solve_ivp(slope, (0, days[-1]), [s0, s0], rtol=1e-9, atol=1e-12).y[:, -1]
        np.testing.assert_allclose([got.f[-1, 0], got.s[-1, 0]], expected, atol=1e-4)
        ends[s0] = got.s[-1, 0]
    assert ends[0.36] < 0.05
    assert ends[0.44] > 0.95


def test_classes_act_by_their_own_multiples_and_psychotherapy_is_no_drug() -> None:
    history = DoseHistory(
        ("nortriptyline", "lithium", "psychotherapy"),
        np.array([100.0, 900.0, 1.0]),
        np.full(3, -np.inf),
        np.full(3, np.inf),
    )
    day = np.array([0.0])
    plain = acting(history, day, Extras())
    named = acting(history, day, read_extras({"rho": {"lithium": 2.0}, "alpha": {"tca": 0.0}, "b_psychotherapy": -0.1}))
    lithium = acting(
        DoseHistory(("lithium",), np.array([900.0]), np.array([-np.inf]), np.array([np.inf])), day, Extras()
    )
    np.testing.assert_allclose(plain.total, plain.passive)
    np.testing.assert_allclose(named.passive, plain.passive + lithium.total)
    np.testing.assert_allclose(named.active, lithium.total)
    assert plain.talk[0] == 0.0
    assert named.talk[0] < 0.0


def test_passive_and_active_exposure_each_reach_their_own_term() -> None:
    days = np.arange(0.0, 60.0)
    full, none = np.ones((len(days), 1)), np.zeros((len(days), 1))
    on = course_of(person(), 1.0, days)
    same = course_of(person(), 0.0, days, passive=full, active=full)
    np.testing.assert_allclose(on.f, same.f)
    no_active = Person(*(np.array([v]) for v in (0.5, 1.0, 0.3, float(PARAMS.c), 0.0)))
    np.testing.assert_allclose(course_of(person(), 1.0, days, active=none).f, course_of(no_active, 1.0, days).f)


def test_reserve_and_sensitivity_scale_what_stress_does() -> None:
    spec = demo_spec(n_patients=200, extras={"lam": 0.5}, derivatives=False)
    cohort = simulate(spec)
    education = np.array(cohort.people.table["education_years"], float)
    assert np.corrcoef(education, np.log(cohort.person.q))[0, 1] < -0.5
    assert np.ptp(simulate(demo_spec(n_patients=20)).person.q) == 0.0


def test_dropout_that_depends_on_function_leaves_the_worse_off_first() -> None:
    spec = demo_spec(n_patients=1500, dropout_per_day=0.01, extras={"eta_d": 2.0}, enrolment_days=0, params={"h0": 0.0})
    cohort = simulate(spec)
    left = cohort.event == "dropout"
    f_30 = cohort.course.f[np.searchsorted(cohort.course.days, 30.0)]
    assert f_30[left].mean() < f_30[~left].mean() - 0.1
    hazard = hazard_of(cohort.course.days, cohort.course.f, (0.01, 2.0))[-1]
    expected = -np.expm1(-hazard)
    assert abs(left.sum() - expected.sum()) < 4 * np.sqrt((expected * (1 - expected)).sum())


def test_nobody_leaves_where_the_hazard_is_nothing() -> None:
    assert np.isinf(event_days(np.arange(3.0), np.zeros((3, 2)), np.inf)).all()


def test_continuation_ect_lifts_function_and_is_on_record(tmp_path) -> None:
    from remanent.trial.write import write_study

    arms = [{"name": "more", "share": 1.0, "plan": "continue", "ect_days": [30, 60]}]
    changes = {
        "n_patients": 6,
        "derivatives": False,
        "truth_paths": 2,
        "enrolment_days": 0,
        "params": {"h0": 0.0},
        "dropout_per_day": 0.0,
    }
    plain = simulate(demo_spec(arms=[{"name": "more", "share": 1.0, "plan": "continue"}], **changes))
    more = simulate(demo_spec(arms=arms, **changes))
    k = np.searchsorted(more.course.days, 30.0)
    n = np.array([len(d) for d in more.people.ect_days])
    np.testing.assert_allclose(more.course.f[k] - plain.course.f[k], more.person.g_f / n)
    write_study(more, tmp_path / "study")
    rows = (tmp_path / "study" / "phenotype" / "ect.tsv").read_text().splitlines()
    assert sum(line.split("\t")[1] in {"30", "30.0"} for line in rows) == 6


def test_placements_scale_each_gain() -> None:
    same = {"n_patients": 8, "placements": "RUL", "dose_changes": False}
    half = simulate(demo_spec(**same, extras={"ect_f": {"RUL": 0.5}, "ect_e": {"RUL": 0.0}}))
    plain = simulate(demo_spec(**same))
    first = [np.searchsorted(plain.course.days, d[0]) for d in plain.people.ect_days]
    before = [max(k - 1, 0) for k in first]
    for i, (k, b) in enumerate(zip(first, before, strict=True)):
        gain, halved = (c.course.f[k, i] - c.course.f[b, i] for c in (plain, half))
        assert gain - halved == pytest.approx(plain.person.g_f[i] / len(plain.people.ect_days[i]) / 2)
    assert not half.course.e.any()


@pytest.mark.parametrize(
    "extras",
    [{"nosuch": 1}, {"rho": {"nosuch": 1.0}}, {"theta": 1.4}, {"sd_b": -1}, {"lam": "much"}, {"set_point": 0.1}, 7],
)
def test_impossible_extras_are_refused_with_the_field(extras) -> None:
    with pytest.raises(InputError, match="extras"):
        demo_spec(extras=extras)
