"""The rule of advice, branch by branch, with thresholds of one's own and by diagnosis."""

from dataclasses import replace
from pathlib import Path

import pytest

from remanent.plan.decide import Interval, Situation, decide, shipped_thresholds, thresholds_for
from remanent.stages.options import read_thresholds
from remanent.treatment.sourced import least_exposure

SURE, UNSURE, LOW = Interval(0.9, 0.85, 0.95), Interval(0.8, 0.6, 0.9), Interval(0.5, 0.3, 0.7)
# A patient of whom everything is known, on a drug, and of whom a taper would cost little.
FINE = Situation(
    diagnosis="mdd",
    hold=SURE,
    relapse_91=Interval(0.1, 0.05, 0.2),
    on_plan=Interval(0.15, 0.08, 0.25),
    extra_relapse=0.05,
    exposure=1.0,
    ratings_after_day_0=8,
    days_since_rating=10.0,
    crp_mg_l=1.0,
    sleep_h=7.5,
    relapse_day=None,
)
LACKS = ("a measure of structure",)

TABLE = {
    "everything known, little lost": ({}, "taper", "90 %"),
    "a relapse on record": ({"relapse_day": 40.0}, "act", "day 40"),
    "a relapse on record and nothing else known": (
        {"relapse_day": 40.0, "hold": None, "relapse_91": None, "extra_relapse": None, "ratings_after_day_0": 0},
        "act",
        "day 40",
    ),
    "a relapse on record, doses unknown": ({"relapse_day": 40.0, "void": ("doses",)}, "act", "day 40"),
    "a relapse is probable": ({"relapse_91": Interval(0.5, 0.3, 0.7)}, "act", "unchanged doses: 50 %"),
    "a relapse is not quite as probable": ({"relapse_91": Interval(0.499, 0.3, 0.7)}, "taper", ""),
    "a relapse is probable, few ratings": (
        {"relapse_91": Interval(0.6, 0.3, 0.9), "ratings_after_day_0": 0, "days_since_rating": None},
        "act",
        "60 %",
    ),
    "doses not fully known": ({"void": ("doses are not known",)}, "not_enough_data", "doses are not known"),
    "doses not fully known, a relapse probable": (
        {"void": ("doses are not known",), "relapse_91": Interval(0.9, 0.8, 0.95)},
        "not_enough_data",
        "doses are not known",
    ),
    "too few ratings": ({"ratings_after_day_0": 2}, "not_enough_data", "rated on 2 days after day 0, 3 are needed"),
    "no rating": ({"ratings_after_day_0": 0, "days_since_rating": None}, "not_enough_data", "rated on 0 days"),
    "an old rating": ({"days_since_rating": 61.0}, "not_enough_data", "61 days older than the last record"),
    "a rating as old as may be": ({"days_since_rating": 60.0}, "taper", ""),
    "hold rests on the prior": ({"hold": None}, "not_enough_data", "forecast without drugs rests on the model's start"),
    "relapse rests on the prior": (
        {"relapse_91": None},
        "not_enough_data",
        "the forecast rests on the model's starting",
    ),
    "the taper rests on the prior": ({"extra_relapse": None}, "not_enough_data", "starting assumptions"),
    "inflammation": ({"crp_mg_l": 5.25}, "treat_first", "CRP 5.2 mg/L, above 3 mg/L"),
    "inflammation at the threshold": ({"crp_mg_l": 3.0}, "taper", ""),
    "short sleep": ({"sleep_h": 5.5}, "treat_first", "sleep 5.5 h a night, below 6 h"),
    "neither measured": ({"crp_mg_l": None, "sleep_h": None}, "taper", ""),
    "inflammation, but nothing known of the course": (
        {"crp_mg_l": 9.0, "ratings_after_day_0": 0, "days_since_rating": None},
        "not_enough_data",
        "rated on 0 days",
    ),
    "no drug": ({"exposure": 0.0}, "hold", "no drug is taken"),
    "a trace of drug": ({"exposure": 0.02}, "hold", "no drug is taken"),
    "holds surely too little": ({"hold": LOW}, "hold", "50 % (90 % interval 30 to 70 %), below 80 %"),
    "tapering costs too much": ({"extra_relapse": 0.11}, "hold", "adds 11 percentage points"),
    "tapering costs as much as may be": ({"extra_relapse": 0.1}, "taper", "adds 10 percentage points"),
    "the interval straddles the threshold": ({"hold": UNSURE}, "hold", "a taper needs at least 80 %"),
    "no treatment episode": ({"diagnosis": "control"}, "not_enough_data", "no advice is given for diagnosis 'control'"),
    "no treatment episode, whatever is probable": (
        {"diagnosis": "CONTROL", "relapse_91": Interval(0.9, 0.8, 0.95)},
        "not_enough_data",
        "no advice is given",
    ),
    "a diagnosis nobody heard of": ({"diagnosis": "melancholia"}, "taper", ""),
    "no diagnosis": ({"diagnosis": None}, "taper", ""),
}


