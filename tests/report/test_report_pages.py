"""Pages: valid, self-contained, escaped, honest about what only the prior says."""

import dataclasses
import itertools
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from remanent._errors import Problem
from remanent.report.checks import Calibration
from remanent.report.data_tables import problem_table
from remanent.report.pages import page_name, render_index, render_patient
from remanent.report.views import Basis, CohortRow, CohortView, FitStatus, Interval, PatientView, Timeline
from valid_html import check_html

VOID = {"meta", "link", "br", "hr", "img", "input", "path", "use", "rect"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}{% raw %}&amp;=HYPERLINK(1)$x$"


class Page(HTMLParser):
    """Read a page strictly: tags must close in order. Keeps elements (tag, attributes, ancestors) and text by ancestor."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.children: dict[int, list[int]] = {}
        self.text: dict[str, list[str]] = {}
        self._open: list[tuple[str, int]] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"doubled attribute in <{tag}>"
        index = len(self.elements)
        self.elements.append((tag, dict(attrs)))
        for _, parent in self._open:
            self.children.setdefault(parent, []).append(index)
        if tag not in VOID:
            self._open.append((tag, index))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        opened, _ = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data):
        for tag, _ in self._open:
            self.text.setdefault(tag, []).append(data)

    def inside(self, outer: str) -> list[list[tuple[str, dict[str, str | None]]]]:
        """Return, for each `outer` element, what it holds."""
        return [
            [self.elements[k] for k in self.children.get(i, [])]
            for i, (tag, _) in enumerate(self.elements)
            if tag == outer
        ]

    def all_text(self, tag: str = "body") -> str:
        return " ".join("".join(self.text.get(tag, [])).split())


@pytest.fixture(scope="module")
def pages(make_patient, make_bare, make_cohort):
    empty = PatientView("sub-empty")
    return {
        "rich": render_patient(make_patient()),
        "bare": render_patient(make_bare()),
        "empty": render_patient(empty),
        "index": render_index(make_cohort()),
        "empty index": render_index(CohortView()),
        "one row": render_index(CohortView(rows=(CohortRow("sub-1"),))),
    }


def test_pages_are_well_formed_and_accessible(pages):
    for name, text in pages.items():
        page = Page(text)
        attributes = [attrs for _, attrs in page.elements]
        ids = [attrs["id"] for attrs in attributes if "id" in attrs]
        assert len(ids) == len(set(ids)), name
        for attrs in attributes:
            for key in ("aria-labelledby", "for"):
                assert all(target in ids for target in (attrs.get(key) or "").split()), (name, attrs)
            href = attrs.get("href") or ""
            assert not href.startswith("#") or href[1:] in ids, (name, href)
        tags = [tag for tag, _ in page.elements]
        for once in ("html", "title", "main", "header", "footer", "h1"):
            assert tags.count(once) - (len(page.inside("svg")) if once == "title" else 0) == 1, (name, once)
        assert ("html", {"lang": "en"}) in page.elements
        assert page.elements[tags.index("a")][1] == {"class": "skip", "href": "#main"}
        levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), (name, levels)


def test_pages_are_valid_html(pages):
    for text in pages.values():
        check_html(text)


def test_every_table_has_a_caption_and_scoped_heads(pages):
    for name, text in pages.items():
        for table in Page(text).inside("table"):
            tags = [tag for tag, _ in table]
            assert tags[0] == "caption", name
            assert all(attrs.get("scope") in {"col", "row", "rowgroup"} for tag, attrs in table if tag == "th"), name


def test_every_figure_has_a_caption_words_and_a_name_for_screen_readers(pages):
    assert len(Page(pages["rich"]).inside("figure")) == 5
    assert len(Page(pages["index"]).inside("figure")) == 5
    for name, text in pages.items():
        page = Page(text)
        assert page.all_text().count("In words:") == len(page.inside("figure"))
        for figure in page.inside("figure"):
            tags = [tag for tag, _ in figure]
            assert {"svg", "title", "desc", "figcaption"} <= set(tags), name
            svg = next(attrs for tag, attrs in figure if tag == "svg")
            assert svg["role"] == "img"
        assert all(description.strip() for description in page.text.get("desc", [])), name


def test_pages_load_nothing_and_run_nothing(pages):
    for text in pages.values():
        page = Page(text)
        tags = {tag for tag, _ in page.elements}
        assert not tags & {
            "script",
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "form",
            "input",
            "base",
            "foreignobject",
        }
        for _, attrs in page.elements:
            assert not any(key.startswith("on") or key in {"src", "srcset", "action", "data"} for key in attrs)
            target = attrs.get("href") or "#"
            assert target.startswith("#") or re.fullmatch(r"index\.html|\./[\w%.~-]+\.html", target)
        policy = next(attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv"))
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "@import" not in text
        assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"url\((?!#)", text)


def test_pages_say_what_they_are_and_show_no_date(pages):
    for text in pages.values():
        body = Page(text).all_text()
        assert "Research use only. Not a medical device." in body
        assert not re.search(r"\b(19|20)\d\d-\d\d-\d\d\b", body)


def test_pages_are_small(pages, make_cohort):
    assert len(pages["rich"].encode()) < 300_000
    assert len(pages["index"].encode()) < 300_000
    assert len(render_index(make_cohort(400)).encode()) < 2_000_000


def test_the_top_of_the_page_answers(pages):
    rich, bare = Page(pages["rich"]).all_text("section"), Page(pages["bare"]).all_text("section")
    assert (
        rich.index("Hold: keep the medication as it is")
        < rich.index("Structure still rises")
        < rich.index("The course so far")
    )
    assert "12 % (7 to 19 %)" in rich[: rich.index("The course so far")]
    assert (
        bare.index("Not enough data to advise") < bare.index("Nothing was ever given") < bare.index("The course so far")
    )
    assert "These data cannot say." in bare[: bare.index("The course so far")]


# ---------------------------------------------------------------------------------------------------- honesty


def with_basis(view: PatientView, basis: Basis, *, identifiable: bool) -> PatientView:
    return dataclasses.replace(
        view,
        states=dataclasses.replace(view.states, basis=basis),
        remanence=dataclasses.replace(view.remanence, basis=basis),
        forecasts=dataclasses.replace(view.forecasts, basis=basis),
        mechanisms=dataclasses.replace(view.mechanisms, identifiable=identifiable),
    )


def model_numbers(view: PatientView) -> list[str]:
    """Return the numbers only the model could have produced, as the page writes them."""
    shown = [f"{100 * p:.0f} %" for p in view.mechanisms.probability if p > 0.05]
    for part in (*view.remanence.remanence, *view.remanence.hold):
        shown += [f"({part.lower:.2f} to {part.upper:.2f})", f"({100 * part.lower:.0f} to {100 * part.upper:.0f} %)"]
    for plan in view.forecasts.plans:
        at = list(plan.horizon_days).index(182)
        shown.append(f"({100 * plan.lower[at]:.0f} to {100 * plan.upper[at]:.0f} %)")
    return shown


def test_what_only_the_prior_says_is_said_in_words_and_no_number(make_patient):
    view = dataclasses.replace(
        make_patient(), advice=dataclasses.replace(make_patient().advice, reasons=(), error_rates="")
    )
    seen = Page(render_patient(view)).all_text()
    assert sum(number in seen for number in model_numbers(view)) > 10, "the check below must be able to fail"
    muted = Page(render_patient(with_basis(view, Basis("prior", "no dose change was seen"), identifiable=False)))
    for number in model_numbers(view):
        assert number not in muted.all_text()
    assert muted.all_text().count("These data cannot say.") == 5
    assert "the model puts function at" not in muted.all_text()
    assert len(muted.inside("figure")) == 2  # the course and the features, as observed


def test_a_command_in_a_reason_stays_on_one_line_and_is_text(make_cohort):
    said = "it needs 'remanent run --rivals' <b>"
    page = render_index(dataclasses.replace(make_cohort(), calibration=Calibration(unsaid=said)))
    assert "<code>remanent run --rivals</code> &lt;b&gt;" in page


def test_plans_of_ones_own_stand_in_tables_of_their_own(make_cohort):
    cohort = make_cohort()
    own = {f"plan {k}": interval for k, interval in enumerate([Interval(0.31, 0.2, 0.4)] * 5)}
    rows = tuple(dataclasses.replace(r, relapse={**r.relapse, **own}) if r.relapse else r for r in cohort.rows)
    page = render_index(dataclasses.replace(cohort, rows=rows))
    first, second, third = re.findall(r"<table.*?</table>", page, re.DOTALL)[:3]
    assert "plan 0" not in first
    assert "Relapse: stop" in first
    heads = [re.findall(r'<th scope="col">(plan \d)</th>', one) for one in (second, third)]
    assert heads == [["plan 0", "plan 1", "plan 2"], ["plan 3", "plan 4"]]
    assert second.count("31\u00a0%") == 3 * sum(bool(r.relapse) for r in rows)
    assert "plans of your own" not in render_index(cohort)


def test_forecasts_that_were_off_are_said_to_be_beside_them(make_patient, make_cohort):
    cohort = make_cohort()
    page = render_index(cohort)
    assert "were too low" not in page
    curves = tuple(dataclasses.replace(c, in_the_large=(0.17, 0.04, 0.3)) for c in cohort.calibration.curves)
    off = dataclasses.replace(cohort, calibration=dataclasses.replace(cohort.calibration, curves=curves))
    page = render_index(off).replace("\u00a0", " ")
    assert page.index("were too low") < page.index('<table class="patients')
    assert "17 percentage points (4 to 30)" in page
    assert "Forecasts were too low" in render_patient(
        dataclasses.replace(make_patient(), caution="forecasts were too low")
    )


def test_a_fit_that_did_not_converge_shows_an_alarm_and_no_finding(make_patient, make_cohort):
    view = dataclasses.replace(
        make_patient(),
        fit=FitStatus(False, "the gradient is 12 after 2000 iterations"),
        advice=dataclasses.replace(make_patient().advice, reasons=(), error_rates=""),
    )
    text = Page(render_patient(view)).all_text()
    assert "The fit did not converge. The gradient is 12 after 2000 iterations." in text
    assert "Not enough data to advise" in text
    assert "Hold: keep the medication" not in text
    for number in model_numbers(view):
        assert number not in text
    cohort = dataclasses.replace(make_cohort(), fit=view.fit)
    index = Page(render_index(cohort))
    assert "The fit did not converge." in index.all_text()
    assert len(index.inside("figure")) == 2, "follow-up and sites, which rest on no model"
    kept = sum(row.advice in {"act", "treat_first"} for row in cohort.rows)
    assert f"({len(cohort.rows) - kept})" in index.all_text()
    assert "Ready to taper (" not in index.all_text()
    assert "12 % (5 to 26 %)" not in index.all_text()
    assert "12 % (5 to 26 %)" in Page(render_index(make_cohort())).all_text()


def test_the_index_counts_everybody_once(make_cohort):
    cohort = make_cohort(40)
    text = render_index(cohort)
    page = Page(text)
    for row in cohort.rows:
        assert text.count(f'href="./{row.participant_id}.html"') == 1
    for code in ("act", "treat_first", "taper", "hold", "not_enough_data"):
        n = sum(row.advice == code for row in cohort.rows)
        assert re.search(rf'class="{code}">(<a [^>]*>)?<b>{n}</b>', text), code
    assert "40 patients" in page.all_text()
    assert "Rows, columns or files: 3 set aside and 1 used with a doubt." in page.all_text()


def test_rows_that_share_a_problem_share_a_line(make_bare):
    problems = tuple(Problem("phenotype/madrs.tsv", row, "total", "not a number", "set_aside") for row in range(2, 12))
    text = Page(render_patient(dataclasses.replace(make_bare(), problems=problems))).all_text()
    assert text.count("not a number") == 1
    assert "2, 3, 4, 5, 6 and 5 more" in text


def test_a_long_table_says_what_it_left_out(make_bare):
    problems = tuple(Problem(f"file-{k}.tsv", 2, "x", "bad", "refused") for k in range(450))
    text = Page(render_patient(dataclasses.replace(make_bare(), problems=problems))).all_text()
    assert "50 more rows" in text


# ---------------------------------------------------------------------------------------------------- hostile text, missing parts


def hostile(value: object, key: str = "") -> object:
    """Return the same view with hostile text in every text field, at every depth."""
    if isinstance(value, str):
        return value if key in {"code", "advice", "action", "rests_on", "plan"} else HOSTILE
    if isinstance(value, tuple):
        return tuple(hostile(v, key) for v in value)
    if isinstance(value, dict):
        return {k if key == "visits" else HOSTILE: hostile(v) for k, v in value.items()}
    if dataclasses.is_dataclass(value):
        made = {f.name: hostile(getattr(value, f.name), f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **made)
    return value


def test_hostile_text_in_every_field_stays_text(make_patient, make_cohort):
    for text in (render_patient(hostile(make_patient())), render_index(hostile(make_cohort(3)))):
        page = Page(text)
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"script", "img"}
        assert not any(key.startswith("on") for _, attrs in page.elements for key in attrs)
        assert text.count("&lt;script&gt;alert(1)") > 20
        assert "<script>alert" in page.all_text("main")
        assert "<script>aler" in page.all_text("svg")
        assert "{{7*7}}" in page.all_text("main")
        assert "49{%" not in text


@pytest.mark.parametrize("name", ["../../etc/passwd", "javascript:alert(1)", 'a"onclick="x', "sub 01/é"])
def test_a_page_name_cannot_leave_its_folder(name):
    assert re.fullmatch(r"[\w.~%-]+\.html", page_name(name))
    assert "/" not in page_name(name)
    assert ":" not in page_name(name)


@pytest.mark.parametrize(
    "missing",
    [
        {"timeline", "advice", "modalities"},
        {"states", "provenance", "study"},
        {"indicators", "fit", "flags"},
        {"forecasts", "remanence", "mechanisms", "problems"},
    ],
)
def test_parts_may_be_missing(make_patient, missing):
    empty = PatientView("sub-01")
    Page(render_patient(dataclasses.replace(make_patient(), **{name: getattr(empty, name) for name in missing})))


def test_missing_numbers_read_as_missing(make_patient):
    view = make_patient()
    plans = tuple(
        dataclasses.replace(p, mean=p.mean * np.nan, lower=p.lower * np.nan, upper=p.upper * np.nan)
        for p in view.forecasts.plans
    )
    changed = dataclasses.replace(view, timeline=Timeline(), forecasts=dataclasses.replace(view.forecasts, plans=plans))
    text = Page(render_patient(changed)).all_text()
    assert "n/a (n/a to n/a)" in text
    assert not re.search(r"\bnan\b", text)


def test_what_was_set_aside_is_listed_file_by_file_and_row_by_row():
    rows = ((24, "participant_id"), (20, "total"), (3, "unit"))
    problems = [Problem("phenotype/madrs.tsv", row, column, f"row {row}", "set_aside") for row, column in rows]
    refused = Problem("phenotype/labs.tsv", 1, "patient_name", "looks like a name", "refused")
    found = problem_table([*problems, refused])
    assert found.rows[0][:2] == ("phenotype/labs.tsv", "1"), "what was refused comes first"
    assert [row[1] for row in found.rows[1:]] == ["3", "20", "24"]
