"""What-if and the comparison of two plans."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from remanent.app.answer import Answer
from remanent.app.asked import ACTIONS, SHAPES, Asked, AskedTwice, both
from remanent.app.desk import Desk
from remanent.app.routes_patients import desk_of
from remanent.app.settings import User
from remanent.app.whatif import NoAnswerError

router = APIRouter(default_response_class=HTMLResponse)

Form = Annotated[Asked, Query()]
TwoForms = Annotated[AskedTwice, Query()]


def _answer(desk: Desk, user: User, participant_id: str, *asked: Asked) -> list[Answer] | str:
    """Answers to each plan, or why there is none now."""
    desk.person(user, participant_id)
    try:
        return desk.bench.answers(participant_id, *asked)
    except NoAnswerError as error:
        return str(error)


@router.get("/patients/{participant_id}/whatif")
def what_if(request: Request, participant_id: str, asked: Form) -> HTMLResponse:
    """The form, with the answer to its first state, or to that of the address."""
    desk = desk_of(request)
    user = desk.user(request)
    person = desk.person(user, participant_id)
    desk.audit(user, "view", participant_id, page="what-if")
    parts = {"person": person, "ask": asked, "found": _answer(desk, user, participant_id, asked)}
    again = {"again": f"{request.url.path}/answer?{request.url.query}"}
    return desk.page(request, "whatif.html", parts | again | {"actions": ACTIONS, "shapes": SHAPES})


@router.get("/patients/{participant_id}/whatif/answer")
def what_if_answer(request: Request, participant_id: str, asked: Form) -> HTMLResponse:
    """Forecast and advice under one plan."""
    desk = desk_of(request)
    found = _answer(desk, desk.user(request), participant_id, asked)
    return desk.page(request, "part_whatif.html", {"found": found, "again": f"{request.url.path}?{request.url.query}"})


@router.get("/patients/{participant_id}/compare")
def compare(request: Request, participant_id: str, forms: TwoForms) -> HTMLResponse:
    """Two plans side by side, and the difference between them."""
    desk = desk_of(request)
    user = desk.user(request)
    person = desk.person(user, participant_id)
    asked = both(forms)
    found = _answer(desk, user, participant_id, *asked)
    less = "" if isinstance(found, str) else desk.bench.difference(participant_id, *asked)
    parts = {"person": person, "asked": list(zip("ab", asked, strict=True)), "found": found, "difference": less}
    if request.headers.get("hx-request"):
        return desk.page(request, "part_compare.html", parts)
    desk.audit(user, "view", participant_id, page="compare")
    return desk.page(request, "compare.html", {**parts, "actions": ACTIONS, "shapes": SHAPES})


@router.get("/warm")
def warm(request: Request) -> HTMLResponse:
    """How far the model is warmed up; asked again by the page until it is."""
    desk = desk_of(request)
    desk.user(request)
    return desk.page(request, "part_warm.html", {})
