"""Every page over made-up results: what it shows, filters and order, text from studies escaped, what is taken noted."""

import html
import re
import shutil

import numpy as np
import pytest
from client import as_user, csrf, opened, proxied, serving
from light import write_light

from remanent._errors import Problem
from remanent.app import evidence
from remanent.app.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Curve, relapse_chart
from remanent.app.listing import Choice, chosen
from remanent.app.settings import User
from remanent.app.shelf import Person
from remanent.plan.decide import shipped_thresholds
from remanent.report.saved import from_json, to_json
from remanent.report.views import CohortRow, Interval
from remanent.stages.publish import view_name
from remanent.study.record.entry import version
from remanent.study.schema import INSTRUMENTS
from remanent.study.store import Record
from valid_html import check_html

SCRIPT = '<script>alert(1)</script><img src=x onerror="alert(2)">'
FORMULA = "=HYPERLINK(1)"


@pytest.fixture(scope="module")
def served(light):
    with serving(light) as (gate, record):
        yield opened(gate), record, gate


@pytest.fixture
def own(tmp_path):
    """An app over results that may be changed."""
    with serving(write_light(tmp_path, 3)) as (gate, record):
        yield opened(gate), record, gate


def people(gate) -> tuple[str, ...]:
    return gate.app.state.desk.shelf.results.participants


def fields(record, who, **cells: str) -> dict[str, str]:
    """What the form sends for a rating."""
    given = {"cell_day": "91", "cell_instrument": "madrs", "cell_value": "9"} | cells
    return {"table": "symptoms", "version": version(record.held(who)), "reason": "visit five", **given}


def row(name: str, advice: str = "hold", mean: float | None = 0.3, today: float = 10.0, ratings: int = 2) -> Person:
    relapse = {} if mean is None else {"continue": Interval(mean, 0.1, 0.5)}
    return Person(CohortRow(name, advice, "", today, {"symptom visits": ratings}, {}, None, relapse), "north", "MDD")


def test_filters_and_order_of_the_list():
    three = [row("sub-b", "hold", 0.3), row("sub-a", "act", None), row("sub-c", "taper", 0.1, ratings=0)]

    def names(choice):
        return [p.row.participant_id for p in chosen(three, choice)]

    assert names(Choice()) == ["sub-a", "sub-c", "sub-b"], "most urgent first"
    assert names(Choice(sort="participant", down=True)) == ["sub-c", "sub-b", "sub-a"]
    assert names(Choice(sort="relapse")) == ["sub-c", "sub-b", "sub-a"]
    assert names(Choice(sort="relapse", down=True)) == ["sub-b", "sub-c", "sub-a"], "unknown comes last either way"
    assert names(Choice(advice="hold")) == ["sub-b"]
    assert names(Choice(kinds=1)) == ["sub-a", "sub-b"]
    assert names(Choice(find="-B")) == ["sub-b"]
    assert names(Choice(site="south")) == []


def test_the_list_filters_on_the_server_and_says_how_many(served):
    client, _, gate = served
    page = client.get("/").text
    assert all(who in page for who in people(gate))
    north = client.get("/", params={"site": "north"}, headers={"hx-request": "true"}).text
    assert "3 of 6 participants" in north
    assert "<html" not in north
    assert people(gate)[1] not in north
    assert "Nobody passes these filters" in client.get("/", params={"find": "zzz"}).text
    assert 'aria-sort="descending"' in client.get("/", params={"sort": "hold", "down": "true"}).text


def test_a_patients_page_is_the_reports_in_the_apps_frame(served):
    client, _, gate = served
    text = client.get(f"/patients/{people(gate)[0]}").text
    for words in (
        "The course so far",
        "If medication is continued, tapered or stopped",
        "What was set aside, and why",
        "In words:",
        "Enter a visit",
    ):
        assert words in text
    assert text.count("<svg") >= 5
    assert client.get("/patients/sub-nobody").status_code == 404


def test_before_the_model_is_warm_what_if_says_so(served):
    client, _, gate = served
    who = people(gate)[0]
    assert "not started" in client.get(f"/patients/{who}/whatif").text
    assert client.get(f"/patients/{who}/whatif/answer", params={"weeks": 60}).status_code == 422
    assert client.get(f"/patients/{who}/whatif/answer", params={"action": "pray"}).status_code == 422
    assert client.get(f"/patients/{who}/whatif/answer", params={"weeks": "nan"}).status_code == 422


