"""What is read back is what was written, and draws the same page."""

import dataclasses

import numpy as np
import pytest

from remanent._errors import InputError
from remanent.report.pages import render_index, render_patient
from remanent.report.saved import from_json, to_json


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and np.isnan(a):
        return isinstance(b, float) and np.isnan(b)
    if hasattr(a, "items"):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return a == b


@pytest.mark.parametrize("kind", ["make_patient", "make_bare", "make_cohort"])
def test_a_view_comes_back_whole(kind, request):
    view = request.getfixturevalue(kind)()
    back = from_json(to_json(view))
    assert same(view, back)
    assert not same(view, dataclasses.replace(back, study="another"))
    assert to_json(back) == to_json(view)
    render = render_index if kind == "make_cohort" else render_patient
    assert render(back) == render(view)


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"[]x", b'{"view": "os"}', b'{"view": "Advice", "colour": 1}', b'{"a": 1}']
)
def test_what_is_no_view_is_refused(broken):
    with pytest.raises(InputError, match=r"holds no result.*remanent update"):
        from_json(broken, "views/sub-01.json")
