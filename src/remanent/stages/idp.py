"""Features as imaging-derived phenotypes in nipoppy's form: OUT/idp/remanent.tsv, a row a scan visit, and its dictionary.

Source: nipoppy 0.4, specification of imaging-derived phenotypes.
"""

import json
from collections import defaultdict
from pathlib import Path

from remanent.circuits.catalogue import derived_phenotypes
from remanent.circuits.feature import Feature
from remanent.study.record.files import write_whole
from remanent.study.table import Table

NAME = "idp/remanent.tsv"


def write_phenotypes(features: Table, out: Path) -> list[Path]:
    """Usable values of every scan visit, exact; what pet.tsv and eeg.tsv give on other days is in features.tsv only."""
    sessions: dict[tuple[str, str], list[Feature]] = defaultdict(list)
    columns = (features[name] for name in ("participant_id", "session_id", "feature", "value", "usable"))
    for who, session, name, value, usable in zip(*columns, strict=True):
        if session is None or session.startswith("ses-"):
            sessions[who, session or "n/a"].append(Feature(name, float(value), 0.0, usable=bool(usable)))
    table = derived_phenotypes((*visit, found) for visit, found in sorted(sessions.items()))
    lines = "".join("\t".join(line) + "\n" for line in (table.header, *table.rows))
    path = out / NAME
    write_whole(path, lines.encode())
    dictionary = path.with_suffix(".json")
    write_whole(dictionary, (json.dumps(dict(table.dictionary), indent=2, ensure_ascii=False) + "\n").encode())
    return [path, dictionary]
