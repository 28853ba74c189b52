"""The methods page keeps what it is given, equations line by line, and escapes it."""

from remanent.report.methods import MethodsView, Sourced, render_methods
from valid_html import check_html


def test_equations_keep_their_lines_and_text_is_escaped() -> None:
    view = MethodsView(
        study="A <b>study</b>",
        equations="df = -k (f - s) dt\nds = c (f < s) dt",
        priors=(Sourced("k", "1 ± 2", "1/day", "assumed", "a <i>reason</i>"),),
    )
    page = render_methods(view)
    check_html(page)
    assert "df = -k (f - s) dt\nds = c (f &lt; s) dt" in page
    assert "<b>study</b>" not in page
    assert "<i>reason</i>" not in page
    assert "Of 1 numbers and choices below: 1 assumed." in page
