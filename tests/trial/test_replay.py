"""Published trials as data, and their replay: counts against the published figures, arms against what must hold of them."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, multivariate_normal

from remanent.trial import calibrate, emulator, validate
from remanent.trial.hazard import between_trials
from remanent.trial.replay import STEP_DAYS, ArmCourse, Population, expected, node_places, node_weights, replay
from remanent.trial.trials import document, trials, visit_days, wilson
from remanent.trial.validate import by_rule, time_course, weeks_to_relapse

DOCS = Path(__file__).parents[2] / "docs"
USUAL = {
    "k_f": 0.07, "r": 0.011, "c": 0.005, "a": 0.01, "p": 0.2, "sd_p": 0.3, "mu_gs": 0.45, "sd_gs": 0.2, "sd_gf": 0.3, "sig_f": 0.05,
    "sig_s": 0.015, "mu": 0.95, "sd_mu": 0.15, "l_f": -0.8, "sigma": 0.12, "trial_sd": 0.05, "drug_sd": 0.2, "later_ect": 1.0,
}  # fmt: skip


def population(draws: int = 1, **changes: float) -> Population:
    return Population(**{k: np.full((draws, 1, 1), v) for k, v in (USUAL | changes).items()})


def arm_shares(name: str, lanes: int = 400, **changes: float) -> np.ndarray:
    trial = next(t for t in trials() if t.name == name)
    courses = replay(trial, population(**changes), np.random.default_rng(3), lanes)
    return (expected(courses, trial) @ node_weights())[0]


def test_counts_fit_the_published_percentages() -> None:
    for name, entry in document()["trials"].items():
        for arm in entry["arms"]:
            assert 100 * arm["relapsed"] / arm["n"] == pytest.approx(arm["published"], abs=1.0), (name, arm["name"])


def test_sackeims_counts_reproduce_the_published_intervals() -> None:
    """The normal approximation of 21/25, 15/25 and 9/23 is what the abstract prints: the denominators are completers."""
    for arm in next(t for t in trials() if t.name == "sackeim2001").arms:
        half = 1.96 * np.sqrt(arm.proportion * (1 - arm.proportion) / arm.n)
        assert arm.denominator == "completers"
        np.testing.assert_allclose(arm.ci, [arm.proportion - half, min(0.99, arm.proportion + half)], atol=0.008)


def test_the_split_is_what_its_rule_says() -> None:
    """Every second trial in order of year (and author), one with recalled counts held out wherever it falls."""
    entries = list(document()["trials"].items())
    assert [e["year"] for _, e in entries if e["year"] != 2016] == sorted(
        e["year"] for _, e in entries if e["year"] != 2016
    )
    fitted = {name for name, e in entries if e["split"] == "fitted"}
    order = ["seager1962", "sackeim2001", "prudic2004", "core2006", "vandenbroek2006", "tew2007", "navarro2008",
             "nordenskjold2013", "prudic2013", "kellner2016", "jelovac2021", "martinez2021"]  # fmt: skip
    assert set(order) == {name for name, _ in entries}
    assert fitted == set(order[1::2]) - {"kellner2016"}
    for name, entry in entries:
        if name in fitted:
            assert all(arm["read"] != "recalled" for arm in entry["arms"])


def test_every_trial_stands_in_the_evidence() -> None:
    evidence = (DOCS / "evidence.md").read_text()
    for entry in document()["trials"].values():
        assert entry["doi"] is None or entry["doi"] in evidence
        assert entry["source"]
    assert len(document()["excluded"]) >= 8


def test_wilson_against_its_equation() -> None:
    low, high = wilson(7, 29)
    for bound in (low, high):
        assert (7 / 29 - bound) ** 2 == pytest.approx(1.959964**2 * bound * (1 - bound) / 29)


def test_visits_end_with_the_follow_up_and_lie_on_the_grid() -> None:
    for weeks in (24, 26, 39, 52, 104):
        days = visit_days(weeks)
        assert days[0] == 0.0
        assert days[-1] == 7.0 * weeks
        assert all(day % STEP_DAYS == 0 for day in days)


def test_drugs_protect_in_the_order_of_their_exposure() -> None:
    placebo, one, two = arm_shares("sackeim2001")
    assert placebo > one + 0.1 > two + 0.1
    # without any drug effect the arms differ by chance alone
    flat = arm_shares("sackeim2001", p=0.0, sd_p=0.0, a=0.0)
    assert np.ptp(flat) < 0.06


def test_sessions_protect_and_more_where_they_do_more() -> None:
    plain, more = (arm_shares("martinez2021", later_ect=gain) for gain in (0.0, 2.0))
    assert more[0] < plain[0] - 0.1
    assert more[1] == pytest.approx(plain[1], abs=0.05)


def test_a_laxer_rule_finds_more_relapses_in_the_same_group() -> None:
    """One level of 16 against 16 with a rise of 10 and against 21 at two visits, in one group; each drug arm below its placebo arm."""
    theta = np.zeros((4, len(calibrate.NAMES)))
    fits = [calibrate.Surface("passive", theta[0], np.eye(len(theta[0])), theta, ev, 0.0, 0) for ev in (-50.0, 0.0)]
    found = by_rule(fits, 4, 60, 2)
    assert set(found) == {trial.rule.name for trial in trials()}
    placebo, drug = np.array(list(found.values())).T
    assert (drug < placebo).all()
    assert found["yildiz2010"][0] > found["sackeim2001"][0] + 0.05 > found["pride2016"][0]


def test_denominators_are_counted_as_the_trial_counts() -> None:
    arm = replace(trials()[1].arms[0], weeks=10)
    day = np.array([[[7.0, 14.0, np.inf, np.inf, 100.0]]])
    left = np.array([[[np.inf, 3.0, 5.0, np.inf, np.inf]]])
    course = ArmCourse(day, left)
    # relapsed: the first; gone before: the second and third; well: the others
    assert course.relapsed(replace(arm, denominator="all"))[0, 0] == pytest.approx(1.5 / 6)
    assert course.relapsed(replace(arm, denominator="completers"))[0, 0] == pytest.approx(1.5 / 4)


def test_nobody_let_in_is_as_far_off_as_can_be() -> None:
    hopeless = arm_shares("sackeim2001", lanes=20, mu=1.9, l_f=-0.01)
    assert (hopeless > 0.9).all()


def test_likelihood_of_counts_against_the_binomial() -> None:
    rng = np.random.default_rng(0)
    arms = sum(len(trial.arms) for trial in calibrate.fitted_trials())
    share = rng.uniform(0.1, 0.9, (3, arms, len(node_weights())))
    expected_total = np.zeros(3)
    first = 0
    for trial in calibrate.fitted_trials():
        per = np.ones((3, share.shape[-1]))
        for k, arm in enumerate(trial.arms):
            per *= binom.pmf(arm.relapsed, arm.n, share[:, first + k])
        expected_total += np.log(per @ node_weights())
        first += len(trial.arms)
    np.testing.assert_allclose(calibrate.log_likelihood(share), expected_total)


def test_the_emulator_learns_shares_from_noisy_ones() -> None:
    """Arms whose logit shares are smooth in theta: counts of 40 patients go in, the shares behind them come out, at draws it has not seen too."""
    rng, size = np.random.default_rng(1), 6
    slope, bend = rng.standard_normal((size, 3)) * 0.6, rng.standard_normal((size, 3)) * 0.2

    def truth(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x @ slope - (x**2) @ bend))

    x, fresh = rng.standard_normal((2000, size)), rng.standard_normal((200, size))
    y = (rng.binomial(40, truth(x)) + 0.5) / 41
    layers = emulator.trained(emulator.untrained(rng, size, 3), x, y, np.ones(len(x)), (600, 0))
    assert np.abs(emulator.share(layers, fresh) - truth(fresh)).mean() < 0.03


def test_a_trials_own_effects_are_a_shift_of_the_gain_and_a_factor_of_the_drugs() -> None:
    """What the emulator is given at a place is the population that the simulator has there, its own effects switched off."""
    rng = np.random.default_rng(2)
    theta, places = rng.standard_normal((3, len(calibrate.NAMES))), rng.standard_normal((3, 4, 2))
    q = calibrate.population(theta, 3)
    kept = [n for n in calibrate.NAMES if n not in calibrate.BETWEEN]
    full = np.zeros((3, 4, len(calibrate.NAMES)))
    full[:, :, [calibrate.NAMES.index(n) for n in kept]] = calibrate.at_places(theta, places)
    moved = calibrate.population(full.reshape(12, -1), 3)
    strength = np.exp(q.drug_sd[..., 0] * places[..., 1])
    wanted = {
        "mu_gs": q.mu_gs[..., 0] + q.trial_sd[..., 0] * places[..., 0],
        "p": strength * q.p[..., 0],
        "sd_p": strength * q.sd_p[..., 0],
        "a": strength * q.a[..., 0],
    }
    for one in fields(Population):
        if one.name not in calibrate.BETWEEN:
            value = wanted.get(one.name, np.repeat(getattr(q, one.name)[..., 0], 4, axis=1))
            np.testing.assert_allclose(getattr(moved, one.name).reshape(3, 4), value, rtol=1e-10, err_msg=one.name)


@pytest.mark.parametrize("drugs", ["passive", "active"])
def test_the_simulator_moves_a_trial_as_the_emulators_inputs_say(drugs: str) -> None:
    """At a place of the trial's own effects, the same patients as in a population that has these effects everywhere."""
    trial = next(t for t in trials() if t.name == "sackeim2001")
    off = {"a": 0.0} if drugs == "passive" else {"p": 0.0, "sd_p": 0.0}
    own = population(trial_sd=0.1, drug_sd=0.5, **off)
    factor = np.exp(0.5 * -1.2)
    names = ("p", "sd_p", "a")
    there = replace(own, mu_gs=own.mu_gs + 0.08, **{n: factor * getattr(own, n) for n in names})
    shares = [
        expected(replay(trial, q, np.random.default_rng(4), 300, np.array([place])), trial)
        for q, place in ((own, (0.8, -1.2)), (there, (0.0, 0.0)))
    ]
    np.testing.assert_allclose(*shares, atol=1e-9)


