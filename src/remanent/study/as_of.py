"""A study as it stood on a day: what was known then, and nothing that came later."""

from collections.abc import Collection, Mapping

import numpy as np

from remanent.study.table import Table, merged, missing

END = "end_of_followup"


def as_of(tables: Mapping[str, Table], day: float, watched: Collection[str]) -> dict[str, Table]:
    """The tables on `day`: rows of that day and before, doses that had begun (their end unknown if it lay ahead).

    `watched` are the participants whom the study was still watching for relapse: their observation ends on `day` in the result, as at an interim look, so
    that it is known that they had not relapsed.
    """
    found = {name: _known(table, day) for name, table in tables.items()}
    if "events" in found:
        found["events"] = _interim(found["events"], day, watched)
    return found


def _known(table: Table, day: float) -> Table:
    if "start_day" in table.columns:
        return _begun(table, day)
    return table.select(~(table["day"] > day)) if "day" in table.columns else table


def _begun(doses: Table, day: float) -> Table:
    begun = doses.select(~(doses["start_day"] > day))
    stop = np.where(begun["stop_day"] > day, np.nan, begun["stop_day"])
    return Table(begun.spec, {**begun.columns, "stop_day": stop}, begun.file, begun.row)


def _interim(events: Table, day: float, watched: Collection[str]) -> Table:
    """Events with an end of follow-up on `day` for everyone still watched."""
    who = np.array(sorted(watched), dtype=object)
    columns = {c.name: missing(c, len(who)) for c in events.spec.columns}
    columns |= {"participant_id": who, "day": np.full(len(who), float(day)), "event": np.full(len(who), END, object)}
    looked = Table(events.spec, columns, np.full(len(who), "", object), np.zeros(len(who), np.int64))
    return merged(events.spec, [events, looked])
