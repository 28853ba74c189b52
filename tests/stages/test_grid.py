"""From a study's tables to the atomic steps of each patient: nothing lost, nothing moved, nothing counted twice."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from remanent.dynamics.design import choose_design
from remanent.dynamics.grid import TimeLine, build_timeline, look_ahead, medication_of
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.priors import layout
from remanent.dynamics.steps import PER_SLOT
from remanent.stages.measure import read
from remanent.stages.tables import report_rows
from remanent.study.crosswalks import crosswalks
from remanent.study.panel import Panel, build_panel
from remanent.treatment.drugs import CLASSES, NOT_DRUGS
from remanent.treatment.exposure import exposure

IS_DRUG = np.array([name not in NOT_DRUGS for name in CLASSES])
COLUMNS = {
    "hdrs17": "day total",
    "madrs": "day total",
    "medication": "drug dose_mg_day start_day stop_day",
    "ect": "day placement",
    "labs": "day analyte value unit",
    "sleep": "day measure value",
    "events": "day event detail",
}
Made = tuple[Panel, Indicators, TimeLine]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Made]:
    """Panel, indicators and time line of patients `a`, `b`, ... whose tables are given as rows of cells."""

    def make(**tables: Mapping[str, Sequence[tuple]]) -> Made:
        people = sorted({who for rows in tables.values() for who in rows})
        root = tmp_path / f"study{len(list(tmp_path.iterdir()))}"
        (root / "phenotype").mkdir(parents=True)
        (root / "participants.tsv").write_text("\n".join(["participant_id", *(f"sub-{p}" for p in people)]) + "\n")
        for name, rows in tables.items():
            lines = ["\t".join(["participant_id", *COLUMNS[name].split()])]
            lines += ["\t".join([f"sub-{who}", *map(str, row)]) for who, mine in rows.items() for row in mine]
            (root / "phenotype" / f"{name}.tsv").write_text("\n".join(lines) + "\n")
        study = read(root)
        assert [p for p in study.problems if p.action != "used"] == []
        panel = build_panel(study.tables)
        design = choose_design(panel)
        return panel, design.indicators, build_timeline(panel, design)

    return make


def lane_of(made: Made, who: str) -> tuple[SimpleNamespace, int]:
    """The steps of one patient without padding, and the index of the patient."""
    panel, _, line = made
    i = panel.patients.index(f"sub-{who}")
    (lane,) = np.flatnonzero(line.lanes == i)
    n, people = line.steps[lane], ("held", "tether", "risk", "reserve")
    mine = {k: v[..., lane] if k in people else v[..., :n, lane] for k, v in line.grid._asdict().items()}
    # One row for each reading; what else happens at a step stands in the first of its rows.
    at = [
        (t, b)
        for t in range(n)
        for b in (np.flatnonzero(mine["observed"][:, t]) if mine["observed"][:, t].any() else [0])
    ]
    step, slot = np.array(at).T
    first = np.diff(step, prepend=-1) > 0
    for k, v in mine.items():
        if k in PER_SLOT:
            mine[k] = v[slot, step]
        elif k not in people:
            mine[k] = v[..., step] if k == "day" else np.where(first, v[..., step], 0.0)
    return SimpleNamespace(**mine), i


RATED = {"a": [(-20, 24), (3, 10), (45, 8), (120, 9)], "b": [(-10, 30), (7, 12), (60, 20)]}
ECT = {"a": [(d, "RUL") for d in (-18, -15.5, -13, -6, 0)], "b": [(d, "BT") for d in (-9, -4, 0, 30, 58)]}


def test_steps_tile_the_time_from_first_to_last_record(made) -> None:
    everything = made(hdrs17=RATED, ect=ECT, events={"a": [(130, "dropout", "n/a")], "b": [(60, "relapse", "n/a")]})
    for who, first, last in (("a", -20, 130), ("b", -10, 60)):
        steps, _ = lane_of(everything, who)
        assert (steps.day[0], steps.day[-1]) == (first, last)
        assert steps.dt.sum() == pytest.approx(last - first)
        assert np.allclose(np.cumsum(steps.dt), steps.day - first)
        assert (steps.dt >= 0).all()
        assert steps.dt.max() <= 7.0
    assert list(everything[2].today) == [130, 60]


def test_padding_is_inert(made) -> None:
    _, _, line = made(hdrs17=RATED, ect=ECT)
    steps, lanes = line.grid.dt.shape
    assert (steps % 32, lanes % 8) == (0, 0)
    real = np.zeros((steps, lanes), bool)
    for lane, n in enumerate(line.steps):
        real[:n, lane] = True
    assert np.isnan(line.grid.day[~real]).all()
    for name in ("dt", "dose", "lost", "ect", "at_risk", "relapse", "dropout", "observed", "value", "se2"):
        assert not getattr(line.grid, name)[..., ~real].any()
    for name in ("held", "tether", "risk", "reserve"):
        assert np.isfinite(getattr(line.grid, name)).all()
        assert not getattr(line.grid, name)[..., len(line.steps) :].any()
    by_step = [v for k, v in line.grid._asdict().items() if k not in ("held", "tether", "risk", "reserve")]
    assert all(np.isfinite(v[..., real]).all() for v in by_step)


def test_observations_keep_their_order_days_and_values(made) -> None:
    ratings = {"a": [(45, 8), (-20, 24), (3, 10), (3.5, 51), (120, 9)]}
    everything = made(hdrs17={"a": ratings["a"][:3] + ratings["a"][4:]}, madrs={"a": [(3, 30), (120, 12)]}, ect=ECT)
    _, indicators, _ = everything
    steps, _ = lane_of(everything, "a")
    seen = steps.observed > 0

    def score(j: int, value: float) -> float:
        at_hub = value * indicators.scale[j] + indicators.centre[j]
        table = crosswalks().get(indicators.names[j])
        return at_hub if table is None else float(np.interp(at_hub, table.hub, table.own))

    found = [
        (day, indicators.names[j], score(j, value))
        for day, j, value in zip(steps.day[seen], steps.indicator[seen], steps.value[seen], strict=True)
    ]
    wanted = [
        (-20, "hdrs17", 24),
        (3, "hdrs17", 10),
        (3, "madrs", 30),
        (45, "hdrs17", 8),
        (120, "hdrs17", 9),
        (120, "madrs", 12),
    ]
    assert [(d, n) for d, n, _ in found] == [(d, n) for d, n, _ in wanted]
    assert [v for *_, v in found] == pytest.approx([v for *_, v in wanted])
    assert not steps.se2.any()


def test_what_happens_on_a_day_happens_once_however_many_ratings(made) -> None:
    """Several observations of one day are steps of their own; dose, ECT, hazard and relapse come with the first."""
    everything = made(
        hdrs17={"a": [(-5, 20), (0, 9), (30, 20)]},
        madrs={"a": [(0, 9), (30, 30)]},
        ect={"a": [(-3, "BF"), (0, "BF")]},
        events={"a": [(30, "relapse", "n/a")]},
    )
    steps, _ = lane_of(everything, "a")
    for day in (0, 30):
        on = np.flatnonzero(steps.day == day)
        assert len(on) == 2
        assert steps.dt[on[0]] > 0
        assert steps.dt[on[1]] == 0
        for name in ("ect", "relapse", "at_risk", "lost"):
            assert not getattr(steps, name)[..., on[1]].any()


def test_shares_of_ect_add_up_to_one_index_course(made) -> None:
    everything = made(hdrs17=RATED, ect=ECT)
    for who, sessions in (("a", 5), ("b", 3)):
        steps, _ = lane_of(everything, who)
        index = steps.day <= 0
        assert steps.ect[:, index].sum() == pytest.approx(1)
        assert np.count_nonzero(steps.ect[:, index]) == sessions
        assert set(steps.day[steps.ect.sum(0) > 0]) == {day for day, _ in ECT[who]}
    # Two continuation sessions count as much as a session of the course.
    assert steps.ect[:, steps.day > 0].sum() == pytest.approx(2 / 3)


def test_days_at_risk_are_the_days_of_follow_up(made) -> None:
    everything = made(
        hdrs17={**RATED, "c": [(5, 10), (50, 10)], "d": [(0, 20), (40, 9)]},
        ect={**ECT, "c": [(-8, "RUL"), (0, "RUL")]},
        events={"a": [(117, "dropout", "n/a")], "b": [(60, "relapse", "n/a")], "c": [(20, "hospitalised", "n/a")]},
    )
    # From the end of the course (without ECT from the first record) to the ending event, or else to the last record.
    for who, days, relapse in (("a", 117, None), ("b", 60, 60), ("c", 50, None), ("d", 40, None)):
        steps, i = lane_of(everything, who)
        assert steps.at_risk.sum() == pytest.approx(days)
        assert not steps.at_risk[steps.day < 0].any()
        assert list(steps.day[steps.relapse > 0]) == ([] if relapse is None else [relapse])
        assert bool(everything[0].relapsed[i]) == (relapse is not None)


def test_nobody_is_at_risk_where_the_study_records_no_events(made) -> None:
    steps, _ = lane_of(made(hdrs17=RATED, ect=ECT), "a")
    assert not steps.at_risk.any()
    assert not steps.relapse.any()


def test_records_after_a_relapse_are_not_at_risk(made) -> None:
    steps, _ = lane_of(made(hdrs17=RATED, ect=ECT, events={"a": [(50, "relapse", "n/a")], "b": []}), "a")
    assert steps.day[-1] == 120
    assert steps.at_risk.sum() == pytest.approx(50)
    assert not steps.at_risk[steps.day > 50].any()


MEDICATION = {
    "a": [("venlafaxine", 150, -3, 60), ("venlafaxine", 75, 60, 80), ("lithium", 600, 10, "n/a")],
    "b": [("sertraline", 100, "n/a", 20)],
}


def test_exposure_over_the_steps_is_the_integral_of_exposure(made) -> None:
    everything = made(hdrs17=RATED, ect=ECT, medication=MEDICATION)
    for who in ("a", "b"):
        steps, i = lane_of(everything, who)
        given = medication_of(everything[0], i)
        days = np.arange(steps.day[0], steps.day[-1], 0.01) + 0.005
        total = exposure(given.doses, days, given.levels)[IS_DRUG].sum(0)
        assert (steps.dose.sum(0) * steps.dt).sum() == pytest.approx(total.sum() * 0.01, abs=2e-3)
        ends = np.flatnonzero(steps.dt > 0)
        for k in ends[:: max(1, len(ends) // 12)]:
            inside = (days > steps.day[k] - steps.dt[k]) & (days < steps.day[k])
            assert steps.dose[:, k].sum() == pytest.approx(total[inside].mean(), abs=5e-3)


def test_exposure_lost_is_what_was_there_before(made) -> None:
    steps, i = lane_of(everything := made(hdrs17=RATED, ect=ECT, medication={"b": MEDICATION["b"], "a": []}), "b")
    given = medication_of(everything[0], i)
    start, end = (exposure(given.doses, np.array([day]), given.levels)[IS_DRUG].sum() for day in (-10.0, 60.0))
    assert start == pytest.approx(1)
    assert steps.lost.sum() == pytest.approx(start - end, abs=1e-6)
    assert not steps.lost[steps.day <= 20].any()


def test_serum_levels_scale_exposure(made) -> None:
    lithium = {"a": [("lithium", 600, -300, "n/a")], "b": []}
    levels = {"a": [(5, "lithium", 1.6, "mmol/L")]}
    plain = medication_of(made(hdrs17=RATED, medication=lithium)[0], 0)
    assert plain.levels.drug == ()
    total = exposure(plain.doses, np.array([50.0]))[IS_DRUG].sum()
    steps, _ = lane_of(made(hdrs17=RATED, medication=lithium, labs=levels), "a")
    assert abs(steps.dose[:, -1].sum() - total) > 0.2


def test_stressors_are_the_last_value_in_the_cohorts_own_scale(made) -> None:
    crp = {"a": [(-20, "crp", 1.0, "mg/L"), (10, "crp", 8.0, "mg/L")], "b": [(0, "crp", 2.0, "mg/L")]}
    sleep = {"a": [(20, "tst_h", 5.0)], "b": [(0, "tst_h", 7.0)]}
    everything = made(hdrs17=RATED, ect=ECT, labs=crp, sleep=sleep)
    steps, _ = lane_of(everything, "a")
    middle = np.log(2.0)
    before, between, after = (steps.day <= 10) & (steps.dt > 0), (steps.day > 10) & (steps.day <= 20), steps.day > 20
    moving = steps.dt > 0
    assert np.allclose(steps.stress[0, before], np.log(1.0) - middle)
    assert np.allclose(steps.stress[0, moving & ~before], np.log(8.0) - middle)
    assert np.allclose(steps.stress[1, moving & between], 0)
    assert np.allclose(steps.stress[1, moving & after], 6.0 - 5.0)
    assert everything[2].stress_today[:, 0] == pytest.approx([np.log(8.0) - middle, 1.0])
    steps, _ = lane_of(everything, "b")
    assert np.allclose(steps.stress[:, steps.day <= 0], 0)


def test_one_visit_is_one_step_and_no_visit_is_no_lane(made) -> None:
    everything = made(hdrs17={"a": [(10, 20)], "b": [], "c": RATED["b"]})
    panel, _, line = everything
    assert panel.patients == ("sub-a", "sub-b", "sub-c")
    assert list(line.lanes) == [0, 2]
    steps, _ = lane_of(everything, "a")
    assert list(steps.day) == [10]
    assert list(steps.dt) == [0]
    assert list(steps.observed) == [1]


def test_ratings_of_one_day_are_one(made) -> None:
    everything = made(hdrs17={"a": [(30 + k / 6000, k % 21) for k in range(5000)], "b": [(3.25, 8), (3.5, 10), (9, 7)]})
    panel, indicators, line = everything
    assert list(line.steps) == [1, 2]
    steps, _ = lane_of(everything, "a")
    mean = np.mean([k % 21 for k in range(5000)])
    assert steps.value * indicators.scale[0] + indicators.centre[0] == pytest.approx([mean])
    days, values = panel.symptoms.of(1)
    assert list(zip(days, values, strict=True)) == [(3.375, 9.0), (9.0, 7.0)]


@pytest.mark.parametrize("first", [0.0, 1 / 3, -17.123457, 0.1234565])
def test_weeks_are_shown_wherever_they_start(made, first: float) -> None:
    last = first + 100
    everything = made(hdrs17={"a": [(first, 20), (first + 10.1, 12), (last, 9)]})
    _, _, line = everything
    shown = line.grid.day[report_rows(SimpleNamespace(timeline=line), 0), 0]
    wanted = sorted({*np.arange(first, last, 7), first + 10.1, last})
    assert shown == pytest.approx(wanted, abs=2e-6)


def study_of(tmp_path: Path, people: str, **tables: str) -> Panel:
    """Panel of a study given as text, cells separated by spaces."""
    root = tmp_path / "whole"
    (root / "phenotype").mkdir(parents=True)
    for name, text in {"participants": people, **tables}.items():
        lines = ["\t".join(line.split()) for line in text.strip().splitlines()]
        folder = root if name == "participants" else root / "phenotype"
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    study = read(root)
    assert [p for p in study.problems if p.action != "used"] == []
    return build_panel(study.tables)


WHOLE = {
    "people": """participant_id age diagnosis education_years premorbid_iq prs_mdd
        sub-a 40 mdd 10 90 -1
        sub-b 50 mdd 14 n/a 1
        sub-c 60 bipolar n/a n/a n/a""",
    "hdrs17": """participant_id day total
        sub-a -20 24
        sub-a 100 9
        sub-b -20 30
        sub-b 100 12
        sub-c -20 28
        sub-c 60 20""",
    "ect": """participant_id day placement
        sub-a -3 RUL
        sub-a 0 RUL
        sub-a 40 BT
        sub-b 0 n/a
        sub-c -3 BT
        sub-c 0 RUL""",
    "medication": """participant_id drug dose_mg_day start_day stop_day
        sub-a sertraline 100 -100 n/a
        sub-a psychotherapy 1 5 n/a
        sub-b sertraline 100 0 n/a
        sub-b lithium 600 0 50
        sub-c mirtazapine 0 0 n/a""",
    "events": """participant_id day event detail
        sub-a 100 end_of_followup n/a
        sub-b 80 relapse n/a
        sub-c 60 dropout n/a""",
}


def test_a_design_holds_what_the_study_holds(tmp_path: Path) -> None:
    design = choose_design(study_of(tmp_path, WHOLE["people"], **{k: v for k, v in WHOLE.items() if k != "people"}))
    assert (design.classes, design.class_weight) == (("ssri", "lithium"), pytest.approx((2 / 3, 1 / 3)))
    assert (design.placements, design.placement_weight) == (("RUL", "BT"), pytest.approx((3 / 5, 2 / 5)))
    assert [c.name for c in design.tether] == ["prs_mdd", "diagnosis bipolar"]
    assert [(c.name, c.centre, c.scale) for c in design.risk] == [("age", 50.0, 10.0)]
    assert [c.name for c in design.reserve] == ["education_years"], "one known IQ does not vary"
    assert design.dropout
    assert design.psychotherapy
    names = layout(design).names
    for name in (
        "rho[lithium]",
        "alpha[ssri]",
        "ect_e[BT]",
        "set_point[diagnosis bipolar]",
        "eta_x[age]",
        "lam",
        "hd0",
    ):
        assert name in names


def test_people_sessions_and_events_reach_their_lanes(tmp_path: Path) -> None:
    panel = study_of(tmp_path, WHOLE["people"], **{k: v for k, v in WHOLE.items() if k != "people"})
    made = panel, None, build_timeline(panel, choose_design(panel, breaks=(28.0, 63.0)))
    steps, _ = lane_of(made, "a")
    assert steps.tether == pytest.approx([-1, 0])
    assert steps.risk == pytest.approx([-1.0])
    assert steps.reserve == pytest.approx(-1)
    assert steps.ect[0, steps.day <= 0].sum() == pytest.approx(1)
    assert steps.ect[1, steps.day == 40].sum() == pytest.approx(1 / 2)
    assert steps.held == pytest.approx([1, 0], abs=1e-3)
    talk = steps.stress[2]
    assert not talk[steps.day <= 5].any()
    assert (np.diff(talk[(steps.day > 5) & (steps.dt > 0)]) > 0).all()
    # Days at risk in each period: to day 28, to day 63, to day 100.
    days = [(steps.at_risk * share).sum() for share in steps.period]
    assert days == pytest.approx([35, 37])
    assert steps.at_risk.sum() == pytest.approx(100)
    assert np.isin(steps.period[:, ~np.isin(steps.day, (28, 63))], (0, 1)).all()
    steps, _ = lane_of(made, "b")
    assert steps.ect[0].sum() == 1, "an unknown placement counts as the most common"
    assert steps.tether == pytest.approx([1, 0])
    assert steps.reserve == pytest.approx(1)
    assert list(steps.day[steps.relapse > 0]) == [80]
    assert steps.period[:, steps.relapse > 0].ravel() == pytest.approx([0, 1])
    steps, _ = lane_of(made, "c")
    assert steps.tether == pytest.approx([0, 1]), "an unknown score counts as the mean"
    assert list(steps.day[steps.dropout > 0]) == [60]
    assert not steps.relapse.any()
    assert not steps.dose.any()


def test_an_outlook_keeps_therapy_and_moves_into_later_periods(tmp_path: Path) -> None:
    panel = study_of(tmp_path, WHOLE["people"], **{k: v for k, v in WHOLE.items() if k != "people"})
    line = build_timeline(panel, choose_design(panel, breaks=(28.0, 103.0)))
    edges = np.array([0.0, 2.0, 6.0, 20.0])
    given = np.zeros((len(CLASSES), 3, 3))
    given[CLASSES.index("lithium")], given[CLASSES.index("psychotherapy")] = 0.5, 0.8
    ahead = look_ahead(line, given, edges)
    assert ahead.dose[:, 0, 0] == pytest.approx([0, 0.5])
    assert ahead.stress[2] == pytest.approx(np.full((3, 3), 0.8))
    # Patient a is at day 100: the last period begins three days on.
    assert pytest.approx(np.array([[1, 0], [0.25, 0.75], [0, 1]])) == ahead.period[:, :, 0].T
    # Patient c is at day 60.
    assert pytest.approx(np.array([[1, 0]] * 3)) == ahead.period[:, :, 2].T
    assert ahead.tether == pytest.approx(line.grid.tether[:, :3])
