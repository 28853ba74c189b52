"""What every page needs: the record, the results, the templates, the audit, the warmed-up model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse

from remanent.app.settings import Role, Settings, User
from remanent.app.shelf import Person, Shelf
from remanent.app.whatif import Workbench
from remanent.report.pages import environment, index_parts, patient_parts
from remanent.report.trial_page import trial_parts
from remanent.stages.trial import PAGE, VIEW, load_trial
from remanent.study.store import Record

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
MOST_RENDERED = 64


@dataclass
class Desk:
    """State of one running app."""

    out: Path
    record: Record
    settings: Settings
    shelf: Shelf
    bench: Workbench
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
        version = id(view) if self.shelf.is_live(participant_id) else self.shelf.stamp
        return self._drawn((participant_id, version), lambda: patient_parts(view))

    def cohort_parts(self) -> dict[str, Any]:
        """What the index page shows, drawn once for each version of the results."""
        return self._drawn(("cohort", self.shelf.stamp), lambda: index_parts(self.shelf.cohort))

    def trial(self, name: str) -> dict[str, Any]:
        """What the page of one of `trials` shows, drawn once for each version of it; empty where it cannot be read any more."""
        folder = self.trials()[name]
        view = load_trial(folder)
        if view is None:
            return {}
        return self._drawn((f"trial {name}", (folder / VIEW).stat().st_mtime_ns), lambda: trial_parts(view))

    def trials(self) -> dict[str, Path]:
        """Folders in OUT that `remanent trial` wrote, by name."""
        folders = sorted(path for path in self.out.iterdir() if path.is_dir() and not path.is_symlink())
        return {path.name: path for path in folders if all((path / one).is_file() for one in (PAGE, VIEW))}

    def _drawn(self, key: tuple[str, int], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if key not in self._rendered:
            parts = make()
            while len(self._rendered) >= MOST_RENDERED:
                self._rendered.pop(next(iter(self._rendered)))
            self._rendered[key] = parts
        return self._rendered[key]


def engine() -> Any:
    """The app's templates, in front of the reports'."""
    return environment(TEMPLATES)
