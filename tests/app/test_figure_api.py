"""`remanent.load` and `remanent.plot_*`: matplotlib figures of what the pages show."""

import json
import re
import subprocess
import sys

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import remanent
from remanent._errors import InputError, UsageError


def text_of(figure: Figure) -> str:
    figure.draw_without_rendering()
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_importing_the_package_imports_no_matplotlib():
    code = "import sys, remanent; dir(remanent); print('matplotlib' in sys.modules); remanent.load; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_names_that_are_promised_exist_and_others_do_not():
    promised = [name for name in dir(remanent) if not name.startswith("_")]
    assert len(promised) == 10
    assert all(callable(getattr(remanent, name)) for name in promised)
    with pytest.raises(AttributeError, match="plot_nothing"):
        remanent.plot_nothing  # noqa: B018


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timeline", "MADRS"),
        ("states", "structure"),
        ("forecast", "equal steps of effect"),
        ("remanence", "Remanence"),
        ("features", "wk"),
        ("mechanisms", "prior"),
    ],
)
def test_a_patients_figure_holds_what_it_is_about(light, name, words, tmp_path):
    results = remanent.load(light)
    figure = getattr(remanent, f"plot_{name}")(results, results.participants[0])
    assert isinstance(figure, Figure)
    assert words in text_of(figure)
    figure.savefig(tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["follow_up", "holds", "mechanisms"])
def test_a_cohorts_figure_names_its_people(light, name):
    results = remanent.load(str(light))
    shown = text_of(getattr(remanent, f"plot_{name}")(results))
    assert ("prior" if name == "mechanisms" else results.participants[1]) in shown


def test_what_data_do_not_inform_is_said_and_not_drawn(light):
    results = remanent.load(light)
    bare = results.participants[4]
    for name in ("states", "forecast", "remanence"):
        assert re.search("Not given|cannot say", text_of(getattr(remanent, f"plot_{name}")(results, bare)))


def test_a_participant_is_found_with_or_without_prefix_and_no_other_file_is_read(light):
    results = remanent.load(light)
    who = results.participants[0]
    assert results.patient(who.removeprefix("sub-")).participant_id == who
    for other in ("nobody", "../cohort", "sub-../../dataset_description"):
        with pytest.raises(UsageError, match="no such participant"):
            results.patient(other)


def test_a_folder_without_results_is_refused(tmp_path, light):
    with pytest.raises(InputError, match="remanent run"):
        remanent.load(tmp_path)
    description = json.loads((light / "dataset_description.json").read_text())
    (tmp_path / "dataset_description.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match="remanent update"):
        remanent.load(tmp_path)
