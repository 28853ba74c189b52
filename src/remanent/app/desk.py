"""What every page needs: the record, the results, the templates, the audit, the warmed-up model."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from remanent.app.settings import Role, Settings, User
from remanent.app.shelf import Person, Shelf
from remanent.app.whatif import Workbench
from remanent.report.pages import environment, patient_parts
from remanent.report.svg import without_style
from remanent.study.store import Record

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
MOST_RENDERED = 64


@dataclass
class Desk:
    """State of one running app. Drawing holds a lock: matplotlib's settings are shared by all threads."""

    out: Path
    record: Record
    settings: Settings
    shelf: Shelf
    bench: Workbench
    _drawing: threading.Lock = field(default_factory=threading.Lock)
    _rendered: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def user(self, request: Request, role: Role = "viewer") -> User:
        """Who asks; 403 where the role does not reach."""
        user: User = request.scope["user"]
        if not user.may(role):
            raise HTTPException(403, f"This needs the role {role}; yours is {user.role}.")
        return user

    def person(self, user: User, participant_id: str) -> Person:
        """A participant whom the user may see; 404 for anyone else."""
        found = self.shelf.person(user, participant_id)
        if found is None:
            raise HTTPException(404, "There is no such participant, or you may not see it.")
        return found

    def audit(self, user: User, action: str, subject: str, **detail: str | int) -> None:
        """Note who saw, changed or took what; participant ids are hashed by the record."""
        self.record.by(f"app:{user.name}").audit(action, subject, detail)

    def page(self, request: Request, template: str, parts: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """A page or a part of one."""
        own = {"user": request.scope["user"], "csrf": request.scope["csrf"], "study": self.shelf.cohort.study}
        text = engine().get_template(template).render({**own, "bench": self.bench.state, **parts})
        return HTMLResponse(text, status)

    def patient_parts(self, participant_id: str) -> dict[str, Any]:
        """What the patient's page shows, drawn once for each version of the results."""
        view = self.shelf.view(participant_id)
        key = (participant_id, id(view) if self.shelf.is_live(participant_id) else self.shelf.stamp)
        if key not in self._rendered:
            with self._drawing:
                parts = _plain(patient_parts(view))
            while len(self._rendered) >= MOST_RENDERED:
                self._rendered.pop(next(iter(self._rendered)))
            self._rendered[key] = parts
        return self._rendered[key]

    def draw(self, make: Callable[[], bytes]) -> bytes:
        """Call something that uses matplotlib, alone."""
        with self._drawing:
            return make()


def engine() -> Any:
    """The app's templates, in front of the reports'."""
    return environment(TEMPLATES)


def _plain(value: Any) -> Any:
    """Parts of a page with the style attributes of their figures turned into SVG's own."""
    if isinstance(value, Markup):
        return Markup(without_style(str(value)))  # noqa: S704 - was markup before
    if is_dataclass(value) and not isinstance(value, type) and type(value).__module__ == "remanent.report.pages":
        return replace(value, **{f.name: _plain(getattr(value, f.name)) for f in fields(value)})
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value
