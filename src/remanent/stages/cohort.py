"""A record's patients, whom models are fitted to, and its healthy participants, whom patients are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass

from remanent._errors import Problem
from remanent.stages.early_warning import with_measures
from remanent.stages.standing import without_records
from remanent.study.panel import Panel, build_panel
from remanent.study.people import parted, said_of_healthy
from remanent.study.table import Table

_FEATURES = "features"


@dataclass(frozen=True)
class Cohort:
    """Patients: tables, features as the model sees them, and panel. Healthy participants: tables, and the panel that their pages show."""

    tables: Mapping[str, Table]
    features: Table
    panel: Panel
    healthy_tables: Mapping[str, Table]
    healthy: Panel

    def problems(self) -> list[Problem]:
        """Who has nothing dated on record, and who is not a patient."""
        silent = [
            problem
            for tables, panel in ((self.tables, self.panel), (self.healthy_tables, self.healthy))
            for problem in without_records(tables["participants"], panel.last_day)
        ]
        return [*silent, *said_of_healthy(self.healthy_tables)]


def cohort_of(tables: Mapping[str, Table], for_model: Table) -> Cohort:
    """Everybody in the tables of a record; `for_model`: features of everybody."""
    ill, healthy = parted({**tables, _FEATURES: for_model})
    features, others = ill.pop(_FEATURES), healthy.pop(_FEATURES)
    return Cohort(ill, features, with_measures(build_panel(ill, features)), healthy, build_panel(healthy, others))
