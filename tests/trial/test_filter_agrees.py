"""Simulator against filter: two derivations of one model that share no code must agree on what can be known of a patient."""

import math
from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from remanent.dynamics.design import choose_design
from remanent.dynamics.filter import log_likelihood, smooth
from remanent.dynamics.grid import TimeLine, build_timeline
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.model import Params
from remanent.study.bids import read_study
from remanent.study.panel import build_panel
from remanent.study.schema import INSTRUMENTS, OUTPUT
from remanent.study.tables import Table
from remanent.trial.cohort import Cohort, simulate
from remanent.trial.reference import indicators, reference
from remanent.trial.spec import demo_spec
from remanent.trial.write import write_study

FEATURES = ("fc_default_default", "fc_cont_default", "sc_strength_frontolimbic")
# far from the floor, which the filter does not know; no lithium, whose measured level would stand for its dose
HIGH = {"mu": {"hdrs24": 45.0, "madrs": 40.0}, "l_f": {"hdrs24": -14.0, "madrs": -14.0}}
DRUG = [{"share": 0.5, "drugs": {"sertraline": 100}}, {"share": 0.5, "drugs": {"venlafaxine": 150}}]


def feature_table(cohort: Cohort) -> Table:
    """Features without sampling error, straight from the scans."""
    who = cohort.people.participant
    rows = [
        (who[scan.patient], scan.session, scan.day, name, scan.values[name])
        for scan in cohort.scans
        for name in FEATURES
    ]
    spec = OUTPUT["features"]
    columns = {name: np.full(len(rows), np.nan) for name in spec.column}
    for i, name in enumerate(("participant_id", "session_id", "feature")):
        columns[name] = np.array([row[(0, 1, 3)[i]] for row in rows], object)
    columns |= {"day": np.array([row[2] for row in rows]), "value": np.array([row[4] for row in rows])}
    columns["usable"] = np.full(len(rows), "true", object)
    return Table(spec, columns, np.full(len(rows), "features.tsv", object), np.arange(2, len(rows) + 2))


def true_params(cohort: Cohort, on: Indicators) -> Params:
    """The cohort's parameters on the fit's standardised scale; rounding to whole points is noise of variance 1/12."""
    row = [[one.name for one in indicators()].index(name) for name in on.names]
    q, scale = cohort.params, on.scale
    rounding = np.where(on.is_symptom, 1 / 12, 0.0)
    changed = {
        name: np.asarray(getattr(q, name))[row] / np.abs(scale) for name in ("sd_mu", "l_f", "l_s", "l_e", "l_w")
    }
    mu, sigma = np.asarray(q.mu)[row], np.asarray(q.sigma)[row]
    standardised = q._replace(
        **changed,
        b=np.append(q.b, 0.0),
        mu=(mu - on.centre) / scale,
        sigma=np.sqrt(sigma**2 + rounding) / np.abs(scale),
    )
    return Params(*(jnp.asarray(value) for value in standardised))


@pytest.fixture(autouse=True)
def _broadcasting() -> Iterator[None]:
    """The filter's own tests judge its broadcasting; here it is a tool."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, TimeLine, Params]:
    spec = demo_spec(
        n_patients=96,
        seed=7,
        params=HIGH,
        regimens=DRUG,
        derivatives=False,
        truth_paths=2,
        crp_every_days=1,
        sleep_every_days=1,
    )
    cohort = simulate(spec)
    out = tmp_path_factory.mktemp("known") / "study"
    write_study(cohort, out)
    panel = build_panel(read_study(out).tables, feature_table(cohort))
    design = choose_design(panel)
    assert set(design.indicators.names) == {"hdrs24", "madrs", *FEATURES}
    centres = {
        "crp_centre": math.log(reference()["stressors"]["crp_mg_l"]["median"]),
        "sleep_centre": reference()["stressors"]["tst_h"]["median"],
    }
    # Scores as they are: the simulator's are linear in function, what a crosswalk makes of them is not.
    own = [
        (INSTRUMENTS[n].maximum / 2 if n in INSTRUMENTS else s)
        for n, s in zip(design.indicators.names, design.indicators.scale, strict=True)
    ]
    straight = replace(design.indicators, scale=np.array(own, float), points=())
    design = replace(design, indicators=straight, **centres)
    return cohort, build_timeline(panel, design), true_params(cohort, design.indicators)


def test_true_states_lie_where_the_smoother_says(known: tuple[Cohort, TimeLine, Params]) -> None:
    """Standardised errors of f and s on every step of every patient, at the true parameters: mean 0, variance 1, 90 % within 1.645."""
    cohort, line, params = known
    found = jax.jit(smooth)(params, line.grid)
    z_f, z_s = [], []
    for lane, (patient, steps) in enumerate(zip(line.lanes, line.steps, strict=True)):
        days = np.asarray(line.grid.day)[:steps, lane]
        last = np.append(np.diff(days) > 0, True)
        k = np.searchsorted(cohort.course.days, days[last] - 1e-9)
        for z, path, mean, sd in (
            (z_f, cohort.course.f, found.f_mean, found.f_sd),
            (z_s, cohort.course.s, found.s_mean, found.s_sd),
        ):
            z.append((path[k, patient] - np.asarray(mean)[:steps, lane][last]) / np.asarray(sd)[:steps, lane][last])
    for z in (z_f, z_s):
        per_patient = np.array([np.mean(one) for one in z])
        covered = np.array([np.mean(np.abs(one) < 1.645) for one in z])
        squares = np.array([np.mean(one**2) for one in z])
        n = len(z)
        assert abs(per_patient.mean()) < 4 * per_patient.std() / np.sqrt(n)
        assert abs(squares.mean() - 1) < 4 * squares.std() / np.sqrt(n)
        assert abs(covered.mean() - 0.9) < 4 * covered.std() / np.sqrt(n)
        assert covered.std() < 0.25


@pytest.mark.parametrize("wrong", ["k_f", "r", "p", "mu_gs", "h0", "sig_f"])
def test_the_true_parameters_are_likelier_than_wrong_ones(wrong: str, known: tuple[Cohort, TimeLine, Params]) -> None:
    _, line, params = known
    likelihood = jax.jit(log_likelihood)
    best = float(np.sum(likelihood(params, line.grid)))
    for factor in (0.5, 2.0):
        assert (
            float(np.sum(likelihood(params._replace(**{wrong: getattr(params, wrong) * factor}), line.grid))) < best - 2
        )