def test_an_entry_is_stored_shown_and_audited_by_name_without_the_patients_id(own):
    client, record, gate = own
    who = people(gate)[0]
    answer = client.post(f"/patients/{who}/enter", data=fields(record, who), headers=csrf(client))
    assert answer.status_code == 200
    assert "Stored" in answer.text
    page = client.get(f"/patients/{who}/enter").text
    assert "entered in the app" in page
    assert "Visit five" in page
    entries = record.last_audit(50)
    assert [(one.who, one.action) for one in entries if one.action == "enter"] == [("app:local", "enter")]
    assert {one.action for one in entries} >= {"view", "enter"}
    assert who not in str(entries)
    assert record.verify() == []


def test_the_form_speaks_to_who_types_and_lists_the_newest_row_first(own):
    client, record, gate = own
    who = people(gate)[0]
    page = client.get(f"/patients/{who}/enter").text.replace("\u00a0", " ")
    assert "(day)" not in page
    assert "Score (points)" in page
    assert "Last record: day " in page
    assert "`" not in page
    assert [int(day) for day in re.findall(r"<tr><td>(\d+)</td>", page)] == [56, 28, 0]
    drugs = client.get(f"/patients/{who}/enter?table=medication").text
    assert "<td>ongoing</td>" in drugs
    assert "empty: ongoing" in drugs
    sent = fields(record, who, cell_value="61")
    refused = client.post(f"/patients/{who}/enter", data=sent, headers=csrf(client)).text
    assert '<a href="#cell_value">Score</a>' in refused


def test_the_list_says_diagnoses_and_advice_shortly(served):
    client, _, _ = served
    page = client.get("/").text
    assert '<span class="badge hold">Hold</span>' in page
    assert "<td>MDD</td>" in page
    assert '<option value="hold">Hold: keep the medication as it is</option>' in page


def test_nothing_is_stored_without_a_reason_or_with_a_value_that_cannot_be(own):
    client, record, gate = own
    who, headers = people(gate)[0], csrf(client)
    before = len(record.held(who))
    for changes in (
        {"reason": ""},
        {"reason": "x"},
        {"cell_value": "61"},
        {"cell_day": "tomorrow"},
        {"table": "participants"},
        {"row": "999999"},
    ):
        answer = client.post(f"/patients/{who}/enter", data=fields(record, who) | changes, headers=headers)
        assert answer.status_code in {404, 422}, changes
    assert len(record.held(who)) == before


def test_a_day_far_from_every_other_is_stored_only_when_said_to_be_right(own):
    client, record, gate = own
    who = people(gate)[0]
    sent = fields(record, who, cell_day="4000")
    refused = client.post(f"/patients/{who}/enter", data=sent, headers=csrf(client))
    assert refused.status_code == 422
    assert "is more than a year from everything on record" in refused.text
    assert 4000.0 not in _ratings(record, who)
    assert client.post(f"/patients/{who}/enter", data=sent | {"far": "yes"}, headers=csrf(client)).is_success
    assert 4000.0 in _ratings(record, who)


def test_a_death_before_what_is_on_record_is_stored_only_when_said_to_be_right(own):
    client, record, gate = own
    who = people(gate)[0]
    sent = {**fields(record, who), "table": "events", "cell_event": "death", "cell_day": "1"}
    refused = client.post(f"/patients/{who}/enter", data=sent, headers=csrf(client))
    assert refused.status_code == 422
    assert "as the day of a death does not go with" in html.unescape(refused.text).replace("\u00a0", " ")
    assert "The day is right" in refused.text
    assert not any(row.table == "events" and row.values["event"] == "death" for row in record.held(who))


def test_the_form_names_fields_as_it_labels_them(own):
    client, record, gate = own
    who = people(gate)[0]
    sent = fields(record, who, cell_region="front") | {"table": "eeg"}
    said = client.post(f"/patients/{who}/enter", data=sent, headers=csrf(client)).text
    assert ">Band</a>: It is missing" in said
    sent = fields(record, who, cell_day="-3", cell_charge_mC="-5") | {"table": "ect"}
    said = client.post(f"/patients/{who}/enter", data=sent, headers=csrf(client)).text
    assert "is outside the limits" in said
    assert "The row is used" not in said


