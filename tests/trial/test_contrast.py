"""Power of a mechanism contrast: exact moments against simulated patients, divergences against scipy, and rivals that do what they can."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from remanent.dynamics.infer import Posterior
from remanent.dynamics.model import Params
from remanent.dynamics.priors import MECHANISMS, to_params
from remanent.trial import contrast
from remanent.trial.contrast import Law, answers, divergence, mechanism_curve, mimic, ordered, typical_measures
from remanent.trial.design import Contrast, trial_spec
from remanent.trial.trajectory import Forcing, Person, State, integrate
from remanent.trial.world import GAP_DAYS, SESSIONS, STEP_DAYS

PATIENTS = 10_000
DUAL, PASSIVE, NATURAL = (MECHANISMS.index(name) for name in ("dual", "passive", "natural"))


@pytest.fixture(scope="module")
def reference() -> Posterior:
    return typical_measures()


@pytest.fixture(scope="module")
def theta(reference: Posterior) -> np.ndarray:
    """Every parameter off its centre, loadings of every kind of state among them."""
    return np.clip(np.random.default_rng(4).normal(size=reference.layout.size), -1.2, 1.2)


def asked(**changes: object) -> Contrast:
    return trial_spec({"contrast": {"mechanisms": ["dual", "passive"], **changes}}).contrast


def simulated(params: Params, design: Contrast, taper_day: float) -> np.ndarray:
    """Answers of simulated patients by `integrate`, [answer, patient]."""
    rng, first = np.random.default_rng(0), -GAP_DAYS * (SESSIONS - 1)
    days = np.arange(first - STEP_DAYS, max(design.scan_days) + STEP_DAYS, STEP_DAYS)
    share = np.clip(1 - (days - taper_day) / (7 * design.taper_weeks), 0, 1) * (days >= 0)
    p = jax.tree.map(np.asarray, params)
    z = rng.standard_normal((8, PATIENTS))
    zero = np.zeros(PATIENTS)
    person = Person(p.p + p.sd_p * z[0], 1 + p.sd_gf * z[1], p.mu_gs + p.sd_gs * z[2], zero + p.c, zero + p.a)
    sessions = np.where((days >= first) & (days <= 0), 1 / SESSIONS, 0.0)[:, None]
    forcing = Forcing(days, share[:, None] + zero, np.zeros((0, 1, 1)), sessions, zero + first)
    start = State(0.1 * z[3], 0.1 * z[4], zero, zero)
    course = integrate(rng, p, person, forcing, start)
    rows = []
    for day in sorted(design.scan_days):
        k = 0 if day <= first else int(np.ceil((day - days[0]) / STEP_DAYS - 1e-9))
        rows.append([course.f[k], course.s[k], course.e[k], course.w[k]])
    paths = np.array(rows)  # [day, state, patient]
    loads = np.stack([p.l_f, p.l_s, p.l_e, p.l_w], axis=1)
    y = np.einsum("jl,dlp->jdp", loads, paths) + p.mu[:, None, None] + (p.sd_mu[:, None] * z[5:])[:, None]
    y = y + p.sigma[:, None, None] * rng.standard_normal(y.shape)
    return y.reshape(-1, PATIENTS)


@pytest.mark.parametrize("taper_day", [182.0, np.inf])
def test_moments_are_those_of_simulated_patients(reference: Posterior, theta: np.ndarray, taper_day: float) -> None:
    design = asked(taper_day=[182, None])
    law = answers(reference.layout, DUAL, theta[:, None], design)[list(design.taper_days).index(taper_day)].at(0)
    params = to_params(jnp.asarray(theta), reference.layout, jnp.asarray(reference.layout.acting(DUAL)))
    y = simulated(params, design, taper_day)
    error = y.std(axis=1) / np.sqrt(PATIENTS)
    assert (np.abs(y.mean(axis=1) - law.mean) < 5 * error).all()
    scale = np.sqrt(np.outer(np.diag(law.cov), np.diag(law.cov)))
    assert np.abs((np.cov(y) - law.cov) / scale).max() < 7 / np.sqrt(PATIENTS)


def test_the_drug_matters_only_once_it_is_withdrawn(reference: Posterior, theta: np.ndarray) -> None:
    design = asked(taper_day=[182, None], scan_days=[-28, 7, 91, 182, 364])
    tapered, held = (law.at(0) for law in answers(reference.layout, DUAL, theta[:, None], design))
    before = np.arange(15).reshape(3, 5)[:, :4].ravel()
    np.testing.assert_allclose(tapered.mean[before], held.mean[before], atol=1e-12)
    np.testing.assert_allclose(tapered.cov[np.ix_(before, before)], held.cov[np.ix_(before, before)], atol=1e-12)
    assert np.abs(tapered.mean - held.mean).max() > 0.05


def test_divergence_spread_and_slopes(reference: Posterior, theta: np.ndarray) -> None:
    """By sampling with scipy's densities, and by central differences of the divergence itself."""
    design, layout = asked(taper_day=182), reference.layout
    truth, rival = (answers(layout, DUAL, at[:, None], design)[0].at(0) for at in (theta, 0.6 * theta))
    y = multivariate_normal(truth.mean, truth.cov).rvs(400_000, random_state=np.random.default_rng(0))
    ratio = multivariate_normal.logpdf(y, truth.mean, truth.cov) - multivariate_normal.logpdf(y, rival.mean, rival.cov)
    assert divergence(truth, rival) == pytest.approx(ratio.mean(), abs=5 * ratio.std() / np.sqrt(len(ratio)))
    assert np.sqrt(contrast._variance(truth, rival)) == pytest.approx(ratio.std(), rel=0.01)
    assert divergence(truth, truth) == pytest.approx(0.0, abs=1e-9)
    assert divergence(truth, Law(rival.mean, 1e9 * rival.cov)) == np.inf
    free = np.arange(layout.size)
    gradient, information = contrast._slopes(
        truth, answers(layout, DUAL, contrast._around(0.6 * theta, free), design)[0]
    )
    h = 1e-4
    for k in range(0, layout.size, 3):
        beside = 0.6 * theta[:, None] + h * np.eye(layout.size)[:, [k]] * [1, -1]
        laws = answers(layout, DUAL, beside, design)[0]
        slope = (divergence(truth, laws.at(0)) - divergence(truth, laws.at(1))) / (2 * h)
        assert gradient[k] == pytest.approx(slope, abs=1e-3 + 1e-3 * abs(slope))
    assert np.linalg.eigvalsh(information).min() > -1e-9


