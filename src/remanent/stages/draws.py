"""Draws of today, kept beside the record by a run, so that what is asked later rests on the same draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from remanent.dynamics.forecast import Today
from remanent.dynamics.infer import Posterior
from remanent.relapse.predict import Ensemble
from remanent.study.store import Record

AFTER, BEFORE = "today_after", "today_before"
PEOPLE = "today_people"


def keep_draws(record: Record, people: Sequence[str], after: Ensemble, before: Ensemble) -> None:
    """Write the draws of today of every patient (lane), given the data and from the prior."""
    weights = {"weight_after": after.weight, "weight_before": before.weight}
    record.put_draws(PEOPLE, {"participant_id": np.array(people, object), **weights})
    record.put_draws(AFTER, _arrays(after))
    record.put_draws(BEFORE, _arrays(before))


def _arrays(ensemble: Ensemble) -> dict[str, np.ndarray]:
    """Draws of all mechanisms one after the other, [draw, ...]; `mechanism` says whose each is."""
    counts = [len(today.theta) for today in ensemble.today]
    found = {"mechanism": np.repeat(np.array(ensemble.mechanisms), counts)}
    for name in Today._fields:
        parts = [getattr(today, name) for today in ensemble.today]
        if all(part is not None for part in parts):
            found[name] = np.concatenate(parts)
    return found


@dataclass(frozen=True)
class Drawn:
    """Draws of today of the patients of a run, given the data and from the prior; empty where a run kept none."""

    people: tuple[str, ...] = ()
    ensembles: tuple[Ensemble, ...] = ()

    def of(self, participant_id: str) -> tuple[Ensemble, Ensemble] | None:
        """Those of one patient, after and before; None where there are none."""
        lane = self.lane(participant_id)
        if lane is None:
            return None
        after, before = (ensemble.of(lane) for ensemble in self.ensembles)
        return after, before

    def lane(self, participant_id: str) -> int | None:
        """Where one patient stands among them."""
        return self.people.index(participant_id) if participant_id in self.people else None


def kept_draws(record: Record, posterior: Posterior) -> Drawn:
    """The draws that the last run kept.

    Raises
    ------
    InputError
        Their file is missing or was changed.
    """
    if any(record.path_of_draws(name) is None for name in (PEOPLE, AFTER, BEFORE)):
        return Drawn()
    lanes = record.draws(PEOPLE)
    parts = ((AFTER, "weight_after"), (BEFORE, "weight_before"))
    ensembles = tuple(_ensemble(posterior, record.draws(name), lanes[weight]) for name, weight in parts)
    return Drawn(tuple(lanes["participant_id"].tolist()), ensembles)


def _ensemble(posterior: Posterior, arrays: Mapping[str, np.ndarray], weight: np.ndarray) -> Ensemble:
    whose = arrays["mechanism"]
    which = tuple(dict.fromkeys(whose.tolist()))
    draws = (
        Today(**{name: values[whose == m] for name, values in arrays.items() if name != "mechanism"}) for m in which
    )
    return Ensemble(posterior, which, tuple(draws), weight)
