"""Plans, error rates, stress tests and the next measurement through the stages, on the small study."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from remanent._errors import InputError
from remanent.dynamics.design import choose_design
from remanent.dynamics.forecast import Today
from remanent.dynamics.infer import Posterior
from remanent.dynamics.priors import layout
from remanent.plan.decide import shipped_thresholds
from remanent.plan.errors import AdviceErrors, Chance
from remanent.plan.parse import parse_plans
from remanent.plan.simulate import STANDARD_PLANS
from remanent.relapse.predict import Ensemble
from remanent.stages.analyse import Results
from remanent.stages.courses import check_plans, stability, stability_table, stability_words, with_plans
from remanent.stages.error_rates import error_rates, words
from remanent.stages.options import read_plans
from remanent.study.panel import build_panel
from remanent.study.store import Record
from small import PEOPLE, Ran, records, run_quietly


def test_stability_has_every_patient_stress_and_horizon(ran: Ran, results: Results) -> None:
    rows = records(ran.out / "stability.tsv")
    stresses = {row["stress"] for row in rows}
    assert stresses == {"none", "poor sleep", "CRP doubled", "both"}
    assert len(rows) == len(results.timeline.lanes) * len(stresses) * 4
    hold = {(r["participant_id"], r["horizon_days"]): r["hold_mean"] for r in records(ran.out / "remanence.tsv")}
    for row in rows:
        if row["stress"] == "none" and row["basis"] == "data":
            assert float(row["hold_mean"]) == pytest.approx(
                float(hold[row["participant_id"], row["horizon_days"]]), abs=1e-4
            )
            assert float(row["added_mean"]) == 0


def test_errors_stand_beside_the_advice_they_belong_to(ran: Ran) -> None:
    advice = {r["participant_id"]: r["advice"] for r in records(ran.out / "plans.tsv")}
    for row in records(ran.out / "advice_errors.tsv"):
        if row["participant_id"] != "rule":
            assert row["advice"] == advice[row["participant_id"]]
        assert (row["below"] != "n/a") == (row["advice"] == "taper")
        assert (row["needless"] != "n/a") == (row["advice"] == "hold")


def test_next_measurements_are_ranked_for_everyone_at_risk(ran: Ran, results: Results) -> None:
    rows = records(ran.out / "next.tsv")
    people = [
        results.panel.patients[i] for i, gone in zip(results.timeline.lanes, results.gone, strict=True) if not gone
    ]
    assert {r["participant_id"] for r in rows} <= set(people)
    for who in {r["participant_id"] for r in rows}:
        mine = [r for r in rows if r["participant_id"] == who]
        assert [int(r["rank"]) for r in mine] == list(range(1, len(mine) + 1))
        assert {"rating"} <= {r["measurement"] for r in mine}
        for r in mine:
            assert float(r["day"]) == pytest.approx(
                float(mine[0]["day"]) - float(mine[0]["in_days"]) + float(r["in_days"])
            )
            if r["remanence_sd_after"] != "n/a":
                assert float(r["remanence_sd_after"]) <= float(r["remanence_sd_before"]) + 1e-9


def test_pages_say_it(ran: Ran) -> None:
    said = {
        p.stem for p in ran.out.glob("sub-*.html") if "Would the recovery stand on its own?" in p.read_text("utf-8")
    }
    assert said == {r["participant_id"] for r in records(ran.out / "stability.tsv") if r["basis"] == "data"}


def test_own_plans_are_forecast_with_the_same_draws(results: Results) -> None:
    same = {"twelve weeks": [{"taper": {"weeks": 12}}], "slower": [{"taper": {"weeks": 30}}]}
    found, problems = with_plans(results, parse_plans(same))
    assert problems == []
    assert list(found.outcome.relapse)[: len(STANDARD_PLANS)] == list(STANDARD_PLANS)
    again, slower, taper = (found.outcome.relapse[name].mean for name in ("twelve weeks", "slower", "taper"))
    np.testing.assert_allclose(again, taper, atol=1e-12)
    takes = np.array([s.exposure > 0.1 for s in results.situation])
    assert (slower[:20, takes] <= taper[:20, takes] + 1e-9).all()


def test_a_plan_that_is_impossible_in_some_leaves_them_out(results: Results) -> None:
    drug = str(results.panel.doses.drug[0])
    found, problems = with_plans(results, parse_plans({"end it": [{"stop": {"drugs": [drug]}}]}), "mine.yaml")
    mean = found.outcome.relapse["end it"].mean
    never = [k for k in range(mean.shape[1]) if np.isnan(mean[:, k]).all()]
    assert len(problems) == len(never) > 0
    assert all("was never given to this patient" in p.problem for p in problems)
    assert {p.file for p in problems} == {"mine.yaml"}
    assert len({p.participant_id for p in problems} & set(results.panel.patients)) == len(problems)
    assert not found.outcome.informed["end it"][never].any()


def test_a_plan_that_nobody_can_follow_stops(results: Results) -> None:
    with pytest.raises(InputError, match=r"nothing is known of its effect|never given"):
        with_plans(results, parse_plans({"p": [{"stop": {"drugs": ["tranylcypromine"]}}]}))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"dose": {"drug": "lamotrigine", "mg_day": 100}}], "No patient of this study took it"),
        (
            [{"psychotherapy": {"sessions_week": 1}}],
            "No patient of this study had it, so nothing is known of its effect",
        ),
        ([{"dose": {"drug": "psychotherapy", "mg_day": 1}}], "No patient of this study had it, so nothing is known"),
        ([{"ect": {"days": [7], "placement": "LART"}}], "No patient of this study had it"),
        ([{"stop": {"drugs": ["tranylcypromine"]}}], "never given"),
    ],
)
def test_a_plan_that_nobody_can_have_is_refused_before_scans_are_measured(
    ran: Ran, tmp_path: Path, steps: list, said: str
) -> None:
    plans = parse_plans({"fine": [{"taper": {"weeks": 30}}], "mine": steps})
    with pytest.raises(InputError, match=said) as refused:
        run_quietly(ran.study, tmp_path / "out", plans=plans)
    assert "plan mine" in str(refused.value)
    with Record.open(tmp_path / "out", create=False) as record:
        assert len(record.table("participants")) == PEOPLE
        assert not len(record.features())
    with pytest.raises(InputError, match=said):
        run_quietly(ran.study, ran.out, level="group", plans=plans)


def test_the_plans_of_the_documentation_can_be_had(ran: Ran, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "plan.md").read_text("utf-8")
    (tmp_path / "plans.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    plans = read_plans(tmp_path / "plans.yaml")
    assert len(plans) >= 4
    with Record.open(ran.out, create=False) as record:
        check_plans(plans, record.tables())


def test_psychotherapy_may_be_planned_where_somebody_had_it(ran: Ran) -> None:
    with Record.open(ran.out, create=False) as record:
        tables = record.tables()
    design = choose_design(build_panel(tables))
    talk = parse_plans({"talk": [{"psychotherapy": {"sessions_week": 1}}]})
    assert not design.psychotherapy
    check_plans(talk, tables, replace(design, psychotherapy=True))


def test_a_file_that_is_no_file_of_plans(tmp_path: Path) -> None:
    bad = tmp_path / "plans.yaml"
    bad.write_text("p: [taper: {weeks: 3")
    with pytest.raises(InputError, match="cannot be read"):
        read_plans(bad)
    with pytest.raises(InputError, match="cannot be read"):
        read_plans(tmp_path / "none.yaml")
    bad.write_text('{"p": [{"taper": {"weeks": 24}}]}')
    assert read_plans(bad)[0].name == "p"


def two_basins(results: Results, s: float, draws: int = 40) -> Ensemble:
    """Everyone at function and structure `s`, give or take a little, with a tipping point of 0.4."""
    form = layout(replace(results.design, form="two-basin"))
    shape, rng = (draws, len(results.timeline.lanes)), np.random.default_rng(0)
    none = np.zeros(shape)
    today = Today(
        np.zeros((draws, form.size)), *(s + 0.05 * rng.standard_normal((2, *shape))), *([none] * 4), 0.4 + none
    )
    return Ensemble(Posterior(form, ()), (0,), (today,), np.ones((shape[1], 1)))


def test_distance_to_the_tipping_point_is_told_only_where_the_data_narrow_it(results: Results) -> None:
    wide = two_basins(results, 0.5)
    wide.today[0].s[:] += np.random.default_rng(1).standard_normal(wide.today[0].s.shape)
    near = with_tipping_point_known_to(0.5, replace(results, after=two_basins(results, 0.8), before=wide))
    lane = int(np.flatnonzero(near.outcome.informed["stop"] & ~near.gone)[0])
    found = stability(near)
    assert found.beyond_informed.all()
    rows = stability_table(near, found)
    shown = [
        d for d, who in zip(rows["beyond_tipping_mean"], rows["participant_id"], strict=True) if who == name(near, lane)
    ]
    assert shown == pytest.approx([float(e.mean[k, lane]) for e in found.beyond.values() for k in range(4)])
    assert "above the tipping point" in stability_words(near, found, lane, 28.0)[0]
    assert "below the tipping point" in stability_words(near, stability(low(near)), lane, 28.0)[0]
    unmoved = stability(replace(near, before=near.after))
    assert not unmoved.beyond_informed.any()
    assert np.isnan(stability_table(near, unmoved)["beyond_tipping_mean"]).all()
    assert "where that point lies is the prior's" in stability_words(near, unmoved, lane, 28.0)[-1]
    anywhere = stability(with_tipping_point_known_to(1.0, near))
    assert not anywhere.beyond_informed.any(), "a distance to a point that only the prior places is no finding"
    assert np.isnan(stability_table(results, stability(results))["beyond_tipping_mean"]).all()


def with_tipping_point_known_to(sd_ratio: float, results: Results) -> Results:
    """The same, the posterior's spread of every parameter being that share of the prior's."""
    form = two_basins(results, 0.5).posterior.layout
    fits = tuple(replace(f, cov=sd_ratio**2 * np.eye(form.size)) for f in results.posterior.fits)
    return replace(results, posterior=Posterior(form, fits))


def name(results: Results, lane: int) -> str:
    return results.panel.patients[int(results.timeline.lanes[lane])]


def low(results: Results) -> Results:
    return replace(results, after=two_basins(results, 0.1))


def test_error_rates_are_told_for_the_horizon_they_were_worked_out_for(results: Results) -> None:
    shipped = shipped_thresholds()
    sooner = {**shipped, "default": {**shipped["default"], "horizon_days": {"value": 91.0, "status": "assumed"}}}
    found = error_rates(results, results.after, 0, sooner)
    assert set(found.horizon_days.values()) == {91.0}
    who = next(iter(found.horizon_days))
    taper = AdviceErrors("taper", below=Chance(0.1, 0.01), caused=Chance(0.1, 0.01))
    said = words(replace(found, patients={who: taper}), who, "taper")
    assert "tapering causes a relapse within 91 days" in said
    assert "182" not in said
