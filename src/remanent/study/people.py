"""Who of a study is a patient, and who is a healthy participant: patients are compared with them; nothing is fitted to them, and nothing forecast."""

from collections.abc import Collection, Mapping

import numpy as np

from remanent._errors import Action, Problem
from remanent.study.table import Table

HEALTHY = frozenset({"control", "none"})
_OF_PATIENTS = ("ECT sessions", "a relapse")


def is_healthy(participants: Table) -> np.ndarray:
    """Whether each diagnosis says so, [row]; nobody is healthy for want of one."""
    return np.array([says_healthy(name) for name in participants["diagnosis"]], bool)


def says_healthy(diagnosis: str | None) -> bool:
    """Whether a diagnosis says that there is no illness; None: not on record."""
    return diagnosis is not None and diagnosis.lower() in HEALTHY


def of_people(tables: Mapping[str, Table], people: Collection[str]) -> dict[str, Table]:
    """The rows of these participants, and tables that are about nobody."""
    wanted = np.array(sorted(people), dtype=str)
    return {name: _of(table, wanted) for name, table in tables.items()}


def _of(table: Table, wanted: np.ndarray) -> Table:
    if "participant_id" not in table.columns:
        return table
    return table.select(np.isin(table["participant_id"].astype(str), wanted))


def parted(tables: Mapping[str, Table]) -> tuple[dict[str, Table], dict[str, Table]]:
    """The tables of patients and those of healthy participants; where everybody is healthy, nobody is set apart, and the study is read as it is."""
    people = tables["participants"]
    healthy = is_healthy(people) & ~is_healthy(people).all()
    who = people["participant_id"].astype(str)
    return of_people(tables, who[~healthy]), of_people(tables, who[healthy])


def said_of_healthy(healthy: Mapping[str, Table]) -> list[Problem]:
    """For each healthy participant, in words, what becomes of the record; one with records that only a patient has is to be looked at."""
    people, events = healthy["participants"], healthy["events"]
    odd = (set(healthy["ect"]["participant_id"]), set(events["participant_id"][events["event"] == "relapse"]))
    found = []
    for i, (who, diagnosis) in enumerate(zip(people["participant_id"], people["diagnosis"], strict=True)):
        beside = " and ".join(what for what, mine in zip(_OF_PATIENTS, odd, strict=True) if who in mine)
        words = f'"{who}" is a healthy participant (diagnosis {diagnosis}): patients are compared with them, nothing is fitted to them or forecast'
        doubt = f", yet {beside} on record: correct the diagnosis, or remove those rows." if beside else "."
        action: Action = "set_aside" if beside else "used"
        found.append(Problem(people.file[i], int(people.row[i]), "diagnosis", words + doubt, action))
    return found
