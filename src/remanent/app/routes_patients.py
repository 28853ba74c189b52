"""The patient list and the patient's page."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from remanent.app.desk import Desk
from remanent.app.listing import KINDS, Choice, chosen, kinds_of
from remanent.report import words

router = APIRouter(default_response_class=HTMLResponse)


def desk_of(request: Request) -> Desk:
    """The state of the app that a request belongs to."""
    desk: Desk = request.app.state.desk
    return desk


@router.get("/")
def patients(request: Request, choice: Annotated[Choice, Depends()]) -> HTMLResponse:
    """Everyone the user may see, filtered and in order."""
    desk = desk_of(request)
    user = desk.user(request)
    everyone = desk.shelf.people(user)
    shown = chosen(everyone, choice)
    parts = {
        "people": [(person, kinds_of(person)) for person in shown],
        "total": len(everyone),
        "choice": choice,
        "sites": sorted({p.site for p in everyone if p.site}),
        "diagnoses": sorted({p.diagnosis for p in everyone if p.diagnosis}),
        "all_kinds": list(KINDS.values()),
        "plans": list(dict.fromkeys(plan for p in everyone for plan in p.row.relapse)),
        "view": desk.shelf.cohort,
        "heads": [_head(choice, *head) for head in _HEADS],
        "live": set(desk.shelf.live),
    }
    if request.headers.get("hx-request"):
        return desk.page(request, "part_patients.html", parts)
    desk.audit(user, "view", "study", page="patients")
    return desk.page(request, "patients.html", parts)


_HEADS = (
    ("Patient", "participant"),
    ("Advice", "advice"),
    ("Site", "site"),
    ("Diagnosis", "diagnosis"),
    ("Last record", "today"),
    ("Relapse", "relapse"),
    ("Hold", "hold"),
    ("Kinds", "kinds"),
    ("Set aside", "aside"),
)


def _head(choice: Choice, label: str, key: str) -> dict[str, Any]:
    """A column head: its address sorts by it, or turns the order round."""
    here = choice.sort == key
    asked = {"advice": choice.advice, "site": choice.site, "diagnosis": choice.diagnosis, "find": choice.find}
    kept = {name: value for name, value in asked.items() if value} | ({"kinds": choice.kinds} if choice.kinds else {})
    turned = {"sort": key} | ({"down": "true"} if here and not choice.down else {})
    order = ("descending" if choice.down else "ascending") if here else "none"
    return {"label": label, "order": order, "address": "/?" + urlencode(kept | turned)}


@router.get("/patients/{participant_id}")
def patient(request: Request, participant_id: str) -> HTMLResponse:
    """Everything on record and computed of one patient, as in the report."""
    desk = desk_of(request)
    user = desk.user(request)
    person = desk.person(user, participant_id)
    desk.audit(user, "view", participant_id, page="patient")
    parts = desk.patient_parts(participant_id)
    own = {"person": person, "live": desk.shelf.is_live(participant_id), "words": words}
    return desk.page(request, "patient_page.html", own | parts)
