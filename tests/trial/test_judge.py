"""What the filter says of virtual patients of a fitted population, whatever drugs that population took."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from remanent._errors import InputError
from remanent.dynamics.design import Design
from remanent.dynamics.infer import Posterior
from remanent.dynamics.priors import MECHANISMS, layout, to_params
from remanent.dynamics.reference import reference_posterior
from remanent.treatment.drugs import CLASSES, NOT_DRUGS
from remanent.trial.design import trial_spec
from remanent.trial.experiment import Job, replicate, truth_of
from remanent.trial.judge import Records, design_of, drug_of, holds, panel_of
from remanent.trial.world import Entry

PASSIVE = np.array([name == "passive" for name in MECHANISMS], float)
DAYS = np.arange(0.0, 85.0, 14.0)


def records(lanes: int = 4) -> Records:
    scores = np.random.default_rng(1).integers(4, 12, (DAYS.size, lanes)).astype(float)
    return Records(
        "hdrs24", DAYS, scores, np.array([84.0]), (), np.zeros((0, 1, lanes)), np.full(lanes, np.inf), Entry()
    )


def fitted(**weight: float) -> tuple[Design, Posterior]:
    """A population whose patients took these classes, its parameters known well."""
    design = replace(design_of(records()), classes=tuple(weight), class_weight=tuple(weight.values()))
    posterior = reference_posterior(layout(design))
    zero = np.zeros(posterior.layout.size)
    zero[posterior.layout.index("h0")] = -2.0
    fits = tuple(replace(fit, mode=zero, cov=1e-4 * np.eye(zero.size)) for fit in posterior.fits)
    return design, replace(posterior, fits=fits)


def test_hold_is_the_same_whichever_class_a_population_took() -> None:
    """One class: the same coordinates, so the same draws; only the lag of exposure differs, by days."""
    found = {
        name: holds(records(), fitted(**{name: 1.0}), PASSIVE, (84.0,), 3)[84.0] for name in ("ssri", "snri", "lithium")
    }
    assert found["ssri"].max() > 0.05
    np.testing.assert_allclose(found["snri"], found["ssri"], atol=0.02)
    np.testing.assert_allclose(found["lithium"], found["ssri"], atol=0.02)


def test_virtual_patients_take_a_drug_of_the_class_that_most_took() -> None:
    for name in set(CLASSES) - NOT_DRUGS:
        assert drug_of(fitted(**{name: 1.0})[0]).drug_class == name
    design, posterior = fitted(snri=0.3, lithium=0.7)
    assert drug_of(design).name == "lithium"
    theta = np.zeros(posterior.layout.size)
    theta[posterior.layout.index("rho[lithium]")] = 2.0
    switches = posterior.layout.acting(MECHANISMS.index("dual"))
    params = to_params(jnp.asarray(theta), posterior.layout, jnp.asarray(switches))
    assert float(params.rho[1]) > 1.1
    truth = truth_of(params, 0, 1)
    assert truth.p == pytest.approx(float(params.p * params.rho[1]))
    assert truth.sd_p == pytest.approx(float(params.sd_p * params.rho[1]))
    assert truth.a == pytest.approx(float(params.a * params.alpha[1]))


def test_hold_is_refused_where_nobody_took_a_drug() -> None:
    stages = [{"day": 28, "wait": True, "hold_at_least": 0.6}]
    policies = [{"name": "go on", "stages": []}, {"name": "by hold", "stages": stages}]
    spec = trial_spec(
        {"policies": policies, "patients": 12, "replicates": 1, "follow_up_days": 84, "compare": ["go on", "by hold"]}
    )
    with pytest.raises(InputError, match="nobody took a drug"):
        replicate(Job(spec, fitted(), 0, Entry(10.0)))


def test_the_record_of_a_virtual_patient_says_how_he_came_in() -> None:
    """ECT and the first dose as many days before the first rating as in the population's own study."""
    entered = replace(records(), entry=Entry(10.0, rated_day=3.0, drug_from=-5.0))
    panel = panel_of(entered, 84.0, np.array([0, 2]), drug_of(fitted(ssri=1.0)[0]))
    assert panel.ect_day.max() == -3.0
    np.testing.assert_array_equal(panel.doses.start_day, -8.0)
    later = panel_of(records(), 84.0, np.array([0]), drug_of(fitted(ssri=1.0)[0]))
    assert later.ect_day.max() == later.doses.start_day[0] == 0.0
