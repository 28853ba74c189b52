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
from remanent.dynamics.priors import layout, to_params
from remanent.study.bids import read_study
from remanent.study.panel import Doses, build_panel
from remanent.study.schema import INSTRUMENTS, OUTPUT
from remanent.study.tables import Table
from remanent.treatment.drugs import require
from remanent.treatment.exposure import DoseHistory
from remanent.trial.cohort import Cohort, simulate
from remanent.trial.extras import Extras, acting
from remanent.trial.judge import Records, panel_of
from remanent.trial.reference import indicators, reference, reference_params
from remanent.trial.spec import demo_spec
from remanent.trial.trajectory import Forcing, Person, State, integrate
from remanent.trial.world import Entry
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


CHANGES = {
    "stop": [("venlafaxine", 150.0, -np.inf, 42.0)],
    "switch of class": [("venlafaxine", 150.0, -np.inf, 42.0), ("mirtazapine", 45.0, 42.0, np.inf)],
    "switch within a class": [("sertraline", 100.0, -np.inf, 42.0), ("fluoxetine", 40.0, 42.0, np.inf)],
    "one of two stopped": [("nortriptyline", 100.0, -np.inf, np.inf), ("lithium", 900.0, -np.inf, 42.0)],
}


@pytest.mark.parametrize("change", CHANGES)
def test_withdrawal_is_the_same_in_both(change: str) -> None:
    """Ratings that are the simulator's withdrawal and nothing else, read with hardly any noise: no density is higher than what the filter gives them."""
    drug, mg, start, stop = zip(*CHANGES[change], strict=True)
    history = DoseHistory(drug, np.array(mg), np.array(start), np.array(stop))
    days, rated, zero = np.arange(0.0, 85.0, 0.5), np.arange(0.0, 85.0, 3.5), np.zeros(1)
    given = acting(history, days, Extras())
    forcing = Forcing(days, given.total[:, None], np.zeros((0, 1, 1)), np.zeros((1, 1)), zero, lost=given.lost[:, None])
    params = reference_params("natural")._replace(omega=1.0, tau_w=10.0)
    course = integrate(np.random.default_rng(0), params, Person(*(zero,) * 5), forcing, State(*(zero,) * 4))
    seen = course.w[:: round(3.5 / 0.5)]
    level = 10.0  # away from the ends of the scale
    records = Records("hdrs24", rated, level + seen, np.zeros(0), (), np.zeros((0, 0, 1)), np.full(1, np.inf), Entry())
    panel = panel_of(records, 84.0, np.zeros(1, int), require("sertraline"))
    taken = Doses(
        np.zeros(len(drug), int), np.array(drug, object), history.dose_mg_day, history.start_day, history.stop_day
    )
    panel = replace(
        panel, doses=taken, ect_patient=np.zeros(0, int), ect_day=np.zeros(0), ect_placement=np.zeros(0, object)
    )
    plain = Indicators(
        ("hdrs24",), np.ones(1, bool), np.zeros(1), np.ones(1), np.array([[False, False, False, True]]), points=()
    )
    line = build_timeline(panel, design := replace(choose_design(panel), indicators=plain))
    noise, coordinates = 0.03, layout(design)
    known = to_params(jnp.zeros(coordinates.size), coordinates, jnp.asarray(coordinates.acting(0)))
    one = jnp.ones(1)
    known = known._replace(
        omega=one[0], tau_w=10 * one[0], h0=1e-12 * one[0], mu=level * one, sd_mu=1e-4 * one, l_w=one, sigma=noise * one
    )
    highest = -len(rated) * (math.log(noise) + math.log(2 * math.pi) / 2)
    assert float(jax.jit(log_likelihood)(known, line.grid)[0]) == pytest.approx(highest, abs=0.5)
    assert seen.max() > 0.05
