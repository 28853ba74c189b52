"""How long a page takes, beside matplotlib drawing as many empty panels with its own defaults."""

from io import StringIO

import pytest
from matplotlib.figure import Figure

from remanent.report.pages import render_index, render_patient

pytestmark = pytest.mark.benchmark
PANELS = 19  # of the rich patient's five figures


def empty_panels() -> str:
    figure, target = Figure(figsize=(9.6, 20)), StringIO()
    for axis in figure.subplots(PANELS):
        axis.plot([0, 1, 2], [1, 0, 2], "o-")
    figure.savefig(target, format="svg")
    return target.getvalue()


def test_patient_page(benchmark, make_patient):
    view = make_patient()
    assert len(benchmark(render_patient, view)) > 10_000


def test_patient_page_with_almost_nothing(benchmark, make_bare):
    view = make_bare()
    assert len(benchmark(render_patient, view)) > 10_000


def test_index_of_400(benchmark, make_cohort):
    view = make_cohort(400)
    assert len(benchmark(render_index, view)) > 10_000


def test_matplotlib_as_many_panels(benchmark):
    assert len(benchmark(empty_panels)) > 10_000