@pytest.mark.parametrize("what", TABLE)
def test_the_rule(what: str) -> None:
    change, code, words = TABLE[what]
    advice = decide(replace(FINE, **change))
    assert advice.code == code
    assert advice.reasons
    assert words in "; ".join(advice.reasons)


def test_abstention_says_what_is_missing_once() -> None:
    few = decide(replace(FINE, ratings_after_day_0=1, lacks=(*LACKS, "symptom ratings")))
    assert few.missing == (*LACKS, "symptom ratings")
    old = decide(replace(FINE, days_since_rating=90.0, lacks=LACKS))
    assert old.missing == (*LACKS, "a symptom rating now")
    assert decide(replace(FINE, void=("no",), lacks=LACKS)).missing == LACKS
    assert decide(replace(FINE, hold=UNSURE, lacks=LACKS)).missing == LACKS


def test_several_reasons_stand_together() -> None:
    assert len(decide(replace(FINE, crp_mg_l=9.0, sleep_h=4.0)).reasons) == 2
    assert len(decide(replace(FINE, ratings_after_day_0=1, hold=None)).reasons) == 2
    assert len(decide(replace(FINE, hold=UNSURE, extra_relapse=0.3)).reasons) == 3


def test_holding_is_no_promise() -> None:
    calm = decide(replace(FINE, hold=LOW))
    assert calm.reasons[-1] == "on unchanged doses, relapse within 182 days: 15 % (90 % interval 8 to 25 %)"
    not_safe = decide(replace(FINE, hold=LOW, on_plan=Interval(0.6, 0.4, 0.8)))
    assert "staying is not safe either" in not_safe.reasons[0], "the index shows the first reason"
    assert len(decide(replace(FINE, hold=LOW, on_plan=None)).reasons) == 1


def entry(value: float) -> dict[str, object]:
    return {"value": value, "status": "assumed"}


def test_thresholds_differ_by_diagnosis() -> None:
    table = {**shipped_thresholds(), "bipolar": {"least_hold": entry(0.95)}}
    assert decide(FINE, table).code == "taper"
    assert decide(replace(FINE, diagnosis="Bipolar"), table).code == "hold"
    assert decide(replace(FINE, diagnosis="bipolar", crp_mg_l=5.0), table).code == "treat_first"


def test_every_shipped_threshold_has_a_status_and_a_source() -> None:
    for limits in filter(None, shipped_thresholds().values()):
        for one in limits.values():
            assert one["status"] in {"published", "derived", "assumed"}
            assert one["source"]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "thresholds.yaml"
    path.write_text(text)
    return path


def test_a_file_changes_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    table = read_thresholds(written(tmp_path, "default:\n  least_hold: {value: 0.9, status: assumed}\n"))
    assert thresholds_for("mdd", table)["least_hold"]["value"] == 0.9
    assert thresholds_for("mdd", table)["crp_mg_l"] == shipped_thresholds()["default"]["crp_mg_l"]
    assert thresholds_for("control", table) is None


def test_a_diagnosis_of_a_file_stands_on_the_default_of_that_file(tmp_path: Path) -> None:
    text = """
default:
  least_hold: {value: 0.9, status: assumed}
Bipolar:
  crp_mg_l: {value: 5, status: assumed}
psychosis: null
control: {}
"""
    table = read_thresholds(written(tmp_path, text))
    limits = thresholds_for("bipolar", table)
    assert (limits["least_hold"]["value"], limits["crp_mg_l"]["value"]) == (0.9, 5)
    assert thresholds_for("psychosis", table) is None
    assert thresholds_for("control", table)["least_hold"]["value"] == 0.9
    assert decide(replace(FINE, diagnosis="psychosis"), table).code == "not_enough_data"


def test_the_shipped_file_can_be_read_as_ones_own(tmp_path: Path) -> None:
    from importlib.resources import files

    text = (files("remanent.plan") / "thresholds.yaml").read_text("utf-8")
    assert read_thresholds(written(tmp_path, text)) == shipped_thresholds()


@pytest.mark.parametrize(("extra", "code"), [(0.05, "taper"), (0.3, "hold")])
def test_the_advice_is_about_the_plan_that_was_asked_about(extra: float, code: str) -> None:
    asked = decide(replace(FINE, extra_relapse=extra, plan="a 30-week taper"))
    assert asked.code == code
    assert any(f"a 30-week taper adds {100 * extra:.0f} percentage points" in reason for reason in asked.reasons)
    assert "12-week" not in " ".join(asked.reasons)


def test_a_plan_that_withdraws_nothing_is_not_answered_with_a_taper() -> None:
    found = decide(replace(FINE, extra_relapse=0.0, plan="continuing all doses", withdraws=False))
    assert found.code == "hold"
    assert "continuing all doses withdraws nothing" in found.reasons[0]


def test_what_counts_as_a_drug_taken_is_one_number() -> None:
    assert (
        decide(replace(FINE, exposure=least_exposure())).reasons[0] == "no drug is taken: there is nothing to withdraw"
    )
    assert decide(replace(FINE, exposure=1.01 * least_exposure())).code == "taper"