def test_a_trials_drug_effect_leaves_placebo_alone() -> None:
    trial = next(t for t in trials() if t.name == "sackeim2001")
    q, places = population(drug_sd=1.0), np.array([[0.0, -1.0], [0.0, 1.0]])
    weak, strong = expected(replay(trial, q, np.random.default_rng(3), 600, places), trial)[0].T
    assert weak[0] == pytest.approx(strong[0], abs=0.06)
    assert (strong[1:] < weak[1:] - 0.15).all()


def test_nodes_integrate_over_both_effects() -> None:
    """Mean and variance 1 of each, no correlation, and E exp(z / 2) = exp(1 / 8)."""
    z, w = node_places(), node_weights()
    assert w.sum() == pytest.approx(1)
    np.testing.assert_allclose((z.T * w) @ z, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(w @ np.exp(z / 2), np.exp(1 / 8), rtol=1e-3)


def test_a_new_patients_place_widens_the_shipped_prior() -> None:
    """One sd of each effect in theta against the natural scale: mu_gs by trial_sd, p by drug_sd times p, sd_p and a by the factor."""
    theta = np.random.default_rng(6).standard_normal(len(calibrate.NAMES))
    gain, strength = between_trials(theta)
    here = calibrate.population(theta[None], 3)
    there = calibrate.population((theta + gain)[None], 3)
    assert (there.mu_gs - here.mu_gs).item() == pytest.approx(here.trial_sd.item())
    assert (gain != 0).sum() == 1
    there = calibrate.population((theta + strength)[None], 3)
    assert (there.p / here.p).item() == pytest.approx(1 + here.drug_sd.item())
    assert (there.sd_p / here.sd_p).item() == pytest.approx(np.exp(here.drug_sd.item()))
    assert (there.a / here.a).item() == pytest.approx(np.exp(here.drug_sd.item()))
    assert (strength != 0).sum() == 3


def test_weights_turn_an_emulated_posterior_into_the_simulated_one() -> None:
    """Gaussians: proposed from N(0, 1), wanted N(0.5, 0.8²) times a constant e^2."""
    x = np.random.default_rng(3).standard_normal(40_000)
    log_ratio = 2 - 0.5 * ((x - 0.5) / 0.8) ** 2 - np.log(0.8) + 0.5 * x**2
    weight, gain = calibrate.weighted(log_ratio)
    assert weight @ x == pytest.approx(0.5, abs=0.02)
    assert np.sqrt(weight @ (x - weight @ x) ** 2) == pytest.approx(0.8, abs=0.02)
    assert gain == pytest.approx(2, abs=0.03)


def test_chains_find_the_posterior_of_an_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a Gaussian likelihood, chains and evidence against the closed form; to a power too."""
    rng, size = np.random.default_rng(1), len(calibrate.NAMES)
    b, H = np.linspace(-1, 1, size), np.diag(np.linspace(0.0, 3.0, size))
    monkeypatch.setattr(calibrate, "log_likelihood", lambda x: x)
    monkeypatch.setattr(calibrate, "STEPS", 600)

    def gaussian(at: np.ndarray) -> np.ndarray:
        return at @ b - 0.5 * np.einsum("ij,jk,ik->i", at, H, at)

    start = rng.standard_normal((100, size))
    for power in (1.0, 0.3):
        draws = calibrate.metropolis(rng, gaussian, start, power)
        cov = np.linalg.inv(power * H + np.eye(size))
        assert np.abs(draws.mean(0) - power * cov @ b).max() < 0.15
        assert np.abs(draws.var(0) / np.diag(cov) - 1).max() < 0.35
    cov = np.linalg.inv(H + np.eye(size))
    found = calibrate._evidence(rng, gaussian, (cov @ b, cov))
    # the same integral as the density of the posterior at 0: prior(0) L(0) / posterior(0)
    exact = multivariate_normal.logpdf(np.zeros(size), np.zeros(size), np.eye(size)) - multivariate_normal.logpdf(
        np.zeros(size), cov @ b, cov
    )
    assert found == pytest.approx(exact, abs=0.1)


def test_mean_weeks_weigh_the_nodes_and_leave_out_what_says_nothing() -> None:
    """Every patient of node k relapses in week k + 1: the mean is the nodes' own; then nobody relapses; then nobody is taken in by half of the nodes."""
    weights = node_weights()
    week = np.arange(1.0, weights.size + 1)
    day = np.repeat(7 * week[None, :, None], 3, axis=0) + np.zeros((3, 1, 5))
    day[1], day[2, ::2] = np.inf, 0.0
    got = weeks_to_relapse(day, 26)
    rest = weights[1::2] / weights[1::2].sum()
    np.testing.assert_allclose(got, [weights @ week, rest @ week[1::2]])


def test_the_time_course_of_a_constant_hazard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shape 1, ratio 1, and the rest by the exponential law; draws that take nobody in, or in which nobody relapses, do not blur them."""
    rate = 1 / 150
    times = -np.log1p(-(np.arange(4000) + 0.5) / 4000) / rate
    day = np.broadcast_to(times, (6, node_weights().size, 4000)).copy()
    day[0], day[1] = 0.0, np.inf
    monkeypatch.setattr(validate, "replay", lambda *_: (ArmCourse(day, np.full_like(day, np.inf)),) * 3)
    size = len(calibrate.NAMES)
    one = calibrate.Surface("natural", np.zeros(size), np.eye(size), np.zeros((6, size)), 0.0, 0.0, 0)
    got = time_course([one], 6, 4000, 0)
    for name in ("weibull_shape", "half_year_ratio"):
        np.testing.assert_allclose(getattr(got, name), 1.0, atol=0.01)
    early = np.expm1(-35 * rate) / np.expm1(-168 * rate)
    np.testing.assert_allclose(got.early_on_lithium, early, atol=0.01)
    mean = 1 / rate - 182 * np.exp(-182 * rate) / -np.expm1(-182 * rate)
    np.testing.assert_allclose(got.weeks_to_relapse, mean / 7, atol=0.05)


@pytest.mark.slow
def test_the_shipped_prior_replays_most_held_out_arms() -> None:
    """Reduced form of tools/validate_replay.py: draws of the shipped Gaussian in place of the chains."""
    from remanent.dynamics.reference import reference
    from remanent.trial.calibrate import NAMES, Surface
    from remanent.trial.validate import predictions

    shipped, fits = reference(), []
    for entry in shipped["fits"]:
        mean, cov = np.zeros(len(NAMES)), np.eye(len(NAMES))
        at = [NAMES.index(n) for n in shipped["names"] if n in NAMES]
        rows = [k for k, n in enumerate(shipped["names"]) if n in NAMES]
        mean[at] = np.array(entry["mean"])[rows]
        cov[np.ix_(at, at)] = np.array(entry["cov"])[np.ix_(rows, rows)]
        draws = multivariate_normal(mean, cov).rvs(100, random_state=np.random.default_rng(1))
        fits.append(Surface(entry["mechanism"], mean, cov, draws, entry["log_evidence"], 0.0, 0))
    held = [r for r in predictions(fits, 60, 60, 5) if r.trial.split == "held_out"]
    assert sum(r.overlaps for r in held) >= 0.8 * len(held)
