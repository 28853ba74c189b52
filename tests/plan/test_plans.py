"""Plans as data: what parses, what is refused and in which words, and that a plan does to doses what it says."""

import numpy as np
import pytest
import yaml

from remanent._errors import InputError
from remanent.plan.parse import parse_plan_text, parse_plans
from remanent.plan.plans import (
    CONTINUE,
    Dose,
    Ect,
    PlanSpec,
    Psychotherapy,
    Stop,
    Stress,
    Taper,
    needs,
    withdraws,
    words,
)
from remanent.treatment.exposure import DoseHistory
from remanent.treatment.taper import daily_dose

SERTRALINE = DoseHistory(("sertraline",), np.array([100.0]), np.array([-np.inf]), np.array([np.inf]))
EXAMPLE = """
slow taper: [{taper: {weeks: 24, shape: linear, from_day: 28, tablets: true, drugs: [sertraline]}}]
to lithium: [{stop: {drugs: [sertraline]}}, {dose: {drug: lithium, mg_day: 900}}]
continuation ECT: [{ect: {days: [7, 14, 28, 56], placement: rul}}]
therapy: [{psychotherapy: {sessions_week: 1, until_day: 90}}]
bad month: [{stop: {}}, {stress: {sleep_hours_lost: 2, crp_times: 2, from_day: 14, days: 28}}]
as today: []
"""


def test_every_kind_of_step_parses() -> None:
    plans = {p.name: p for p in parse_plans(yaml.safe_load(EXAMPLE))}
    assert plans["slow taper"].steps == (Taper(24.0, 28.0, "linear", tablets=True, drugs=("sertraline",)),)
    assert plans["to lithium"].steps == (Stop(drugs=("sertraline",)), Dose("lithium", 900.0))
    assert plans["continuation ECT"].ect == (Ect((7.0, 14.0, 28.0, 56.0), "RUL"),)
    assert plans["therapy"].steps == (Psychotherapy(1.0, 0.0, 90.0),)
    assert plans["bad month"].stress == (Stress(2.0, 2.0, 14.0, 28.0),)
    assert plans["as today"].steps == ()
    assert needs(plans["to lithium"]) == ("lithium",)
    assert needs(plans["therapy"]) == ("psychotherapy",)
    assert needs(plans["slow taper"]) == needs(plans["bad month"]) == ()


def test_one_line_says_the_same() -> None:
    text = "slow taper: taper weeks=24 shape=linear from_day=28 tablets=true drugs=sertraline"
    assert parse_plan_text(text) == parse_plans(yaml.safe_load(EXAMPLE))[0]
    assert parse_plan_text("e: ect days=7,14 placement=BT; stress crp_times=2") == PlanSpec(
        "e", (Ect((7.0, 14.0), "BT"), Stress(crp_times=2.0))
    )


def test_doses_follow_the_plan() -> None:
    today = 100.0
    days = np.array([99.0, 101, 130, 310])
    plans = {p.name: p for p in parse_plans(yaml.safe_load(EXAMPLE))}

    def dose(plan: PlanSpec, drug: str) -> list[float]:
        return daily_dose(plan.applied(SERTRALINE, today), drug, days).tolist()

    assert dose(CONTINUE, "sertraline") == [100] * 4
    slow = dose(plans["slow taper"], "sertraline")
    assert slow[:2] == [100, 100]
    assert 0 < slow[2] < 100
    assert slow[3] == 0
    assert dose(plans["to lithium"], "sertraline") == [100, 0, 0, 0]
    history = plans["to lithium"].applied(SERTRALINE, today)
    assert daily_dose(history, "lithium", days).tolist() == [0, 900, 900, 900]
    talk = plans["therapy"].applied(SERTRALINE, today)
    assert daily_dose(talk, "psychotherapy", days).tolist() == [0, 1, 1, 0]