def test_a_change_that_was_not_seen_is_shown_beside_ones_own_and_not_overwritten(own):
    client, record, gate = own
    who, headers = people(gate)[0], csrf(client)
    mine = fields(record, who, cell_value="9")
    theirs = fields(record, who, cell_day="98", cell_value="13")
    assert client.post(f"/patients/{who}/enter", data=theirs, headers=headers).status_code == 200
    answer = client.post(f"/patients/{who}/enter", data=mine, headers=headers)
    assert answer.status_code == 409
    assert "Now on record" in answer.text
    assert "What you typed" in answer.text
    assert "Score 13" in answer.text
    assert 'name="cell_value" value="9"' in answer.text
    days = {held.values["day"] for held in record.held(who) if held.table == "symptoms"}
    assert 98.0 in days
    assert 91.0 not in days
    again = re.search(r'name="version" value="(\w+)"', answer.text)[1]
    assert client.post(f"/patients/{who}/enter", data=mine | {"version": again}, headers=headers).status_code == 200


@pytest.mark.parametrize("text", [SCRIPT, FORMULA, "{{ 7*7 }}", "\u202etxt.exe", "a'b\"c", "%00", "../../etc/passwd"])
def test_text_that_people_type_is_shown_as_text(own, text):
    client, record, gate = own
    who, headers = people(gate)[0], csrf(client)
    sent = {
        "table": "events",
        "version": version(record.held(who)),
        "reason": f"because {text}",
        "cell_day": "91",
        "cell_event": "hospitalised",
        "cell_detail": text,
    }
    answer = client.post(f"/patients/{who}/enter", data=sent, headers=headers)
    assert answer.status_code in {200, 422}
    shown = [
        answer.text,
        *(
            client.get(path).text
            for path in (f"/patients/{who}/enter?table=events", f"/patients/{who}", "/audit", "/quality")
        ),
    ]
    shown += [
        client.get("/", params={"find": text, "site": text}).text,
        client.get("/evidence", params={"find": text}).text,
    ]
    for page in shown:
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "49" not in re.findall(r"because (\S+)", page)
        assert "\u202e" not in page
    taken = client.get("/downloads/tables/events.tsv").text
    assert not re.search(r"(^|\t)[=+@-](?!\d)", taken, re.MULTILINE), "a spreadsheet would run this"


def test_text_from_a_study_is_escaped_on_every_page(tmp_path):
    out = write_light(tmp_path, 2)
    path = out / view_name("cohort")
    cohort = from_json(path.read_bytes())
    who = cohort.rows[0].participant_id
    from dataclasses import replace

    rows = (replace(cohort.rows[0], flags=(SCRIPT,), reason=SCRIPT), *cohort.rows[1:])
    path.write_bytes(to_json(replace(cohort, study=SCRIPT, rows=rows, flags=(SCRIPT,))))
    own_path = out / view_name(who)
    view = from_json(own_path.read_bytes())
    own_path.write_bytes(
        to_json(
            replace(
                view, study=SCRIPT, flags=(SCRIPT,), advice=replace(view.advice, reasons=(SCRIPT,), missing=(SCRIPT,))
            )
        )
    )
    with serving(out) as (gate, _):
        client = opened(gate)
        for page in ("/", f"/patients/{who}", "/quality"):
            text = client.get(page).text
            assert "<script>alert" not in text
            assert "<img" not in text
            assert "&lt;script&gt;alert" in text


def test_a_results_folder_that_is_written_anew_is_read_anew(tmp_path):
    out = write_light(tmp_path / "a", 2)
    other = write_light(tmp_path / "b", 3)
    with serving(out) as (gate, _):
        client = opened(gate)
        assert "2 of 2 participants" in client.get("/").text
        shutil.copytree(other / "views", out / "views", dirs_exist_ok=True)
        assert "3 of 3 participants" in client.get("/").text


def test_downloads_are_what_they_say_and_noted(served):
    client, record, gate = served
    who = people(gate)[0]
    assert client.get("/downloads/tables/symptoms.tsv").text.startswith("participant_id\tday\tinstrument")
    for kind, start in (("svg", b"<svg"), ("pdf", b"%PDF"), ("png", b"\x89PNG")):
        answer = client.get(f"/downloads/figures/{who}/mechanisms.{kind}")
        assert answer.content.startswith(start)
        assert answer.headers["content-disposition"] == f'attachment; filename="{who}_mechanisms.{kind}"'
    exports = record.last_audit(50, action="export")
    assert len(exports) >= 4
    assert who not in str(exports)


