"""What-if over a real small study: the plans of `run --plans`, their numbers and their refusals."""

import re
from dataclasses import replace

import numpy as np
import pytest
import yaml
from client import opened, serving
from numpy.testing import assert_array_equal

from remanent.app.asked import Asked, AskedTwice, as_line, both, doses_of, plan_of
from remanent.app.shelf import Shelf
from remanent.app.whatif import NoAnswerError, Workbench
from remanent.plan.decide import shipped_thresholds
from remanent.plan.parse import parse_plans
from remanent.plan.plans import STANDARD, TAPER, PlanSpec, Taper
from remanent.plan.simulate import stress_tests, what_if
from remanent.relapse.predict import EDGES_DAYS, Estimate
from remanent.stages.courses import people
from remanent.stages.live import one_patient
from remanent.study.store import Record

WELL = {
    "exposure": 1.0,
    "ratings_after_day_0": 9,
    "days_since_rating": 0.0,
    "crp_mg_l": None,
    "sleep_h": None,
    "relapse_day": None,
    "void": (),
}


@pytest.fixture(scope="module")
def bench(small_out):
    with Record.open(small_out, create=False) as record:
        made = Workbench(small_out, record, Shelf(small_out, record))
        made.warm_up()
        assert not made.state.failed
        yield made


@pytest.fixture(scope="module")
def one(bench):
    """A patient on a drug, with an index course of ECT."""
    lanes = (bench._lane(who) for who in bench._base.lanes)
    return next(lane.one for lane in lanes if " now" in doses_of(lane.one, TAPER) and not lane.one.results.gone[0])


@pytest.mark.parametrize(
    "asked",
    [
        Asked(weeks=20, start_days=14, shape="linear"),
        Asked(action="stop", start_days=28, poor_sleep=True),
        Asked(action="continue", crp_doubled=True, ect_sessions=3),
        Asked(also="stress sleep_hours_lost=3 from_day=56 days=14"),
    ],
)
def test_the_numbers_are_those_of_the_plans_room(bench, one, asked):
    from remanent.app.answer import rolled_of

    plan = plan_of(asked, one)
    expected = what_if(one.after, one.results.timeline, people(one.results)[0], [plan])
    found = rolled_of(bench._lane(one.participant_id), plan)
    assert found.relapse.mean[:, 0] == pytest.approx(expected.relapse.mean[:, 0], abs=1e-5)
    assert "\n" not in as_line(asked, one)
    assert parse_plans(yaml.safe_load(as_line(asked, one)))[0] == plan, "the line that is shown gives the same plan"


def test_a_plan_of_the_report_has_the_reports_numbers(bench):
    """To the last digit: both rest on the draws that the run kept."""
    compared = 0
    for who in bench.shelf.results.participants:
        lane = bench._lane(who)
        for plan in bench.shelf.view(who).forecasts.plans:
            found = lane.one.results.outcome.relapse[plan.plan]
            for part in ("mean", "lower", "upper"):
                ends = np.searchsorted(EDGES_DAYS[1:], plan.horizon_days[plan.horizon_days > 0])
                expected = getattr(plan, part)[plan.horizon_days > 0]
                assert getattr(found, part)[ends, 0] == pytest.approx(expected, abs=1e-9)
            compared += 1
    assert compared > 5


def test_a_patient_computed_anew_without_a_new_row_tells_what_the_run_told(bench, one):
    """The same draws, to rounding: a difference after an entry comes from the row that was entered."""
    again = one_patient(bench._base, one.participant_id, anew=True).results.outcome
    told = one.results.outcome
    for plan in STANDARD:
        assert again.relapse[plan.name].mean == pytest.approx(told.relapse[plan.name].mean, abs=1e-9)
        assert again.relapse[plan.name].upper == pytest.approx(told.relapse[plan.name].upper, abs=1e-9)
        assert_array_equal(again.informed[plan.name], told.informed[plan.name])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start_days": 182, "weeks": 52}, "Nothing is forecast beyond day 364"),
        ({"also": "dose drug=unobtainium mg_day=5"}, "unobtainium"),
        ({"also": "dose drug=phenelzine mg_day=45"}, "No patient of this study took it"),
        ({"also": "psychotherapy sessions_week=1"}, "starts psychotherapy. No patient of this study had it"),
        ({"also": "dose drug=sertraline mg_day=9000"}, "labelled maximum"),
        ({"also": "hope"}, "the step 'hope'"),
        ({"also": "stress days=900"}, "Nothing is forecast beyond day 364"),
        ({"also": "ect days=7 placement=LART"}, "No patient of this study had it"),
    ],
)
def test_what_a_run_would_refuse_is_refused_in_the_same_words(bench, one, changes, said):
    with pytest.raises(NoAnswerError, match="This plan cannot be forecast") as refused:
        bench.answers(one.participant_id, Asked(**changes))
    assert said in str(refused.value)