REFUSED = {
    "dose above the maximum": ({"p": [{"dose": {"drug": "sertraline", "mg_day": 5000}}]}, "labelled maximum is 200"),
    "a negative dose": ({"p": [{"dose": {"drug": "sertraline", "mg_day": -1}}]}, "from 0 to the maximum"),
    "an unknown drug": ({"p": [{"dose": {"drug": "unobtainium", "mg_day": 1}}]}, "unobtainium"),
    "an unknown drug to stop": ({"p": [{"stop": {"drugs": ["unobtainium"]}}]}, "unobtainium"),
    "stop before start": (
        {
            "p": [
                {"dose": {"drug": "lithium", "mg_day": 600, "from_day": 28}},
                {"stop": {"drugs": ["lithium"], "from_day": 7}},
            ]
        },
        "ends on day 7, before it starts on day 28",
    ),
    "therapy that ends before it starts": (
        {"p": [{"psychotherapy": {"from_day": 30, "until_day": 10}}]},
        "ends on day 10, before it starts on day 30",
    ),
    "in the past": ({"p": [{"taper": {"from_day": -1}}]}, "before today"),
    "more weeks than the horizon": ({"p": [{"taper": {"weeks": 60}}]}, "reaches day 420"),
    "no weeks": ({"p": [{"taper": {"weeks": 0}}]}, "A taper takes time"),
    "an unknown shape": ({"p": [{"taper": {"shape": "cubic"}}]}, "cubic"),
    "an unknown placement": ({"p": [{"ect": {"days": [1], "placement": "XX"}}]}, "XX"),
    "ECT without days": ({"p": [{"ect": {"days": [], "placement": "BT"}}]}, "no day of a session"),
    "CRP times nothing": ({"p": [{"stress": {"crp_times": 0}}]}, "CRP is positive"),
    "a night that is too short": ({"p": [{"stress": {"sleep_hours_lost": 20}}]}, "at most 12 hours"),
    "an unknown step": ({"p": [{"wish": {}}]}, "the step 'wish'"),
    "an unknown field": ({"p": [{"stop": {"when": 3}}]}, "stop has no 'when'"),
    "a missing field": ({"p": [{"dose": {"drug": "lithium"}}]}, "dose without mg_day"),
    "a word for a number": ({"p": [{"taper": {"weeks": "many"}}]}, "weeks is 'many'"),
    "not a number": ({"p": [{"taper": {"weeks": float("nan")}}]}, "weeks is nan"),
    "not a list": ({"p": {"taper": {}}}, "no list of steps"),
    "no plans": ([], "holds no plans"),
    "a name that is taken": ({"Stop": [{"stop": {}}]}, "a plan named stop"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_impossible_plans_are_refused_in_words(what: str) -> None:
    found, said = REFUSED[what]
    with pytest.raises(InputError) as error:
        parse_plans(found)
    assert said in str(error.value)


def test_what_only_the_patient_makes_impossible() -> None:
    never = parse_plans({"p": [{"taper": {"drugs": ["lithium"]}}]})[0]
    with pytest.raises(InputError, match="plan p: lithium was never given"):
        never.applied(SERTRALINE, 0.0)


@pytest.mark.parametrize("text", ["taper weeks=3", "p: taper weeks", "p: wish"])
def test_lines_that_say_nothing(text: str) -> None:
    with pytest.raises(InputError):
        parse_plan_text(text)


def test_words_say_what_happens() -> None:
    said = [words(p) for p in parse_plans(yaml.safe_load(EXAMPLE))]
    assert said[0] == "sertraline to zero in equal steps of dose over 24 weeks from day 28, in whole tablets"
    assert said[2] == "ECT (RUL) on day 7, 14, 28, 56"
    assert "2 h less sleep and CRP times 2 for 28 days from day 14" in said[4]
    assert said[5] == "all doses as they stand today"


@pytest.mark.parametrize(
    ("text", "lowers"),
    [
        ("p: taper weeks=30", True),
        ("p: stop from_day=200", True),
        ("p: dose drug=sertraline mg_day=50 from_day=28", True),
        ("p: stop; dose drug=lithium mg_day=900", True),
        ("p: dose drug=sertraline mg_day=150", False),
        ("p: psychotherapy sessions_week=1", False),
        ("p: ect days=7,14 placement=RUL; stress sleep_hours_lost=2 days=28", False),
    ],
)
def test_whether_a_plan_withdraws_anything(text: str, lowers: bool) -> None:
    assert withdraws(parse_plan_text(text), SERTRALINE, 100.0) is lowers
    assert not withdraws(CONTINUE, SERTRALINE, 100.0)