def test_who_sees_one_site_takes_that_sites_rows_only(light, tmp_path):
    out = shutil.copytree(light, tmp_path / "out")
    owners = ["sub-01", "sub-02", ""]
    with Record.open(out) as record:
        record.put_problems("test", [Problem("phenotype/labs.tsv", 2, "", f"{who}.", "used", who) for who in owners])
    with serving(out, proxied(bea=User("bea", "analyst", frozenset({"north"})))) as (gate, _):
        client = as_user(gate, "bea")
        taken = client.get("/downloads/tables/symptoms.tsv").text
        assert people(gate)[0] in taken
        assert people(gate)[1] not in taken
        said = client.get("/downloads/tables/problems.tsv").text.splitlines()
        assert [line.split("\t")[5] for line in said[1:]] == [people(gate)[0]] == ["sub-01"]
        assert client.get("/downloads/tables/identifiability.tsv").status_code == 404
        assert client.get("/downloads/figures/cohort/holds.svg").status_code == 404


def test_the_evidence_has_every_number_with_its_status(served):
    claims = evidence.claims()
    by_group = {claim.group for claim in claims}
    assert {
        "Drugs",
        "Priors of the model: middle and central 90 %",
        "Thresholds of the advice",
        "Rating scales",
    } <= by_group
    assert any(group.startswith("Published: ") for group in by_group)
    hold = next(
        c for c in claims if c.group == "Thresholds of the advice" and "least probability of no relapse" in c.name
    )
    assert (hold.value, hold.status) == ("0.8", "assumed")
    sertraline = [c for c in claims if c.subject == "sertraline" and c.name == "half-life"]
    assert len(sertraline) == 1
    assert "(read: " in sertraline[0].source
    assert {c.name.split(" (")[0] for c in claims if c.group == "Rating scales"} == set(INSTRUMENTS)
    unsaid = [claim for claim in claims if claim.status not in evidence.STATUSES]
    assert all("no number" in c.source or c.value == "nothing found" for c in unsaid), "rows of evidence.md that say so"
    client, _, _ = served
    page = client.get("/evidence", params={"find": "CRP", "status": "assumed"}).text
    assert "cardiovascular convention" in page


def test_the_evidence_reads_as_a_person_would_write_it():
    """No field names of files, no digits of floating point, no mark-up; values hand-picked from the files."""
    claims = evidence.claims()
    for claim in claims:
        said = f"{claim.name} {claim.value} {claim.note}"
        assert not re.search(r"[`*]|\]\(|(?<!\d)0\.\d{7}|None|null|\bvalue:|\w_\w+:", said), claim
    found = {(c.group.split(":")[0], c.name): c for c in claims}
    prior = found["Priors of the model", "rate of function towards its target (k_f)"]
    assert (prior.value, prior.unit) == ("0.0714 (0.031 to 0.16)", "1/day")
    assert all(c.name for c in claims)
    limits = {c.name for c in claims if c.group == "Thresholds of the advice"}
    assert not limits & {name.replace("_", " ") for name in shipped_thresholds()["default"]}, "each in words"
    rule = found["What counted as relapse, trial by trial", "Sackeim 2001"]
    assert rule.value == "hdrs24 16 or more, risen by 10 or more, on 2 visits in a row, at least 7 days apart"
    arms = [c for c in claims if c.subject.startswith("Sackeim 2001")]
    assert [c.name for c in arms] == ["placebo", "nortriptyline", "nortriptyline and lithium"]
    assert all("84 (70-99)" in c.value and c.status == "published" for c in arms[:1])


def test_the_evidence_is_searched_by_words_and_opened_by_heading(served):
    client, _, _ = served
    whole, some = client.get("/evidence").text, client.get("/evidence", params={"find": "LITHIUM relapse"}).text
    assert '<details class="shelf">' in whole
    assert '<details class="shelf" open>' in some
    assert "nortriptyline and lithium" in some
    assert (
        "relapse"
        in client.get("/evidence", params={"find": "relapse", "status": "published"}).text.split("entries.")[1]
    )
    assert "try fewer of them" in client.get("/evidence", params={"find": "lithium zzz"}).text


def test_every_page_is_valid_html(served):
    client, _, gate = served
    who = people(gate)[0]
    of_patient = ("", "/whatif", "/compare", "/enter", "/enter?table=medication")
    others = ("/", "/?find=nobody", "/evidence", "/quality", "/cohort", "/trial", "/audit", "/downloads", "/patients/x")
    for address in (*others, "/?kinds=many", *(f"/patients/{who}{page}" for page in of_patient)):
        check_html(client.get(address).text)


