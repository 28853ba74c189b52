"""What a fit takes from a study beside its data: measures, drug classes, placements, covariates, stressors and the scale of each.

A `Design` is frozen with the population it was fitted to, so that `remanent update` reads a new visit on the same scales. Nothing in it is estimated by
the model: centres are medians or means of the study, and which classes, placements and covariates exist is what the study holds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from remanent.dynamics.indicators import Indicators, choose_indicators, named_values
from remanent.dynamics.model import FormName
from remanent.study.panel import Panel
from remanent.treatment.drugs import CLASSES, NOT_DRUGS, find

TETHER = "prs_mdd"
RISK = "age"
RESERVE = ("education_years", "premorbid_iq")
YEARS_PER_DECADE = 10.0


@dataclass(frozen=True)
class Covariate:
    """A number about a patient as the model reads it: (value - centre) / scale, 0 where unknown; with a `level`, 1 for that diagnosis and 0 for others."""

    name: str
    column: str
    centre: float = 0.0
    scale: float = 1.0
    level: str | None = None


@dataclass(frozen=True)
class Design:
    """The frozen part of a fit.

    Attributes
    ----------
    indicators
        Measures and their scales.
    crp_centre, sleep_centre
        Median log CRP (mg/L) and median total sleep time (h) of the study: the zero of these stressors; NaN where never measured.
    classes, class_weight
        Drug classes that anybody took, and the share of patients' courses in each, [class].
    placements, placement_weight
        Electrode placements by number of sessions, and their share, [placement].
    tether, risk, reserve
        Covariates of the level of structure, of the hazard of relapse, and of the sensitivity to stressors (their mean counts).
    dropout
        Whether anybody dropped out: only then has dropout a hazard.
    breaks
        Days on which the hazard of relapse may change, ascending.
    form
        How structure is pulled back: to one level, or to one of two on either side of a tipping point.
    diagnosis
        The most common one, which the level of structure of the others is told against; None where none is on record.
    psychotherapy
        Whether anybody had it.
    """

    indicators: Indicators
    crp_centre: float
    sleep_centre: float
    classes: tuple[str, ...]
    class_weight: tuple[float, ...]
    placements: tuple[str, ...]
    placement_weight: tuple[float, ...]
    tether: tuple[Covariate, ...]
    risk: tuple[Covariate, ...]
    reserve: tuple[Covariate, ...]
    dropout: bool
    breaks: tuple[float, ...] = ()
    form: FormName = "linear"
    diagnosis: str | None = None
    psychotherapy: bool = False

    @property
    def diagnoses(self) -> tuple[str, ...]:
        """Every diagnosis that the level of structure may depend on."""
        return tuple(d for d in (self.diagnosis, *(c.level for c in self.tether)) if d is not None)

    @property
    def periods(self) -> tuple[str, ...]:
        """Names of the periods of the hazard after the first."""
        return tuple(f"{a:g} to {b:g}" for a, b in pairwise((*self.breaks, np.inf)))

    def placement_of(self, placements: Sequence[str | None]) -> np.ndarray:
        """Row of each session's placement; one that is unknown, or new since the fit, counts as the study's most common."""
        row = {name: k for k, name in enumerate(self.placements)}
        return np.array([row.get(str(name), 0) for name in placements], int)


def choose_design(panel: Panel, breaks: Sequence[float] = (), form: FormName = "linear") -> Design:
    """Everything the panel holds that the model can use."""
    crp, sleep = named_values(panel.labs, "crp"), named_values(panel.sleep, "tst_h")
    taken = Counter(_class_of(drug) for drug, dose in _distinct_doses(panel) if dose > 0)
    classes = tuple(c for c in CLASSES if taken[c] and c not in NOT_DRUGS)
    given = Counter(str(p) for p in panel.ect_placement if p is not None)
    given = given or Counter(unknown=len(panel.ect_placement))
    placements = tuple(name for name, n in given.most_common() if n)
    diagnoses = _by_number(panel)
    return Design(
        indicators=choose_indicators(panel),
        crp_centre=float(np.median(log_crp(crp))) if crp.size else np.nan,
        sleep_centre=float(np.median(sleep)) if sleep.size else np.nan,
        classes=classes,
        class_weight=_shares([taken[c] for c in classes]),
        placements=placements,
        placement_weight=_shares([given[p] for p in placements]),
        tether=(
            *_standardised(panel, TETHER),
            *(Covariate(f"diagnosis {name}", "diagnosis", level=name) for name in diagnoses[1:]),
        ),
        risk=_standardised(panel, RISK, YEARS_PER_DECADE),
        reserve=tuple(c for name in RESERVE for c in _standardised(panel, name)),
        dropout=bool(panel.dropped_out.any()),
        breaks=tuple(sorted(float(b) for b in breaks)),
        form=form,
        diagnosis=diagnoses[0] if diagnoses else None,
        psychotherapy=any(taken[c] for c in NOT_DRUGS),
    )


def read_covariates(panel: Panel, covariates: Sequence[Covariate]) -> Float[np.ndarray, "covariate patient"]:
    """Each covariate of each patient, 0 where unknown."""
    return np.array([_read(panel, c) for c in covariates]).reshape(len(covariates), len(panel.patients))


def read_reserve(panel: Panel, covariates: Sequence[Covariate]) -> Float[np.ndarray, " patient"]:
    """Mean of those proxies of reserve that are known of a patient, 0 where none is."""
    z = read_covariates(panel, covariates)
    known = np.array([np.isfinite(panel.people[c.column]) for c in covariates]).reshape(z.shape)
    return z.sum(0) / np.maximum(known.sum(0), 1)


def log_crp(mg_l: np.ndarray) -> np.ndarray:
    """Natural log of CRP (mg/L), with values below 0.1 mg/L, under the limit of most assays, read as 0.1."""
    return np.log(np.maximum(mg_l, 0.1))


def _distinct_doses(panel: Panel) -> list[tuple[str, float]]:
    """Each drug of each patient once, with its largest dose."""
    largest: dict[tuple[int, str], float] = {}
    for patient, drug, dose in zip(panel.doses.patient, panel.doses.drug, panel.doses.dose_mg_day, strict=True):
        key = int(patient), str(drug)
        largest[key] = max(largest.get(key, 0.0), float(dose))
    return [(drug, dose) for (_, drug), dose in largest.items()]


def _class_of(drug: str) -> str:
    known = find(drug)
    return "" if known is None else known.drug_class


def _shares(counts: Sequence[int]) -> tuple[float, ...]:
    return tuple(n / max(sum(counts), 1) for n in counts)


def _standardised(panel: Panel, column: str, scale: float | None = None) -> tuple[Covariate, ...]:
    """The column as z within the study, or in units of `scale` about its mean; none if it does not vary."""
    values = panel.people[column]
    known = values[np.isfinite(values)]
    if known.size < 2 or np.ptp(known) == 0:
        return ()
    return (Covariate(column, column, float(known.mean()), scale or float(known.std())),)


def _by_number(panel: Panel) -> list[str]:
    """Diagnoses, the most common first."""
    return [name for name, _ in Counter(d for d in panel.diagnosis if d).most_common()]


def _read(panel: Panel, covariate: Covariate) -> np.ndarray:
    if covariate.level is not None:
        return np.array([d == covariate.level for d in panel.diagnosis], float)
    z = (panel.people[covariate.column] - covariate.centre) / covariate.scale
    return np.where(np.isfinite(z), z, 0.0)
