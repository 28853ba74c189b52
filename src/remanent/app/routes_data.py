"""What the numbers rest on: evidence, data quality, trial, audit, and what can be taken away."""

import threading
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, Response

from remanent.app import evidence
from remanent.app.desk import Desk
from remanent.app.listing import kinds_of
from remanent.app.routes_patients import desk_of
from remanent.app.settings import User
from remanent.report import data_tables, words
from remanent.report.sheet import Sheet
from remanent.stages.results import COHORT_FIGURES, PATIENT_FIGURES, draw
from remanent.stages.trial import TABLES
from remanent.study import schema
from remanent.study.outputs import table_bytes

router = APIRouter(default_response_class=HTMLResponse)
Short = Annotated[str, Query(max_length=80)]
TRIAL_TABLES = {
    "policies": "what each policy came to",
    "differences": "each policy less the first, on the same patients",
    "replicates": "every policy in every draw of the population",
    "power": "probability of an answer by number of patients",
}
MEDIA = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}
TSV = "text/tab-separated-values; charset=utf-8"
AUDIT_SHOWN = 300
MOST_OPEN = 80  # entries of the evidence that are shown without being asked for
_PAPER = threading.Lock()  # PDF and PNG are matplotlib's, whose settings all threads share


@router.get("/evidence")
def browse(request: Request, find: Short = "", status: Short = "", group: Short = "") -> HTMLResponse:
    """Every number, threshold and reference with its source and status."""
    desk = desk_of(request)
    user = desk.user(request)
    every = evidence.claims()
    wanted = find.casefold().split()
    shown = [
        claim
        for claim in every
        if all(word in claim.text for word in wanted) and status in {"", claim.status} and group in {"", claim.group}
    ]
    parts = {
        "tables": [_shelf(name, list(rows)) for name, rows in groupby(shown, lambda claim: claim.group)],
        "shown": len(shown),
        "total": len(every),
        "open": bool(group) or len(shown) <= MOST_OPEN,
        "groups": list(dict.fromkeys(claim.group for claim in every)),
        "statuses": evidence.STATUSES,
        "asked": {"find": find, "status": status, "group": group},
    }
    if request.headers.get("hx-request"):
        return desk.page(request, "part_evidence.html", parts)
    desk.audit(user, "view", "study", page="evidence")
    return desk.page(request, "evidence.html", parts)


_MANY = {"definition": "definitions"}


def _shelf(group: str, rows: Sequence[evidence.Claim]) -> tuple[str, str, list[tuple[str, list[evidence.Claim]]]]:
    """One group: its name, how many of its entries have which status, its entries by what they are about."""
    statuses = [row.status for row in rows]
    told = [
        words.count(statuses.count(status), status, _MANY.get(status, status))
        for status in evidence.STATUSES
        if status in statuses
    ]
    by_subject = [(subject, list(some)) for subject, some in groupby(rows, lambda claim: claim.subject)]
    return group, words.listing(told), by_subject


@router.get("/quality")
def quality(request: Request) -> HTMLResponse:
    """What was set aside and why, how complete the data are, which visits were not processed alike."""
    desk = desk_of(request)
    user = desk.user(request)
    people = desk.shelf.people(user)
    problems = (
        desk.record.problems() if user.sites is None else _own_problems(desk, [p.row.participant_id for p in people])
    )
    desk.audit(user, "view", "study", page="quality")
    parts = {
        "problems": data_tables.problem_table(problems),
        "problem_sentence": data_tables.problem_sentence(problems),
        "completeness": data_tables.completeness_table([p.row for p in people]),
        "drift": [(p.row.participant_id, p.row.flags) for p in people if p.row.flags],
        "kinds": [(p.row.participant_id, kinds_of(p)) for p in people if len(kinds_of(p)) < 2],
        "flags": desk.shelf.cohort.flags,
        "restricted": user.sites is not None,
    }
    return desk.page(request, "quality.html", parts)


def _own_problems(desk: Desk, participants: Sequence[str]) -> tuple[Any, ...]:
    """Problems of the rows and files of these participants only."""
    seen = [problem for who in participants for problem in desk.shelf.view(who).problems]
    return tuple(dict.fromkeys(seen))


@router.get("/cohort")
def cohort(request: Request) -> HTMLResponse:
    """What the last run found in all patients together: follow-up, hold, calibration, sites, mechanism."""
    desk = desk_of(request)
    user = desk.user(request)
    desk.audit(user, "view", "study", page="cohort")
    if user.sites is not None:
        raise HTTPException(403, "You see some sites only; this page is about all of them.")
    return desk.page(request, "cohort_page.html", desk.cohort_parts())