def test_the_small_chart_puts_probabilities_where_they_belong():
    days = np.array([0.0, 182.0, 364.0])
    curve = Curve("a <b>", days, np.array([0.0, 0.25, 0.5]), np.array([0.0, 0.2, 0.4]), np.array([0.0, 0.3, 0.5]))
    drawn = relapse_chart([curve], 0.5, "k", "title & more", "words")
    numbers = re.search(r'<path d="M([^"]+)" fill="none" stroke="#0072b2"', drawn)[1].replace("L", " ").split()
    x0, y0, x1, y1, x2, y2 = map(float, numbers)
    assert (x0, x2) == (LEFT, WIDTH - RIGHT)
    assert x1 == pytest.approx((x0 + x2) / 2)
    assert (y0, y2) == (HEIGHT - BOTTOM, TOP), "0 is the axis, 50 % the top"
    assert y1 == pytest.approx((y0 + y2) / 2)
    assert "a &lt;b&gt;" in drawn
    assert "title &amp; more" in drawn
    assert "style=" not in drawn


def _ratings(record, who):
    return {held.values["day"]: held for held in record.held(who) if held.table == "symptoms"}


def _withdrawal(record, who, row, /, **changes: str) -> dict[str, str]:
    sent = {"table": row.table, "row": str(row.row_id), "version": version(record.held(who)), "reason": "typed twice"}
    return sent | changes


def test_an_entered_row_is_withdrawn_with_a_reason_and_stays_in_the_history(own):
    client, record, gate = own
    who, headers = people(gate)[0], csrf(client)
    before = _ratings(record, who)
    assert client.post(f"/patients/{who}/enter", data=fields(record, who), headers=headers).status_code == 200
    row = _ratings(record, who)[91.0]
    page = client.get(f"/patients/{who}/enter", params={"row": row.row_id, "withdraw": "true"}).text
    assert 'action="/patients/sub-01/withdraw"' in page
    for changes, status in (
        ({"reason": ""}, 422),
        ({"version": "0"}, 409),
        ({"row": ""}, 422),
        ({"table": "pet"}, 404),
    ):
        answer = client.post(
            f"/patients/{who}/withdraw", data=_withdrawal(record, who, row, **changes), headers=headers
        )
        assert answer.status_code == status, changes
    assert client.post(f"/patients/{who}/withdraw", data=_withdrawal(record, who, row)).status_code == 403
    answer = client.post(f"/patients/{who}/withdraw", data=_withdrawal(record, who, row), headers=headers)
    assert answer.status_code == 200
    assert "Withdrawn" in answer.text
    after = _ratings(record, who)
    assert {day: held.row_hash for day, held in after.items()} == {day: held.row_hash for day, held in before.items()}
    assert "Typed twice" in client.get(f"/patients/{who}/enter").text
    assert [one.detail["reason"] for one in record.last_audit(5, action="enter")] == ["typed twice", "visit five"]
    assert record.verify() == []


def test_withdrawing_a_correction_brings_back_the_files_row(own):
    client, record, gate = own
    who, headers = people(gate)[0], csrf(client)
    file = _ratings(record, who)[28.0]
    refused = client.post(f"/patients/{who}/withdraw", data=_withdrawal(record, who, file), headers=headers)
    assert refused.status_code == 422
    assert "stands in a file of the study" in refused.text
    for value in ("11", "12"):  # corrected, and the correction corrected
        row = _ratings(record, who)[28.0]
        sent = fields(record, who, cell_day="28", cell_value=value) | {"row": str(row.row_id)}
        assert client.post(f"/patients/{who}/enter", data=sent, headers=headers).status_code == 200
    row = _ratings(record, who)[28.0]
    assert (row.entered, row.values["value"]) == (True, 12.0)
    answer = client.post(f"/patients/{who}/withdraw", data=_withdrawal(record, who, row), headers=headers)
    assert "counts again" in answer.text
    back = _ratings(record, who)[28.0]
    assert (back.row_hash, back.file, back.line) == (file.row_hash, file.file, file.line)
    assert record.verify() == []


def test_after_a_withdrawal_the_study_is_read_as_if_nothing_had_been_entered(own, tmp_path):
    from remanent.stages.measure import read

    client, record, gate = own
    who, headers = people(gate)[0], csrf(client)
    row = _ratings(record, who)[28.0]
    sent = fields(record, who, cell_day="28", cell_value="11") | {"row": str(row.row_id)}
    assert client.post(f"/patients/{who}/enter", data=sent, headers=headers).status_code == 200
    entered = _ratings(record, who)[28.0]
    client.post(f"/patients/{who}/withdraw", data=_withdrawal(record, who, entered), headers=headers)
    seen = version(record.held(who))
    record.ingest(read(tmp_path / "study"))
    assert version(record.held(who)) == seen
