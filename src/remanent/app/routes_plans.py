"""What-if and the comparison of two plans."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from remanent.app.answer import Answer
from remanent.app.asked import ACTIONS, SHAPES, Ask
from remanent.app.desk import Desk
from remanent.app.routes_patients import desk_of
from remanent.app.settings import User
from remanent.app.whatif import NotReadyError

router = APIRouter(default_response_class=HTMLResponse)

Weeks = Annotated[float, Query(ge=0, le=52)]
Start = Annotated[float, Query(ge=0, le=182)]
Sessions = Annotated[int, Query(ge=0, le=12)]
Word = Annotated[str, Query(max_length=20)]


def _asked(action: str, shape: str, **numbers: Any) -> Ask:
    if action not in ACTIONS or shape not in SHAPES:
        raise HTTPException(422, f"The plan is one of {', '.join(ACTIONS)}, its shape one of {', '.join(SHAPES)}.")
    return Ask(action=action, shape=shape, **numbers)


def _answer(desk: Desk, user: User, participant_id: str, *asked: Ask) -> list[Answer] | str:
    """Answers to each plan, or why there is none now."""
    desk.person(user, participant_id)
    try:
        return [desk.bench.answer(participant_id, one, f"plan-{k}") for k, one in enumerate(asked)]
    except NotReadyError as waiting:
        return str(waiting)


@router.get("/patients/{participant_id}/whatif")
def what_if(request: Request, participant_id: str) -> HTMLResponse:
    """The form, with the answer to its first state."""
    desk = desk_of(request)
    user = desk.user(request)
    person = desk.person(user, participant_id)
    desk.audit(user, "view", participant_id, page="what-if")
    first = Ask()
    found = _answer(desk, user, participant_id, first)
    parts = {"person": person, "ask": first, "found": found, "actions": ACTIONS, "shapes": SHAPES}
    parts["again"] = f"{request.url.path}/answer"
    return desk.page(request, "whatif.html", parts)


@router.get("/patients/{participant_id}/whatif/answer")
def what_if_answer(  # noqa: PLR0913, PLR0917 - one argument for each control
    request: Request,
    participant_id: str,
    action: Word = "taper",
    start_days: Start = 0,
    weeks: Weeks = 12,
    shape: Word = "hyperbolic",
    poor_sleep: bool = False,
    crp_doubled: bool = False,
    ect_sessions: Sessions = 0,
) -> HTMLResponse:
    """Forecast and advice under one plan."""
    desk = desk_of(request)
    ask = _asked(
        action,
        shape,
        start_days=start_days,
        weeks=weeks,
        poor_sleep=poor_sleep,
        crp_doubled=crp_doubled,
        ect_sessions=ect_sessions,
    )
    found = _answer(desk, desk.user(request), participant_id, ask)
    return desk.page(
        request, "part_whatif.html", {"ask": ask, "found": found, "again": f"{request.url.path}?{request.url.query}"}
    )


@router.get("/patients/{participant_id}/compare")
def compare(  # noqa: PLR0913, PLR0917 - two plans
    request: Request,
    participant_id: str,
    action_a: Word = "continue",
    start_days_a: Start = 0,
    weeks_a: Weeks = 12,
    shape_a: Word = "hyperbolic",
    action_b: Word = "taper",
    start_days_b: Start = 0,
    weeks_b: Weeks = 12,
    shape_b: Word = "hyperbolic",
) -> HTMLResponse:
    """Two plans side by side, and the difference between them."""
    desk = desk_of(request)
    user = desk.user(request)
    person = desk.person(user, participant_id)
    asked = (
        _asked(action_a, shape_a, start_days=start_days_a, weeks=weeks_a),
        _asked(action_b, shape_b, start_days=start_days_b, weeks=weeks_b),
    )
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
