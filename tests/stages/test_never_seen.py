"""A drug class that the fitted population never saw would count as no drug: whoever takes it gets no forecast and no advice, from `update` and in the app."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from remanent.app.answer import Lane, answers_of
from remanent.app.shelf import Shelf
from remanent.plan.decide import shipped_thresholds
from remanent.plan.parse import parse_plans
from remanent.plan.plans import TAPER
from remanent.report.pages import render_patient
from remanent.stages.analyse import Results
from remanent.stages.courses import with_plans
from remanent.stages.live import Base, load_base, one_patient, view_of
from remanent.stages.population import never_seen
from remanent.study.panel import Doses
from remanent.study.store import Record
from remanent.treatment.drugs import CLASSES
from small import Ran

WORDS = "takes phenelzine, which this population has never seen"


@pytest.fixture(scope="module")
def record(ran: Ran) -> Iterator[Record]:
    with Record.open(ran.out, create=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def base(ran: Ran, record: Record) -> Base:
    return load_base(record, ran.out)


@pytest.fixture(scope="module")
def who(results: Results) -> str:
    """A patient whose forecasts are shown."""
    shown = results.outcome.informed["continue"] & results.outcome.informed["taper"] & ~results.gone
    return results.panel.patients[results.timeline.lanes[np.flatnonzero(shown)[0]]]


def switched(base: Base, who: str) -> Base:
    """The patient's drugs end a month ago, and a drug of a new class is taken from then on."""
    panel = base.panel
    i = panel.patients.index(who)
    day, old, at = panel.last_day[i] - 28, panel.doses, int(np.searchsorted(panel.doses.patient, i, "right"))
    stop = np.where((old.patient == i) & (old.stop_day > day), np.maximum(day, old.start_day), old.stop_day)
    row = {"patient": i, "drug": "phenelzine", "dose_mg_day": 60.0, "start_day": day, "stop_day": np.inf}
    columns = {**vars(old), "stop_day": stop}
    doses = Doses(**{name: np.insert(columns[name], at, value) for name, value in row.items()})
    return replace(base, panel=replace(panel, doses=doses))


def test_nobody_of_the_study_itself_takes_what_the_fit_never_saw(results: Results) -> None:
    assert set(results.never_seen) == {""}


def test_who_takes_a_new_class_gets_no_forecast_and_no_advice(ran: Ran, record: Record, base: Base, who: str) -> None:
    assert one_patient(base, who).results.outcome.informed["taper"][0]
    changed = switched(base, who)
    one = one_patient(changed, who, anew=True)
    (advice,) = one.results.advice
    assert advice.code == "not_enough_data"
    assert WORDS in advice.reasons[0]
    assert not any(informed.any() for informed in one.results.outcome.informed.values())
    planned, _ = with_plans(one.results, parse_plans({"slower": [{"taper": {"weeks": 30}}]}))
    assert not planned.outcome.informed["slower"].any()

    view, row = view_of(changed, one, Shelf(ran.out, record).view(who))
    assert row.advice == "not_enough_data"
    assert row.relapse == {}
    assert f"This patient {WORDS}" in render_patient(view)

    (answer,) = answers_of(Lane(one), [TAPER], shipped_thresholds())
    assert f"This patient {WORDS}" in answer.unsaid
    assert answer.advice.code == "not_enough_data"
    assert not answer.table.rows or "%" not in str(answer.chart)


def test_ect_that_the_population_never_had_counts_too(results: Results) -> None:
    design = replace(results.design, placements=(), placement_weight=())
    nothing, doses = np.zeros((len(CLASSES), 3)), one_dose()
    assert never_seen(design, doses, nothing, ect=False) == ""
    assert "had ECT, which this population has never seen" in never_seen(design, doses, nothing, ect=True)


def one_dose():
    from remanent.treatment.exposure import DoseHistory

    return DoseHistory((), np.zeros(0), np.zeros(0), np.zeros(0))
