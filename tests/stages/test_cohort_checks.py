"""What the cohort page says of calibration and of sites: a known truth comes back, and where there is none the reason is said."""

from dataclasses import replace

import numpy as np
import pytest
from test_comparable import People, recorded, study, tables  # noqa: F401 - fixtures

from remanent.relapse.rivals import DAYS
from remanent.relapse.score import outcome, patient_weights
from remanent.report.check_figures import calibration_caution, calibration_summary
from remanent.report.checks import Calibration
from remanent.report.words import feature_label
from remanent.stages.checks import LEAST_RELAPSES, calibration_of, sites_of
from remanent.stages.comparable import compare
from remanent.stages.rivals import Competitor, Rivalry, Scored
from remanent.study.store import Record


def made(patients: int, *, truth: float = 1.0, seed: int = 0) -> Rivalry:
    """Everyone watched to day 182; the hazard is `truth` times what was forecast."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.0005, 0.006, patients)
    time = rng.exponential(1 / (truth * rate))
    event = time <= 182
    known = outcome(np.where(event, time, 400.0), event)
    risk = 1 - np.exp(-rate[:, None] * np.array(DAYS))
    scored = tuple(
        Scored(day, np.arange(patients), known, patient_weights(known.patient, 100, rng)) for day in (91.0, 182.0)
    )
    ours = Competitor("mechanistic", "without", risk, "")
    return Rivalry(competitors=(Competitor("cox", "without", risk * 0, ""), ours), scored=scored)


def test_true_forecasts_lie_on_the_line_and_doubled_hazards_above_it():
    true, doubled = calibration_of(made(1500)), calibration_of(made(1500, truth=2.0))
    assert [curve.horizon_days for curve in true.curves] == [91.0, 182.0]
    for curve in true.curves:
        assert all(abs(group.observed - group.predicted) < 0.1 for group in curve.groups)
        assert curve.slope[1] < 1 < curve.slope[2]
        assert sum(group.forecasts for group in curve.groups) == curve.patients == 1500
    assert all(curve.in_the_large[1] > 0.05 for curve in doubled.curves)


@pytest.mark.parametrize(
    ("rivalry", "said"),
    [
        (None, "--rivals"),
        (Rivalry(lacking="Forecasts were not compared: too few."), "too few"),
        (made(14), f"at least {LEAST_RELAPSES} relapses being needed"),
    ],
)
def test_what_cannot_be_assessed_says_why(rivalry, said):
    found = calibration_of(rivalry)
    assert not found.curves
    assert said in found.unsaid


def test_a_horizon_with_few_relapses_is_left_out_and_named():
    whole = made(60)
    relapsed = [int((at.known.event & (at.known.time_days <= at.horizon_days)).sum()) for at in whole.scored]
    assert relapsed[0] < relapsed[1]
    cut = replace(
        whole,
        scored=(
            replace(whole.scored[0], known=replace(whole.scored[0].known, event=np.zeros(60, bool))),
            whole.scored[1],
        ),
    )
    found = calibration_of(cut)
    assert [curve.horizon_days for curve in found.curves] == [182.0]
    assert "within 91 days" in found.note


def test_the_sentence_counts_forecasts_and_nothing_else():
    """Three forecasts a patient: what is predicted, observed and told apart is of the same 90 forecasts."""
    whole = made(90, seed=3)
    thrice = replace(
        whole, scored=tuple(replace(one, known=replace(one.known, patient=np.arange(90) // 3)) for one in whole.scored)
    )
    found = calibration_of(thrice)
    curve = next(one for one in found.curves if one.horizon_days == 182)
    at = whole.scored[1]
    predicted = float(whole.competitors[1].risk[:, list(DAYS).index(182)].mean())
    observed = float((at.known.time_days <= 182).mean())
    assert (curve.forecasts, curve.patients) == (90, 30)
    assert curve.predicted == pytest.approx(predicted)
    said = calibration_summary(found).replace("\u00a0", " ")
    assert (
        f"90 forecasts for 30 patients: relapse predicted in {100 * predicted:.0f} %, observed in {100 * observed:.0f} %"
        in said
    )
    assert "patients relapsed" not in said


def test_forecasts_that_are_off_are_said_to_be_wherever_they_are_shown():
    true, doubled = calibration_of(made(1500)), calibration_of(made(1500, truth=2.0))
    halved = calibration_of(made(1500, truth=0.5))
    assert calibration_caution(true, 182.0) == ""
    assert "too low" in calibration_caution(doubled, 182.0)
    assert "too high" in calibration_caution(halved, 182.0)
    assert calibration_caution(doubled, 364.0) == ""
    assert calibration_caution(Calibration(), 182.0) == ""


def test_sites_come_together_and_the_most_different_measure_comes_first(study, tables, tmp_path):  # noqa: F811
    given = tables(study)
    with Record.open(recorded(study, tmp_path)) as record:
        compared = compare(record, given, tmp_path, learn_anew=True)
    found = sites_of(compared, given["participants"])
    assert found.learnt_from == "controls"
    assert found.count == 3
    apart = [measure.apart_before for measure in found.measures]
    assert apart == sorted(apart, reverse=True)
    for measure in found.measures:
        assert measure.sites == ("a", "b")
        assert measure.apart_after < measure.apart_before
        assert [len(v) for v in measure.before] == [len(v) for v in measure.after]
    names = [str(name) for name in compared.features["feature"]]
    values = sum(feature_label(name) == found.measures[0].label for name in names)
    assert sum(map(len, found.measures[0].before)) == values > 0


@pytest.mark.parametrize(
    ("people", "said"),
    [(People(sites=("a",)), "one site, a"), (People(2, 2, days=(0.0,)), "fewer than two of 2 sites")],
)
def test_where_nothing_was_harmonised_the_reason_is_said(people, said, tables, tmp_path):  # noqa: F811
    given = tables(people)
    with Record.open(recorded(people, tmp_path)) as record:
        compared = compare(record, given, tmp_path, learn_anew=True)
    found = sites_of(compared, given["participants"])
    assert not found.measures
    assert said in found.unsaid
