"""docs/treatment.md: the table is current, the example runs, the numbers in the text hold."""

import re
import runpy
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "treatment.md").read_text(encoding="utf-8")


def test_the_generated_part_is_current():
    updated = runpy.run_path(str(ROOT / "tools" / "drug_table.py"))["updated"]
    assert updated(PAGE) == PAGE, "docs/treatment.md is out of date: run .venv/bin/python tools/drug_table.py"


def test_the_example_runs(tmp_path):
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL).group(1)
    script = tmp_path / "example.py"
    script.write_text(example.replace("mean_exposure(plan,", "mean = mean_exposure(plan,"), encoding="utf-8")
    names = runpy.run_path(str(script))
    assert names["mean"].shape == (10, names["cuts"].size + 1)
    assert np.diff(names["mean"], axis=1).max() <= 1e-9