def test_a_plan_says_its_last_dose_and_a_curve_keeps_its_look(bench, one):
    assert ", none from day 84." in doses_of(one, TAPER)
    assert "none from" not in doses_of(one, STANDARD[0])
    who = one.participant_id
    look = {}
    for action in ("continue", "taper", "stop"):
        (answer,) = bench.answers(who, Asked(action=action))
        if not answer.unsaid:
            look[action] = [stroke for stroke in ("#009e73", "#d55e00") if stroke in answer.chart]
            assert answer.table.columns[1:] == tuple(f"{n}\u00a0weeks" for n in (4, 13, 26, 52))
    assert "#009e73" not in look.get("continue", []), "the plan asked for is blue, 'continue' green beside another"
    assert "#d55e00" not in look.get("stop", [])


def test_plans_beside_each_other_share_one_axis(one):
    from remanent.app.answer import Lane, Rolled, answers_of

    def at_most(most):
        curve = np.linspace(0, most, len(EDGES_DAYS))[1:, None]
        return Rolled(Estimate(curve, curve, curve), informed=True)

    other = PlanSpec("other", (Taper(weeks=30.0),))
    lane = Lane(one, {plan.steps: at_most(0.05) for plan in STANDARD} | {other.steps: at_most(0.7)})
    first, second = (re.findall(r">(\d+) %<", a.chart) for a in answers_of(lane, [TAPER, other], shipped_thresholds()))
    alone = re.findall(r">(\d+) %<", answers_of(lane, [TAPER], shipped_thresholds())[0].chart)
    assert first == second
    assert max(map(int, alone)) <= 10 < max(map(int, first))


def test_an_open_form_compiles_what_the_row_will_need_once(bench, monkeypatch):
    done = []
    monkeypatch.setattr(bench, "_be_ready_for_entries", lambda: done.append(1))
    for _ in range(3):
        bench.expect_entry()
    bench.finish()
    assert done == [1]
    assert not bench.busy


def test_two_plans_have_the_controls_of_one():
    fields = set(Asked.model_fields)
    assert set(AskedTwice.model_fields) == {f"{name}_{which}" for name in fields for which in "ab"}
    first, second = both(AskedTwice(weeks_b=30, also_b="stress crp_times=2 days=28"))
    assert (first.action, second.action) == ("continue", "taper")
    assert (second.weeks, second.also) == (30, "stress crp_times=2 days=28")
    with pytest.raises(ValueError, match="weeks_b"):
        AskedTwice(weeks_b=53)


def test_stress_that_begins_today_reaches_the_rule_and_later_stress_does_not(bench, one):
    from remanent.app.answer import rolled_of, situation_of

    lane, now = bench._lane(one.participant_id), one.results.situation[0]
    seen = {}
    for when in (0, 56):
        plan = plan_of(Asked(also=f"stress sleep_hours_lost=2 from_day={when} days=28"), one)
        plans = dict.fromkeys(("continue", "stop", "asked"), rolled_of(lane, plan))
        seen[when] = situation_of(one, plan, plans, {"default": {"horizon_days": {"value": 182.0}}}).sleep_h
    assert now.sleep_h is not None
    assert seen == {0: pytest.approx(now.sleep_h - 2), 56: pytest.approx(now.sleep_h)}


def test_the_stress_of_the_form_is_that_of_the_report(one):
    sleep, crp = plan_of(Asked(poor_sleep=True, crp_doubled=True), one).stress
    assert (sleep, crp) == (stress_tests()["poor sleep"], stress_tests()["CRP doubled"])


def test_the_advice_names_the_plan_and_continuing_is_not_answered_with_a_taper(one):
    from remanent.app.answer import Lane, Rolled, answers_of

    small = np.full((len(EDGES_DAYS) - 1, 1), 0.02)
    safe = Rolled(Estimate(small, small, small), informed=True)
    results = replace(one.results, situation=(replace(one.results.situation[0], **WELL),), never_seen=("",))
    who = replace(one, results=results)
    slow = plan_of(Asked(weeks=30), one)
    more = plan_of(Asked(action="continue", also="psychotherapy sessions_week=1"), one)
    lane = Lane(who, {plan.steps: safe for plan in (*STANDARD, slow, more)})
    taper, stay, talk = (one.advice for one in answers_of(lane, [slow, STANDARD[0], more], shipped_thresholds()))
    assert taper.code == "taper"
    assert "a 30-week taper adds 0 percentage points" in " ".join(taper.reasons)
    assert (stay.code, talk.code) == ("hold", "hold")
    assert "continuing all doses withdraws nothing" in stay.reasons[0]
    assert "this plan withdraws nothing" in talk.reasons[0]


def test_an_address_with_a_plan_opens_on_that_plan(light):
    with serving(light) as (gate, _):
        who = gate.app.state.desk.shelf.results.participants[0]
        page = opened(gate).get(f"/patients/{who}/whatif", params={"weeks": 31, "also": '"><script>'}).text
    assert 'value="31"' in page
    assert "<script>&" not in page
    assert "&#34;&gt;&lt;script&gt;" in page
