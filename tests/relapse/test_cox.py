"""The penalised Cox model against scikit-survival and lifelines, and against the conditions of its optimum."""

import numpy as np
import pytest
from lifelines import CoxPHFitter
from lifelines.datasets import load_rossi
from sksurv.linear_model import CoxnetSurvivalAnalysis

from remanent.relapse.cox import fit_cox, largest_penalty


def sample(
    n: int = 250, p: int = 12, seed: int = 0, *, tied: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) @ (np.eye(p) + 0.3)
    time = rng.exponential(100 * np.exp(-x[:, 0] + 0.5 * x[:, 1]))
    end = rng.uniform(20, 300, n)
    seen = np.minimum(time, end)
    return x, np.ceil(seen / 15) * 15 if tied else seen, time <= end


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_coefficients_are_those_of_scikit_survival(tied: bool, share: float) -> None:
    x, time, event = sample(tied=tied)
    top = largest_penalty(x, time, event, share)
    for penalty in (0.5 * top, 0.1 * top, 0.01 * top):
        truth = np.array(list(zip(event, time, strict=True)), dtype=[("e", "?"), ("t", "<f8")])
        peer = CoxnetSurvivalAnalysis(l1_ratio=share, alphas=[penalty], tol=1e-12, max_iter=1_000_000).fit(x, truth)
        ours = fit_cox(x, time, event, penalty, share)
        assert ours.converged
        assert ours.beta == pytest.approx(peer.coef_[:, 0], abs=2e-5)


def test_without_penalty_it_is_the_published_fit_of_the_rossi_data() -> None:
    """Ties: lifelines takes Efron's, we Breslow's; on 114 arrests over 49 weeks they differ in the third decimal."""
    rossi = load_rossi()
    names = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]
    x, time = rossi[names].to_numpy(float), rossi["week"].to_numpy(float)
    ours = fit_cox(x, time, rossi["arrest"].to_numpy(bool))
    published = [-0.3794, -0.0574, 0.3139, -0.1498, -0.4337, -0.0849, 0.0915]
    assert ours.beta == pytest.approx(published, abs=3e-3)
    spread = time + np.random.default_rng(0).uniform(0, 1e-6, len(time))
    peer = CoxPHFitter().fit(rossi.assign(week=spread), "week", "arrest")
    untied = fit_cox(x, spread, rossi["arrest"].to_numpy(bool))
    assert untied.beta == pytest.approx(peer.params_[names].to_numpy(), abs=1e-6)


def test_survival_is_that_of_lifelines() -> None:
    rossi = load_rossi()
    names = ["fin", "age", "prio"]
    time = rossi["week"].to_numpy(float) + np.random.default_rng(0).uniform(0, 1e-6, len(rossi))
    frame = rossi[[*names, "arrest"]].assign(week=time)
    x, event = rossi[names].to_numpy(float), rossi["arrest"].to_numpy(bool)
    centre, days = x.mean(0), np.sort(time[event])[[20, 60, 100]]
    ours = fit_cox(x - centre, time, event).survival(x[:20] - centre, days)
    peer = CoxPHFitter().fit(frame, "week", "arrest").predict_survival_function(frame[:20], days)
    assert ours == pytest.approx(peer.to_numpy().T, abs=1e-6)


def test_above_the_largest_penalty_nothing_is_left_and_below_it_something() -> None:
    x, time, event = sample()
    top = largest_penalty(x, time, event)
    assert not fit_cox(x, time, event, 1.0001 * top).beta.any()
    assert fit_cox(x, time, event, 0.98 * top).beta.any()


def test_nobody_relapsed_or_nothing_known() -> None:
    x, time, event = sample()
    never = fit_cox(x, time, np.zeros_like(event), 0.1)
    assert never.survival(x[:3], np.array([10.0, 500.0])).tolist() == [[1, 1]] * 3
    none = fit_cox(x[:, :0], time, event)
    assert none.survival(x[:2, :0], np.array([50.0])) == pytest.approx(
        np.full((2, 1), np.exp(-none.hazard[np.searchsorted(none.times, 50.0, side="right") - 1]))
    )
