"""The comparison of mechanisms that a run made, kept as values (views/compared.json), so that the app need not make it again: 12 to 25 s of processor time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from remanent.dynamics.compare import Comparison, Contrast, Identifiability
from remanent.stages import population
from remanent.study.record.files import file_sha256, write_whole

NAME = "views/compared.json"


def keep(out: Path, people: Sequence[str], comparison: Comparison) -> Path:
    """Write the comparison of these patients (lanes), with the hash of the population in `out` that it belongs to."""
    made = {"population": file_sha256(out / population.NAME), "people": list(people)}
    path = out / NAME
    write_whole(path, json.dumps(made | {"comparison": asdict(comparison)}, default=_plain).encode())
    return path


def kept(out: Path) -> tuple[tuple[str, ...], Comparison] | None:
    """Patients by lane and their comparison, to the last digit; None where no run kept one of the population in `out`, or another version did."""
    try:
        content: dict[str, Any] = json.loads((out / NAME).read_bytes())
        if content["population"] != file_sha256(out / population.NAME):
            return None
        return tuple(content["people"]), _comparison(content["comparison"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value.tolist()


def _comparison(entry: Mapping[str, Any]) -> Comparison:
    known = entry["identifiability"]
    contrasts = tuple(Contrast(**one) for one in known["contrasts"])
    identifiability = Identifiability(**_arrays(known) | {"contrasts": contrasts})
    return Comparison(**_arrays(entry) | {"identifiability": identifiability})


def _arrays(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.array(value) if isinstance(value, list) else value for name, value in entry.items()}
