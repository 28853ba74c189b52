"""Views as JSON and back, so that the app and the figures show what the pages show, number for number.

A view is a frozen dataclass of plain values. It becomes an object whose key ``view`` names its class; an array becomes an object with its type and
values; tuples become lists. NaN and infinities are written as Python's ``json`` writes them.
"""

import json
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from remanent._errors import InputError, Problem
from remanent.report import checks, trial_page, views

_NAMED = (*vars(views).values(), *vars(checks).values(), *vars(trial_page).values(), Problem)
_CLASSES = {c.__name__: c for c in _NAMED if isinstance(c, type) and is_dataclass(c)}


def to_json(view: Any) -> bytes:
    """Return a view as JSON; the same bytes for the same view."""
    return json.dumps(_plain(view), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def from_json(content: bytes, where: str = "") -> Any:
    """Return the view that `to_json` wrote.

    Raises
    ------
    InputError
        It is not such a file, or it was written by another version.
    """
    try:
        return _view(json.loads(content))
    except (ValueError, KeyError, TypeError) as error:
        why = f"It was written by another version or changed since ({type(error).__name__})."
        raise InputError("holds no result", where=where, why=why, do="Run `remanent update OUT STUDY` once.") from error


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {"view": type(value).__name__} | {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return {"array": value.dtype.str, "values": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if hasattr(value, "items"):
        return {"map": [[str(key), _plain(part)] for key, part in value.items()]}
    return value


def _view(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_view(part) for part in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.array(value["values"], dtype=np.dtype(value["array"]))
    if "map" in value:
        return {key: _view(part) for key, part in value["map"]}
    return _CLASSES[value["view"]](**{name: _view(part) for name, part in value.items() if name != "view"})
