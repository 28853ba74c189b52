"""The app put together: routes, static files, errors as pages, all behind the gate."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from remanent import __version__
from remanent._errors import InputError, RemanentError
from remanent.app import routes_data, routes_entry, routes_patients, routes_plans
from remanent.app.desk import HERE, Desk
from remanent.app.gate import Gate
from remanent.app.settings import Settings
from remanent.app.shelf import Shelf
from remanent.app.whatif import Workbench
from remanent.report.pages import TEMPLATES as REPORT
from remanent.study.store import Record

Handler = Callable[[Request, Exception], Awaitable[Response] | Response]


def build(out: Path, record: Record, settings: Settings, bench: Workbench | None = None) -> Gate:
    """The whole app over one OUT folder; `bench` is not started here."""
    bench = bench or Workbench(out, record, Shelf(out, record))
    desk = Desk(out, record, settings, bench.shelf, bench)
    app = FastAPI(title="Remanent", version=__version__, docs_url=None, redoc_url=None)
    app.state.desk = desk
    for routes in (routes_patients, routes_plans, routes_entry, routes_data):
        app.include_router(routes.router)
    app.get("/static/page.css", include_in_schema=False)(_report_css)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for kind, handler in _handlers(desk).items():
        app.add_exception_handler(kind, handler)
    return Gate(app, settings)


def _report_css() -> Response:
    return Response((REPORT / "page.css").read_bytes(), media_type="text/css")


def _handlers(desk: Desk) -> dict[type[Exception], Handler]:
    def say(request: Request, status: int, words: str) -> Response:
        part = "part_message.html" if request.headers.get("hx-request") else "message.html"
        return desk.page(request, part, {"status_code": status, "words": words}, status)

    def known(request: Request, error: Exception) -> Response:
        return (
            say(request, error.status_code, str(error.detail))
            if isinstance(error, HTTPException)
            else say(request, 500, "")
        )

    def invalid(request: Request, error: Exception) -> Response:
        names = (
            sorted({str(one["loc"][-1]) for one in error.errors()}) if isinstance(error, RequestValidationError) else []
        )
        return say(request, 422, f"These cannot be read or are out of range: {', '.join(names)}.")

    def unusable(request: Request, error: Exception) -> Response:
        busy = isinstance(error, InputError)
        return say(request, 503 if busy else 400, str(error))

    def fault(
        request: Request, error: Exception
    ) -> Response:  # the words of an unexpected error may hold a patient's values
        return say(
            request, 500, f"A fault of this program ({type(error).__name__}). Nothing was changed. Please report it."
        )

    return {HTTPException: known, RequestValidationError: invalid, RemanentError: unusable, Exception: fault}