def test_a_rival_that_contains_the_truth_mimics_it(reference: Posterior) -> None:
    """The passive gain and its spread go towards nothing; what remains is their prior's doing."""
    design = asked(mechanisms=["passive", "natural"], taper_day=182, patients=[100_000])
    theta = np.zeros(reference.layout.size)
    theta[[reference.layout.index(name) for name in contrast._LOADINGS]] = 1.0
    natural = [law.at(0) for law in answers(reference.layout, NATURAL, theta[:, None], design)]
    assert mimic(natural, reference, PASSIVE, theta, design).nats < 2e-4
    assert ordered(("natural", "passive")) == ("passive", "natural")
    assert ordered(("dual", "passive")) == ("dual", "passive")
    assert ordered(("passive", "active")) == ("passive", "active")


def test_active_action_is_mimicked_by_faster_consolidation(reference: Posterior) -> None:
    design = asked(taper_day=182, patients=[320])
    theta = np.zeros(reference.layout.size)
    theta[[reference.layout.index(name) for name in contrast._LOADINGS]] = 1.0
    dual = [law.at(0) for law in answers(reference.layout, DUAL, theta[:, None], design)]
    alike = answers(reference.layout, PASSIVE, theta[:, None], design)[0].at(0)
    rival = mimic(dual, reference, PASSIVE, theta, design)
    assert rival.nats < 0.2 * divergence(dual[0], alike), "the same parameters without active action are no fair rival"
    assert rival.theta[reference.layout.index("c_ratio")] > 0.5
    for other in np.random.default_rng(0).normal(rival.theta, 0.1, (20, theta.size)):
        assert (
            divergence(dual[0], answers(reference.layout, PASSIVE, other[:, None], design)[0].at(0)) > rival.nats - 1e-4
        )


def test_more_patients_and_a_withdrawal_tell_more(reference: Posterior, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrast, "TRUTHS", 2)

    def curve(**changes: object) -> contrast.Curve:
        return mechanism_curve(np.random.default_rng(0), reference, asked(**changes), typical=True)

    sizes = [80, 320, 1280]
    tapered, constant = curve(taper_day=91, patients=sizes), curve(taper_day=[None], patients=sizes)
    assert (np.diff(tapered.mean) > 0).all()
    assert tapered.mean[-1] > constant.mean[-1] + 0.1
    assert all(low <= m <= high for low, m, high in zip(tapered.lower, tapered.mean, tapered.upper, strict=True))
    swapped = curve(taper_day=91, patients=sizes, mechanisms=["passive", "dual"])
    assert swapped.mean == tapered.mean
