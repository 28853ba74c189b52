"""One patient's what-if as the app computes it, four plans one by one, a thousand draws, a year, warm: at most 100 ms when idle; and the general recursion."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "plan"))

from test_what_if import LINE, PERSON, ensemble_of

from remanent.dynamics.grid import look_ahead
from remanent.plan.parse import parse_plan_text
from remanent.plan.plans import CONTINUE, STOP, TAPER
from remanent.plan.simulate import planned_exposure, what_if
from remanent.relapse.predict import EDGES_DAYS, kept, roll

pytestmark = pytest.mark.benchmark(group="what if: 4 plans x 1,000 draws x 1 year")

PLANS = (CONTINUE, TAPER, STOP, parse_plan_text("own: taper weeks=24; stress sleep_hours_lost=2 from_day=14"))
ENSEMBLE = ensemble_of(draws=250)


def test_what_if(benchmark):
    what_if(ENSEMBLE, LINE, PERSON, PLANS)
    found = benchmark.pedantic(lambda: what_if(ENSEMBLE, LINE, PERSON, PLANS), rounds=10, iterations=1)
    assert found.relapse.mean.shape == (EDGES_DAYS.size - 1, 4)


@pytest.mark.parametrize("way", [roll, kept], ids=["general", "without dropout"])
def test_recursion(benchmark, way):
    dose = planned_exposure(TAPER.applied, [PERSON.given] * 4, np.full(4, 200.0), EDGES_DAYS)
    four = np.zeros(4, int)
    line = replace(
        LINE,
        lanes=four,
        today=LINE.today[four],
        held=LINE.held[:, four],
        stress_today=LINE.stress_today[:, four],
        grid=LINE.grid._replace(**{k: getattr(LINE.grid, k)[..., four] for k in ("held", "tether", "risk")}),
    )
    many = replace(
        ENSEMBLE,
        today=tuple(t.of(four) for t in ENSEMBLE.today),
        weight=ENSEMBLE.weight[four],
    )
    outlook = look_ahead(line, dose, EDGES_DAYS)
    way(many, outlook)
    found = benchmark.pedantic(lambda: way(many, outlook), rounds=5, iterations=1)
    assert np.isfinite(found[0].survival).all()
