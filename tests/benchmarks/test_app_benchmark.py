"""How fast the app answers with a list of 400 patients; `tools/validate_pages.py` times browsers, and ten people at once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))

from client import opened, serving
from light import write_light

pytestmark = pytest.mark.benchmark


def test_a_list_of_400_patients(tmp_path, benchmark):
    with serving(write_light(tmp_path, 400)) as (gate, _):
        client = opened(gate)
        page = benchmark(client.get, "/")
    assert page.text.count("/patients/sub-") >= 400
