"""The rivals: they find what is there, they find nothing where nothing is, and nothing held out reaches them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rows import made

from remanent.circuits.harmonise import harmonise, learn
from remanent.relapse import rivals as made_of
from remanent.relapse.landmark import Landmarks
from remanent.relapse.learn import compete, folds, out_of_fold, tuned
from remanent.relapse.prepare import learn_preparation
from remanent.relapse.rivals import BIN_DAYS, DAYS, RIVALS, Rival, person_periods
from remanent.relapse.score import auc, brier, kaplan_meier

EACH = pytest.mark.parametrize("rival", RIVALS, ids=lambda r: r.name)
HALF_YEAR = int(np.searchsorted(DAYS, 182.0))


@pytest.fixture(autouse=True)
def _small_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_of, "TREES", 40)


def quick(rival: Rival) -> Rival:
    return replace(rival, settings=rival.settings[-1:])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@EACH
def test_a_forecast_is_a_rising_probability(rival: Rival) -> None:
    rows = made(90, gaps=0.15)
    fitted, _ = tuned(rival, rows, 0)
    risk = fitted.risk(rows)
    assert risk.shape == (90, len(DAYS))
    assert ((risk >= 0) & (risk <= 1)).all()
    assert (np.diff(risk, axis=1) >= -1e-12).all()


@EACH
def test_held_out_patients_reach_nothing(rival: Rival) -> None:
    """What is forecast for one held-out patient does not depend, to the last bit, on any other held-out patient, nor on its own outcome."""
    rows = made(100, sites=2, gaps=0.1)
    outer = folds(rows, 4, rng())
    told = out_of_fold(quick(rival), rows, outer, 0).risk
    fold = outer[1].test
    kept = np.flatnonzero(fold)[0]
    x, time, event = rows.x.copy(), rows.time_days.copy(), rows.event.copy()
    others = np.flatnonzero(fold)[1:]
    x[others] = 1e3 * rng().normal(size=(len(others), x.shape[1]))
    time[fold], event[fold] = 1.0, ~event[fold]
    poisoned = replace(rows, x=x, time_days=time, event=event)
    again = out_of_fold(quick(rival), poisoned, outer, 0).risk
    np.testing.assert_array_equal(told[kept], again[kept])
    if rival.name in {"cox", "boosted", "forest"}:
        assert not np.array_equal(told[others], again[others])


def planted(pairs: int = 60) -> Landmarks:
    """Sites of two patients, one of whom relapses. A scan feature is the site's offset plus half the outcome: it tells nothing unless it is harmonised
    over both."""
    g = np.random.default_rng(5)
    n = 2 * pairs
    event = np.tile([True, False], pairs)
    offset = np.repeat(g.normal(0, 30, pairs), 2)
    rows = made(n, p=3, effect=0.0)
    x = rows.x.copy()
    x[:, 2] = offset + np.where(event, 0.5, -0.5)
    time = np.where(event, g.uniform(10, 170, n), 364.0)
    return replace(
        rows, x=x, event=event, time_days=time, site=np.repeat([f"s{k:02d}" for k in range(pairs)], 2).astype(object)
    )


def test_a_leak_planted_in_harmonisation_is_not_found() -> None:
    rows = planted()
    once = np.ones((1, len(rows)))
    everyone = learn(rows.x[:, 2:], np.zeros((len(rows), 0)), rows.site.tolist(), rows.patient.astype(str).tolist())
    leaky = harmonise(everyone, rows.x[:, 2:], np.zeros((len(rows), 0)), rows.site.tolist())[0][:, 0]
    assert auc(rows.outcome, leaky, 182.0, once)[0] > 0.95, "the leak must be there to be missed"
    for name in ("cox", "boosted", "forest"):
        rival = quick(next(r for r in RIVALS if r.name == name))
        told = out_of_fold(rival, rows, folds(rows, 5, rng()), 0).risk[:, HALF_YEAR]
        assert auc(rows.outcome, told, 182.0, once)[0] < 0.65, name


def test_site_effects_of_the_training_rows_are_removed_as_learnt() -> None:
    rows = made(80, sites=2)
    shift = np.where(rows.site == "s1", 50.0, 0.0)
    x = rows.x.copy()
    x[:, 2:] += shift[:, None]
    prepared = learn_preparation(replace(rows, x=x)).of(replace(rows, x=x))
    per_site = [prepared[rows.site == s][:, 2:].mean(0) for s in ("s0", "s1")]
    assert per_site[0] == pytest.approx(per_site[1], abs=0.35)
    raw = x[:, 2:].std(0)
    assert (50.0 / raw > 1.5).all()


def test_gaps_are_filled_marked_and_scaled_by_the_training_rows() -> None:
    rows = made(200, gaps=0.3)
    preparation = learn_preparation(rows)
    x = preparation.of(rows)
    assert np.isfinite(x).all()
    assert x.mean(0) == pytest.approx(np.zeros(x.shape[1]), abs=1e-10)
    assert x.std(0) == pytest.approx(np.ones(x.shape[1]))
    assert [n for n in preparation.names if n.startswith("missing_")] == [f"missing_{n}" for n in rows.names]
    empty = replace(rows, x=np.where(np.arange(6) == 3, np.nan, rows.x))
    assert "scan_x1" not in learn_preparation(empty).names


def test_folds_keep_patients_and_sites_together() -> None:
    rows = made(60)
    twice = replace(rows, patient=np.repeat(np.arange(30), 2))
    for fold in folds(twice, 5, rng()):
        assert not set(twice.patient[fold.test]) & set(twice.patient[~fold.test])
    every = folds(twice, 5, rng())
    assert np.sum([f.test for f in every], axis=0).tolist() == [1] * 60
    of_sites = folds(made(60, sites=4), 5, rng())
    assert len(of_sites) == 4
    assert all(len(set(made(60, sites=4).site[f.test])) == 1 for f in of_sites)
    assert len(folds(made(60, sites=2), 5, rng())) == 5
    assert len(folds(made(120, sites=40), 5, rng())) == 10


@pytest.mark.parametrize("name", ["last_score", "cox", "boosted", "forest"])
def test_what_matters_is_found(name: str) -> None:
    rows = made(240, effect=1.2)
    rival = next(r for r in RIVALS if r.name == name)
    once = np.ones((1, len(rows)))
    told = out_of_fold(rival, rows, folds(rows, 4, rng()), 0).risk[:, HALF_YEAR]
    blind = out_of_fold(RIVALS[0], rows, folds(rows, 4, rng()), 0).risk[:, HALF_YEAR]
    assert auc(rows.outcome, told, 182.0, once)[0] > 0.7
    assert brier(rows.outcome, told, 182.0, once)[0] < brier(rows.outcome, blind, 182.0, once)[0] - 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cox", "boosted", "forest"])
def test_on_noise_tuning_stays_cautious(name: str) -> None:
    """Not much worse than Kaplan-Meier when the features say nothing: the mean loss over five studies."""
    loss = []
    for seed in range(5):
        rows = made(120, p=12, seed=seed, effect=0.0)
        outer = folds(rows, 4, rng())
        rival = next(r for r in RIVALS if r.name == name)
        both = [out_of_fold(r, rows, outer, 0).risk[:, HALF_YEAR] for r in (rival, RIVALS[0])]
        scores = [brier(rows.outcome, told, 182.0, np.ones((1, 120)))[0] for told in both]
        loss.append(scores[0] - scores[1])
    assert np.mean(loss) < 0.02


def test_kaplan_meier_of_each_arm() -> None:
    rows = made(100)
    on = rows.column("exposure_total") > 0.05
    risk = RIVALS[0].fit(rows, {}, 0).risk(rows)
    for arm in (on, ~on):
        expected = 1 - kaplan_meier(rows.time_days[arm], rows.event[arm]).at(DAYS)[0]
        assert risk[arm] == pytest.approx(np.repeat(expected[None], arm.sum(), 0))


def test_person_periods_count_time_and_relapses() -> None:
    time = np.array([10.0, 28.0, 56.0 + 7.0, 400.0])
    event = np.array([True, False, True, True])
    x, relapse, watched = person_periods(np.arange(4.0)[:, None], time, event)
    assert np.bincount(x[:, 0].astype(int)).tolist() == [1, 1, 3, 13]
    assert relapse.tolist() == [True, False, False, False, True, *[False] * 13]
    whole = np.bincount(x[:, 0].astype(int), watched) * BIN_DAYS
    assert whole == pytest.approx([28.0, 28.0, 84.0, 364.0])


def test_boosted_hazards_without_features_are_actuarial() -> None:
    """With nothing to split on, the hazard of a period is relapses over time watched."""
    rows = made(3000, effect=0.0)
    flat = replace(rows, x=np.zeros_like(rows.x))
    risk = RIVALS[3].fit(flat, {"max_iter": 150, "max_leaf_nodes": 6}, 0).risk(flat.only(np.arange(1)))
    km = 1 - kaplan_meier(rows.time_days, rows.event).at(DAYS)[0]
    assert risk[0] == pytest.approx(km, abs=0.02)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[str], object] = made_of.find_spec
    monkeypatch.setattr(made_of, "find_spec", lambda name: None if name == "sksurv" else real(name))
    rows = made(60)
    found = compete(rows, folds(rows, 3, rng()), 0, [RIVALS[0], RIVALS[4]])
    assert found["forest/with"].missing == 'not installed: pip install "remanent[forest]"'
    assert np.isnan(found["forest/with"].risk).all()
    assert not found["kaplan_meier/with"].missing


@EACH
def test_nobody_relapsed(rival: Rival) -> None:
    rows = replace(made(60), event=np.zeros(60, bool))
    fitted, setting = tuned(rival, rows, 0)
    assert setting == rival.settings[0]
    assert fitted.risk(rows) == pytest.approx(np.zeros((60, len(DAYS))), abs=1e-6)


def test_settings_are_chosen_where_the_study_ends_at_the_horizon() -> None:
    """Nobody is followed beyond half a year after the landmark: errors up to the last day that can be scored decide."""
    rows = made(400, effect=1.5)
    short = replace(rows, time_days=np.minimum(rows.time_days, 182.0), event=rows.event & (rows.time_days < 182.0))
    assert short.event.sum() > 20
    cox = next(rival for rival in RIVALS if rival.name == "cox")
    fitted, setting = tuned(cox, short, 0)
    assert setting != cox.settings[0]
    assert np.ptp(fitted.risk(short)[:, -1]) > 0.2
