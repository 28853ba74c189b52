"""What the comparison may and may not say: known cases, and designs that cannot tell."""

import numpy as np
import pytest

from remanent.dynamics.compare import PRIOR, deciding_priors, posterior_sd, random_effects_selection
from remanent.dynamics.priors import MECHANISMS, meaning, meanings, table


def test_a_clear_winner_takes_the_patients():
    log_evidence = np.zeros((30, 4))
    log_evidence[:, 2] = 10.0
    found = random_effects_selection(log_evidence)
    assert found.frequency.argmax() == 2
    assert found.frequency[2] == pytest.approx(31 / 34, abs=1e-3)
    assert (found.patient[:, 2] > 0.99).all()
    assert found.protected_exceedance[2] > 0.99


def test_equal_evidence_gives_a_quarter_each():
    found = random_effects_selection(np.random.default_rng(0).normal(size=(20, 1)) * np.ones(4))
    np.testing.assert_allclose(found.frequency, 0.25, atol=1e-9)
    np.testing.assert_allclose(found.patient, 0.25, atol=1e-9)
    np.testing.assert_allclose(found.exceedance, 0.25, atol=0.015)
    np.testing.assert_allclose(found.protected_exceedance, 0.25, atol=0.005)


def test_protection_draws_weak_evidence_back_to_a_quarter():
    found = random_effects_selection(np.array([[0.4, 0.0, 0.0, 0.0]] * 4))
    assert found.exceedance[0] > 0.3
    assert abs(found.protected_exceedance[0] - 0.25) < 0.5 * (found.exceedance[0] - 0.25)


def test_a_mixed_cohort_is_split():
    log_evidence = np.zeros((40, 4))
    log_evidence[:10, 0] = log_evidence[10:, 1] = 8.0
    found = random_effects_selection(log_evidence)
    np.testing.assert_allclose(found.frequency, np.array([11, 31, 1, 1]) / 44, atol=0.01)
    assert found.patient[:10].argmax(1).tolist() == [0] * 10


def test_a_constant_added_to_a_patients_evidence_changes_nothing():
    rng = np.random.default_rng(1)
    log_evidence = rng.normal(size=(12, 4)) * 3
    one, other = (random_effects_selection(log_evidence + shift) for shift in (0.0, rng.normal(size=(12, 1)) * 50))
    np.testing.assert_allclose(one.patient, other.patient, atol=1e-8)
    np.testing.assert_allclose(one.protected_exceedance, other.protected_exceedance, atol=1e-8)


def test_a_cohort_held_up_by_its_drug_is_called_so(comparison):
    found = comparison("dual")
    assert found.effect[0] > 0.95
    assert found.identifiability.cohort[0]
    np.testing.assert_allclose(found.cohort.sum(), 1.0)
    np.testing.assert_allclose(found.patient.sum(1), 1.0)


def test_a_natural_cohort_is_not_called_passive(comparison):
    found = comparison("natural")
    assert found.effect[0] < 0.2, dict(zip(MECHANISMS, found.evidence_weight, strict=True))


def test_without_a_drug_the_data_say_nothing(comparison, posterior):
    evidences = np.array([f.log_evidence for f in posterior("no drug").fits])
    np.testing.assert_allclose(evidences, evidences[0], atol=1e-4)
    found = comparison("no drug")
    assert not found.cohort_identifiable.any()
    assert not found.patient_identifiable.any()
    np.testing.assert_allclose(found.cohort, PRIOR, atol=1e-6)
    np.testing.assert_allclose(found.patient, 0.25, atol=1e-6)
    np.testing.assert_allclose(found.identifiability.sd_ratio, 1.0, atol=1e-6)
    assert "say nothing" in found.identifiability.reason


def test_with_one_constant_dose_the_probability_stays_near_its_prior(comparison):
    found = comparison("constant dose")
    assert found.evidence_weight[[1, 3]].sum() == pytest.approx(0.5, abs=0.1)
    np.testing.assert_allclose(found.cohort, PRIOR, atol=0.1, err_msg=found.identifiability.reason)


def test_contrasts_and_parameters_are_judged_by_name(comparison, cohort):
    found, blind = comparison("dual").identifiability, comparison("no drug").identifiability
    pairs = {(c.one, c.other): c for c in found.contrasts}
    assert len(pairs) == 6
    assert pairs["natural", "passive"].informed
    assert pairs["natural", "passive"].nats > 2
    assert pairs["passive", "dual"].traded_against == "c_ratio", "consolidation by the drug or without it"
    assert pairs["passive", "dual"].if_known < 0.9 * pairs["passive", "dual"].sd_ratio
    assert all(0 < c.if_known <= c.sd_ratio for c in found.contrasts)
    assert pairs["natural", "dual"].sd_ratio <= pairs["passive", "dual"].sd_ratio
    names = cohort("dual").layout.names
    assert found.parameter_sd[names.index("mu[hdrs17]")] < 0.5
    assert found.parameter_sd[names.index("tau_w")] > 0.9, "symptoms of withdrawal hardly last"
    assert not any(c.informed for c in blind.contrasts)
    np.testing.assert_allclose([c.sd_ratio for c in blind.contrasts], 1.0, atol=1e-6)
    np.testing.assert_allclose([c.if_known for c in blind.contrasts], 1.0, atol=1e-6)
    np.testing.assert_allclose([c.nats for c in blind.contrasts], 0.0, atol=1e-6)


def test_parameters_left_to_their_priors_are_named(cohort, comparison, posterior):
    layout, weight = cohort("no drug").layout, comparison("no drug").evidence_weight
    sd = posterior_sd(posterior("no drug"), weight)
    told = deciding_priors(layout, sd)
    assert all(meaning(name) in told for name in ("p", "a_ratio", "omega", "tau_w"))
    by_hand = np.full(layout.size, 0.5)
    for name, ratio in (("k_f", 0.95), ("eta_f", 0.89), ("mu[hdrs17]", 1.0), ("sd_gs", 0.91)):
        by_hand[layout.index(name)] = ratio
    words = deciding_priors(layout, by_hand)
    assert words.startswith("The data left 2 parameters")
    assert words.endswith(f"the prior decides: {meaning('k_f')}; {meaning('sd_gs')}.")
    assert {group: set(entries) for group, entries in meanings().items()} == {g: set(e) for g, e in table().items()}
    assert meaning("rho[lithium]").endswith("average (lithium)")
    assert "every parameter" in deciding_priors(layout, np.full(layout.size, 0.5))