@router.get("/trial")
def trial(request: Request, name: Short = "") -> HTMLResponse:
    """A virtual trial in OUT, the first where none is named."""
    desk = desk_of(request)
    user = desk.user(request)
    found = list(desk.trials())
    if name and name not in found:
        raise HTTPException(404, "There is no such trial.")
    desk.audit(user, "view", "study", page="trial")
    name = name or next(iter(found), "")
    parts = desk.trial(name) if name else {}
    tables = [table for table in TABLES if name and (desk.out / name / f"{table}.tsv").is_file()]
    return desk.page(
        request,
        "trial_page.html",
        {"view": None, "name": name, "names": found, "tables": tables, "meanings": TRIAL_TABLES} | parts,
    )


@router.get("/trial/{name}/{table}.tsv")
def trial_table(request: Request, name: str, table: str) -> Response:
    """One table of a virtual trial, as `remanent trial` wrote it."""
    desk = desk_of(request)
    user = desk.user(request, "analyst")
    folder = desk.trials().get(name)
    path = folder / f"{table}.tsv" if folder and table in TABLES else None
    if path is None or not path.is_file():
        raise HTTPException(404, "There is no such table.")
    desk.audit(user, "export", "study", trial=name, table=table)
    return _file(path.read_bytes(), TSV, f"{name}_{table}.tsv")


@router.get("/audit")
def audit(request: Request) -> HTMLResponse:
    """Who saw, changed and took what; whether the chain of entries is whole."""
    desk = desk_of(request)
    desk.user(request, "admin")
    parts = {"entries": desk.record.last_audit(AUDIT_SHOWN), "head": desk.record.head}
    return desk.page(request, "audit.html", parts)


@router.get("/downloads")
def downloads(request: Request) -> HTMLResponse:
    """What can be taken away, and how to print."""
    desk = desk_of(request)
    user = desk.user(request, "analyst")
    people = [p.row.participant_id for p in desk.shelf.people(user)]
    may = _tables(user)
    tables = {
        title: {name: may[name].meaning for name in of if name in may}
        for title, of in (("The study", schema.INPUT), ("Results", schema.OUTPUT))
    }
    parts = {
        "people": people,
        "tables": tables,
        "patient_figures": PATIENT_FIGURES,
        "cohort_figures": _cohort_figures(user),
    }
    return desk.page(request, "downloads.html", parts)


def _tables(user: User) -> dict[str, schema.TableSpec]:
    """Tables a user may take: of one who sees some sites only, those that say in each row whose it is."""
    every = {**schema.INPUT, **schema.OUTPUT}
    return {name: spec for name, spec in every.items() if user.sites is None or "participant_id" in spec.column}


def _cohort_figures(user: User) -> dict[str, Callable[..., Sheet]]:
    return dict(COHORT_FIGURES) if user.sites is None else {}


@router.get("/downloads/tables/{name}.tsv")
def table(request: Request, name: str) -> Response:
    """One table of the record as it stands now, of the participants the user may see."""
    desk = desk_of(request)
    user = desk.user(request, "analyst")
    spec = _tables(user).get(name)
    if spec is None:
        raise HTTPException(404, "There is no such table, or you may not take it.")
    found = desk.record.table(name)
    if user.sites is not None:
        seen = {p.row.participant_id for p in desk.shelf.people(user)}
        found = found.select(np.array([who in seen for who in found["participant_id"]], dtype=bool))
    columns = {c: [_finite(v) for v in found[c].tolist()] for c in spec.column}
    content = table_bytes(spec, columns)
    desk.audit(user, "export", "study", table=name, rows=len(found))
    return _file(content, TSV, f"{name}.tsv")


def _finite(value: Any) -> Any:
    return None if value in (float("inf"), float("-inf")) else value


@router.get("/downloads/figures/{participant_id}/{name}.{kind}")
def figure(request: Request, participant_id: str, name: str, kind: str) -> Response:
    """One figure of a patient, or of the cohort, for a paper or a letter."""
    desk = desk_of(request)
    user = desk.user(request, "analyst")
    if participant_id == "cohort":
        make = _cohort_figures(user).get(name)
        arguments: tuple[str, ...] = ()
    else:
        desk.person(user, participant_id)
        make, arguments = PATIENT_FIGURES.get(name), (participant_id,)
    if make is None or kind not in MEDIA:
        raise HTTPException(404, "There is no such figure, or you may not take it.")
    with _PAPER:
        content = draw(make(desk.shelf.results, *arguments), kind, name)
    desk.audit(user, "export", participant_id, figure=name, kind=kind)
    return _file(content, MEDIA[kind], f"{participant_id}_{name}.{kind}")


def _file(content: bytes, media: str, name: str) -> Response:
    return Response(content, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})
