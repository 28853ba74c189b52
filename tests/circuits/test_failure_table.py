"""What other harmonisers and norms do at small sites, and what ours must do: the failure table of docs/validation/circuits.md, a test a row.

Measured with neuroHarmonize 2.5.2, combatlearn 2.3.0, longCombat and PCNtoolkit 1.3.0: each row says what they do.
"""

import runpy
from pathlib import Path

import numpy as np
import pytest

from remanent.circuits.harmonise import harmonise, learn
from remanent.circuits.norm import add_site, learn_norm, z_values

TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "validate_norm.py"))
TABLE = (Path(__file__).parents[2] / "docs" / "validation" / "circuits.md").read_text(encoding="utf-8")
ROWS = {
    "scan from an unseen site": "test_a_scan_from_an_unseen_site",
    "one scan at a site": "test_one_scan_at_a_site",
    "one missing cell": "test_one_missing_cell",
    "two controls to adapt": "test_few_controls_to_adapt",
    "3, 5, 10, 30 controls": "test_few_controls_to_adapt",
    "new visit for an old patient": "test_a_new_visit_for_an_old_patient",
}


@pytest.fixture(scope="module")
def study():
    """Values, covariates, site and person of 90 healthy people of three sites, and the norm they give."""
    rng = np.random.default_rng(0)
    (values, age, sex), site = TOOL["reference"](rng, 3, 1.0)
    return values, np.column_stack([age, sex]), site, [f"p{i}" for i in range(len(values))]


@pytest.fixture(scope="module")
def norm(study):
    values, covariates, site, _ = study
    return learn_norm(values, *covariates.T, site)


def test_every_row_of_the_table_has_its_test():
    for row, test in ROWS.items():
        assert f"| {row} |" in TABLE
        assert test in globals()


def test_a_scan_from_an_unseen_site(study, norm):
    """neuroHarmonize: IndexError. combatlearn: ValueError. PCNtoolkit: AssertionError. Ours: a value, with a wider error."""
    values, covariates, site, person = study
    learnt = learn(values, covariates, site, person)
    one = values[:1], covariates[:1]
    (known, se_known), (new, se_new) = (harmonise(learnt, *one, [where]) for where in (site[0], "unseen"))
    np.testing.assert_allclose(new, one[0], atol=1e-12)
    assert np.all(se_new > se_known)
    assert np.isfinite(known).all()
    z_known, z_new = (
        np.diff(
            z_values(norm, np.vstack([one[0] - 3, one[0] + 3]), *np.repeat(one[1], 2, axis=0).T, [where] * 2), axis=0
        )
        for where in (site[0], "unseen")
    )
    assert np.all(z_new < z_known), "the same distance is less unusual where the site is not known"


def test_one_scan_at_a_site(study):
    """neuroHarmonize and combatlearn: every row NaN, silently. longCombat: stops. Ours: shrunk, and harms nobody."""
    values, covariates, site, person = study
    more = np.vstack([values, values.mean(axis=0) + 9]), np.vstack([covariates, covariates.mean(axis=0)])
    learnt = learn(*more, [*site, "lonely"], [*person, "new"])
    got, se = harmonise(learnt, *more, [*site, "lonely"])
    assert np.isfinite(got).all()
    assert np.isfinite(se).all()
    alone = learn(values, covariates, site, person)
    moved = np.abs(got[:-1] - harmonise(alone, values, covariates, site)[0])
    assert moved.max() < 0.1 * values.std()
    raw = (more[0][-1] - learnt.intercept - more[1][-1] @ learnt.slopes) / learnt.sigma
    assert np.all(learnt.gamma[learnt.sites.index("lonely")] < raw)


def test_one_missing_cell(study, norm):
    """neuroHarmonize: all cells NaN. combatlearn: ValueError. longCombat: stops. Ours: that cell alone."""
    values, covariates, site, person = study
    holed = values.copy()
    holed[3, 1] = np.nan
    for got in (
        *harmonise(learn(holed, covariates, site, person), holed, covariates, site),
        z_values(learn_norm(holed, *covariates.T, site), holed, *covariates.T, site),
        z_values(add_site(norm, "new", holed, *covariates.T), holed, *covariates.T, ["new"] * len(holed)),
    ):
        assert np.argwhere(np.isnan(got)).tolist() == [[3, 1]]


def test_few_controls_to_adapt():
    """PCNtoolkit: 6-70 % of healthy people beyond |z| 1.96 with two controls, 2-40 % with five. Ours: 5 % throughout."""
    shares = TOOL["rates"](np.random.default_rng(7), 10, 1.0, norms=8, places=25)
    for controls, share in zip(TOOL["CONTROLS"], shares, strict=True):
        error = share.std(ddof=1) / np.sqrt(len(share))
        assert share.mean() == pytest.approx(0.05, abs=max(3 * error, 0.01)), controls


def test_a_new_visit_for_an_old_patient(study, norm):
    """neuroHarmonize, combatlearn, longCombat: a refit changes old values. Ours: frozen, bit-identical."""
    values, covariates, site, person = study
    learnt = learn(values, covariates, site, person)
    visit = values[:1] + 0.3, covariates[:1]
    for apply in (
        lambda v, c, s: harmonise(learnt, v, c, s)[0],
        lambda v, c, s: z_values(norm, v, *c.T, s),
    ):
        before = apply(values, covariates, site)
        after = apply(np.vstack([values, visit[0]]), np.vstack([covariates, visit[1]]), [*site, site[0]])
        assert after[:-1].tobytes() == before.tobytes()
