"""Policies on virtual patients: bookkeeping by hand, the hazard against its closed form, power against the normal approximation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from remanent._errors import InputError
from remanent.trial.design import Power, designs, read_trial, trial_spec
from remanent.trial.policy import (
    DAYS_PER_MONTH,
    Outcome,
    Policy,
    Protocol,
    Stage,
    oracle,
    regret,
    run,
    scores_and_states,
)
from remanent.trial.power import policy_curve
from remanent.trial.reference import start_sd
from remanent.trial.world import GAP_DAYS, STEP_DAYS, Entry, Scale, Truth, World, draw_remitters, draw_world

SCALE = Scale(mu=0.95, sd_mu=0.12, l_f=-0.65, l_w=1.0, sigma=0.12)
TRUTH = Truth(k_f=0.07, r=0.011, c=0.005, a=0.01, p=0.5, sd_p=0.2, mu_gs=0.4, sd_gs=0.15, sd_gf=0.3, sig_f=0.05, sig_s=0.015,
              omega=0.1, tau_w=10.0, h0=0.01, eta_f=2.0, scale=SCALE)  # fmt: skip
VISITS = tuple(28.0 * k for k in range(14))


def world(truth: Truth = TRUTH, n: int = 400, days: float = 364.0, entry: float | None = None) -> World:
    plan = {"steps": int(days / STEP_DAYS), "visits": len(VISITS), "stages": 3, "entry": Entry(entry)}
    return draw_world(np.random.default_rng(2), truth, n, plan)


def protocol(**changes: object) -> Protocol:
    return replace(Protocol(364.0, VISITS, 0.0, 12.0), **changes)


def test_never_stop_takes_the_drug_all_the_time() -> None:
    got = run(world(), Policy("never stop"), protocol())
    np.testing.assert_allclose(got.drug_months, 364 / DAYS_PER_MONTH)
    assert np.isinf(got.withdrawn_day).all()
    assert not got.scans.any()


def test_a_fixed_stop_is_half_the_taper_and_nothing_after() -> None:
    quiet = replace(TRUTH, h0=0.0)
    got = run(world(quiet), Policy("stop", (Stage(day=112.0, weeks=8.0),)), protocol())
    np.testing.assert_allclose(got.drug_months, (112 + 28) / DAYS_PER_MONTH, atol=STEP_DAYS / DAYS_PER_MONTH)
    assert (got.withdrawn_day == 112.0).all()


def test_relapse_is_exponential_where_the_hazard_is_constant_and_puts_the_drug_back() -> None:
    flat = replace(TRUTH, eta_f=0.0, h0=0.005)
    people = world(flat, n=2000)
    got = run(people, Policy("stop", (Stage(day=28.0, weeks=0.0),)), protocol())
    within = people.fate[0] / 0.005 <= 364.0
    np.testing.assert_array_equal(np.isfinite(got.relapse_day), within)
    assert np.abs(got.relapse_day - people.fate[0] / 0.005)[within].max() <= STEP_DAYS
    late = within & (got.relapse_day > 40) & (got.relapse_day < 300)
    np.testing.assert_allclose(got.drug_months[late], (28 + 364 - got.relapse_day[late]) / DAYS_PER_MONTH, atol=0.3)
    np.testing.assert_allclose(got.loss, 12.0 * within + got.drug_months)


def test_policies_share_their_luck() -> None:
    people = world()
    never, late = (run(people, p, protocol()) for p in (Policy("a"), Policy("b", (Stage(day=336.0),))))
    same = never.relapse_day <= 336.0
    np.testing.assert_array_equal(never.relapse_day[same], late.relapse_day[same])


def test_a_row_of_good_visits_is_asked_for() -> None:
    people = world(replace(TRUTH, h0=0.0), n=300)
    stage = Stage(day=84.0, wait=True, score_at_most=9.0, visits=3)
    got = run(people, Policy("by symptoms", (stage,)), protocol())
    seen = scores_and_states(people, protocol()).scores <= 9.0
    expected = np.full(300, np.inf)
    for i in range(300):
        rows = [k for k in range(2, len(VISITS)) if seen[k - 2 : k + 1, i].all() and 84.0 <= VISITS[k] < 364.0]
        if rows:
            expected[i] = VISITS[rows[0]]
    np.testing.assert_array_equal(got.withdrawn_day, expected)
    assert np.isfinite(expected).any()


def test_the_biomarker_decides_on_its_days_and_its_scans_are_counted() -> None:
    people = world(replace(TRUTH, h0=0.0), n=4)
    holds = {84.0: np.array([0.9, 0.1, 0.1, 0.5]), 168.0: np.array([0.0, 0.9, 0.2, 0.7])}
    policy = Policy("by hold", (Stage(day=84.0, wait=True, hold_at_least=0.6),))
    got = run(people, policy, protocol(holds=holds))
    np.testing.assert_array_equal(got.withdrawn_day, [84.0, 168.0, np.inf, 168.0])
    np.testing.assert_array_equal(got.scans, [1, 2, 2, 2])


def test_random_assignment_meets_its_probabilities_and_failures_go_back() -> None:
    people = world(replace(TRUTH, h0=0.0), n=3000)
    half = Policy("half", (Stage(day=28.0, weeks=0.0, options=((0.5, 0.3), (1.0, 0.7))),))
    got = run(people, half, protocol())
    on_half = got.drug_months < 364 / DAYS_PER_MONTH - 1
    assert on_half.mean() == pytest.approx(0.3, abs=0.03)
    back = Policy(
        "back",
        (
            Stage(day=28.0, weeks=0.0, options=((0.5, 1.0),)),
            Stage(day=84.0, weeks=0.0, score_at_most=0.0, otherwise=1.0),
        ),
    )
    returned = run(people, back, protocol())
    usual = np.median(returned.drug_months)
    assert usual == pytest.approx((364 - 28) / DAYS_PER_MONTH, abs=0.2)


def test_the_oracle_is_hardly_beaten_on_average() -> None:
    people, shared = world(n=800), protocol()
    candidates = [Policy("never"), Policy("now", (Stage(day=28.0),)), Policy("later", (Stage(day=182.0),))]
    outcomes = {p.name: run(people, p, shared) for p in candidates}
    choice = oracle(np.random.default_rng(5), people, candidates, shared)
    lost = regret(outcomes, choice, [p.name for p in candidates])
    for values in lost.values():
        assert values.mean() > -2 * values.std() / np.sqrt(800)
    assert len(set(choice.tolist())) > 1


def test_entry_lets_in_only_low_scores_and_says_when_nobody_is() -> None:
    everybody, remitters = world(n=300), world(n=300, entry=8.0)
    assert remitters.f.mean() > everybody.f.mean()
    with pytest.raises(InputError, match=r"entry\.at_most"):
        world(replace(TRUTH, scale=replace(SCALE, l_f=0.0)), entry=1.0)


def test_nobody_is_in_a_trial_twice() -> None:
    """Where few are let in more are drawn; the share says how few."""
    rare = world(n=300, entry=1.0)
    assert rare.let_in < 1 / 6
    assert len(np.unique(rare.f)) == len(np.unique(rare.own_mean)) == 300
    assert world(n=300).let_in == 1.0


def test_at_entry_the_drug_has_acted_for_as_long_as_it_was_taken() -> None:
    """Without noise the state at the rating follows the equations by hand: the drug begins in the middle of the course."""
    still = replace(TRUTH, sd_p=0.0, sd_gs=0.0, sd_gf=0.0, sig_f=0.0, sig_s=0.0)
    fine = 0.05
    for drug_from, held in ((-5.0, 0.0), (3.0, 0.0), (-np.inf, 1.0)):
        entry = Entry(None, rated_day=3.0, drug_from=drug_from)
        got = draw_remitters(np.random.default_rng(4), still, 50, entry)
        f, s = start_sd() * np.random.default_rng(4).standard_normal((6, 300))[4:, :50]
        for k in range(int(31 / fine) + 1):
            day = -8 * GAP_DAYS + k * fine
            if k % int(GAP_DAYS / fine) == 0 and day < fine:
                f, s = f + 1 / 9, s + 0.4 / 9
            on = float(day + fine / 2 >= drug_from)
            if k < int(31 / fine):
                f, s = (
                    f + fine * 0.07 * (s + 0.5 * (on - held) - f),
                    s + fine * ((0.005 + 0.01 * on) * (f - s) - 0.011 * s),
                )
        np.testing.assert_allclose(got.f, f, atol=0.01)
        np.testing.assert_allclose(got.s, s, atol=0.01)


def test_a_drug_taken_all_along_lifts_nobody_and_is_missed_when_stopped() -> None:
    """Function 0 is the level under what was taken at the first record, as in the engine."""
    quiet = replace(TRUTH, sig_f=0.0, sig_s=0.0, h0=0.0)
    plan = {"steps": 4, "visits": len(VISITS), "stages": 1, "entry": Entry(None, 0.0, -np.inf)}
    people = draw_world(np.random.default_rng(2), quiet, 20, plan)
    np.testing.assert_array_equal(people.push(np.ones(20)).v, 0.0)
    np.testing.assert_allclose(people.push(np.zeros(20)).v, -people.person.p)


def test_power_against_the_normal_approximation() -> None:
    curve = policy_curve(np.random.default_rng(0), [(0.5, 0.35)], Power((50, 200), 0.05, 3000))
    np.testing.assert_allclose(curve.mean, [closed(n, 0.5, 0.35) for n in (50, 200)], atol=0.04)
    assert all(low <= m <= high for low, m, high in zip(curve.lower, curve.mean, curve.upper, strict=True))
    assert max(np.subtract(curve.upper, curve.lower)) < 0.04


def test_a_trial_runs_in_one_population() -> None:
    """Three populations: the curve is the mean of their powers, not the power in their mixture, and the band is as wide as they differ."""
    shares, sizes = [(0.6, 0.3), (0.3, 0.27), (0.4, 0.2)], (100, 400)
    curve = policy_curve(np.random.default_rng(1), shares, Power(sizes, 0.05, 3000))
    each = np.array([[closed(n, a, b) for n in sizes] for a, b in shares])
    np.testing.assert_allclose(curve.mean, each.mean(axis=0), atol=0.03)
    np.testing.assert_allclose([curve.lower, curve.upper], np.quantile(each, (0.05, 0.95), axis=0), atol=0.04)
    a, b = np.mean(shares, axis=0)
    assert closed(400, a, b) > curve.mean[1] + 0.2


def closed(n: int, a: float, b: float) -> float:
    """Power of the two-sided test in one population, normal approximation."""
    away = abs(a - b) / np.sqrt((a * (1 - a) + b * (1 - b)) / n)
    return float(norm.cdf(away - 1.96) + norm.cdf(-away - 1.96))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"polices": []}, "polices"),
        ({"policies": [{"name": "x", "stages": [{"day": 900}]}]}, r"policies\[0\].stages\[0\].day"),
        ({"policies": [{"name": "x", "stages": [{"day": 9, "options": {"0.5": 1.0}}]}]}, r"policies\[0\].stages\[0\].options"),
        ({"policies": [{"name": "x", "stages": [{"day": 9, "options": {0.5: 0.2}}]}]}, r"policies\[0\].stages\[0\].options"),
        ({"policies": [{"name": "x", "stages": [{"day": 9, "hold_at_least": 1.5}]}]}, r"policies\[0\].stages\[0\].hold_at_least"),
        ({"power": {"alpha": 2}}, r"power\.alpha"),
        ({"patients": 3}, "patients"),
        ({"compare": ["never stop", "nosuch"]}, "compare"),
        ({"contrast": {"mechanisms": ["passive", "magic"]}}, r"contrast\.mechanisms\[1\]"),
        ({"contrast": {"taper_day": []}}, r"contrast\.taper_day"),
        ({"contrast": {"taper_day": [91, "never"]}}, r"contrast\.taper_day\[1\]"),
        ({"loss": {"relapse_drug_months": -1}}, r"loss\.relapse_drug_months"),
    ],
)  # fmt: skip
def test_impossible_specifications_are_refused_with_the_path(changes: dict, path: str) -> None:
    with pytest.raises(InputError, match=path):
        trial_spec(changes)


def test_ready_made_designs_are_read_and_run() -> None:
    assert set(designs()) == {"parallel_discontinuation", "smart", "stepped_taper"}
    for name in designs():
        spec = read_trial(name)
        steps = int(np.ceil(spec.follow_up_days / STEP_DAYS))
        plan = {"steps": steps, "visits": len(spec.visit_days), "stages": 4, "entry": Entry()}
        people = draw_world(np.random.default_rng(0), TRUTH, 60, plan)
        for policy in spec.policies:
            assert isinstance(run(people, policy, spec.protocol({})), Outcome)


def test_a_missing_file_names_the_designs() -> None:
    with pytest.raises(InputError, match="stepped_taper"):
        read_trial("nosuch.yaml")
