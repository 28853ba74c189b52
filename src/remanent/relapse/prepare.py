"""Features ready for a model: site effects removed, gaps filled, scaled. Everything is learnt from the rows of `learn_preparation` and from no other."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from remanent.circuits.definitions import definitions
from remanent.circuits.harmonise import Harmonisation, harmonise, learn
from remanent.relapse.landmark import Landmarks

LEAST_MISSING = 0.02  # share of gaps from which a feature's absence becomes a feature itself
LEAST_KNOWN = 0.1  # share of values below which a feature is left out
_CHANGE = "_change"


@dataclass(frozen=True)
class Sites:
    """Site effects of scan features at their columns; `centre` fills a missing age or sex."""

    columns: Int[np.ndarray, " column"]
    learnt: Harmonisation
    centre: Float[np.ndarray, " covariate"]


@dataclass(frozen=True)
class Preparation:
    """What was learnt from the training rows.

    Attributes
    ----------
    names
        Of the prepared columns: the features kept, then `missing_<feature>`.
    kept, flagged
        Columns used, and columns whose gaps are marked.
    fill, mean, sd
        Median of each column, and mean and standard deviation of each prepared column.
    """

    names: tuple[str, ...]
    sites: Sites | None
    kept: Int[np.ndarray, " kept"]
    flagged: Int[np.ndarray, " flag"]
    fill: Float[np.ndarray, " kept"]
    mean: Float[np.ndarray, " prepared"]
    sd: Float[np.ndarray, " prepared"]

    def of(self, rows: Landmarks) -> Float[np.ndarray, "row prepared"]:
        """The rows as the model sees them: no gaps, mean 0 and sd 1 in the training rows."""
        return (_filled(_without_sites(rows, self.sites), self.kept, self.flagged, self.fill) - self.mean) / self.sd


def learn_preparation(train: Landmarks) -> Preparation:
    """Learn from training rows: site effects (where at least two sites have enough of them), medians, means, spreads."""
    sites = _learn_sites(train)
    x = _without_sites(train, sites)
    known = np.isfinite(x)
    share = known.mean(0) if len(x) else np.zeros(x.shape[1])
    spread = np.array([np.ptp(c[k]) if k.any() else 0.0 for c, k in zip(x.T, known.T, strict=True)])
    kept = np.flatnonzero((share >= LEAST_KNOWN) & (spread > 1e-12))
    flagged = np.flatnonzero((share <= 1 - LEAST_MISSING) & (share >= LEAST_MISSING))
    fill = np.array([np.median(x[known[:, k], k]) for k in kept], float)
    raw = _filled(x, kept, flagged, fill)
    sd = raw.std(0)
    names = (*(train.names[k] for k in kept), *(f"missing_{train.names[k]}" for k in flagged))
    return Preparation(names, sites, kept, flagged, fill, raw.mean(0), np.where(sd > 1e-12, sd, 1.0))


def _filled(x: np.ndarray, kept: np.ndarray, flagged: np.ndarray, fill: np.ndarray) -> np.ndarray:
    chosen = x[:, kept]
    return np.concatenate([np.where(np.isfinite(chosen), chosen, fill), np.isnan(x[:, flagged]).astype(float)], axis=1)


def _learn_sites(train: Landmarks) -> Sites | None:
    """Effects on levels of scan features, from each patient's last landmark; a change within a person needs none."""
    train = train.only(_last_rows(train))
    there = np.isfinite(train.x)
    levels = train.circuit & np.array([not n.endswith(_CHANGE) for n in train.names], bool)
    large = [there[train.site == one].sum(0) for one in np.unique(train.site.astype(str)) if one]
    enough = np.sum([n >= definitions().rule("minimum_site_scans") for n in large], axis=0) if large else 0
    varied = np.array([len(np.unique(c[k])) > 2 for c, k in zip(train.x.T, there.T, strict=True)], bool)
    columns = np.flatnonzero(levels & (enough >= 2) & varied)
    if not len(columns):
        return None
    covariates, centre = _covariates(train, None)
    learnt = learn(train.x[:, columns], covariates, train.site.astype(str).tolist(), train.patient.astype(str).tolist())
    return Sites(columns, learnt, centre)


def _last_rows(rows: Landmarks) -> np.ndarray:
    order = np.lexsort((-rows.day, rows.patient))
    return order[np.unique(rows.patient[order], return_index=True)[1]]


def _without_sites(rows: Landmarks, sites: Sites | None) -> np.ndarray:
    if sites is None or not len(rows):
        return rows.x
    covariates, _ = _covariates(rows, sites.centre)
    x = rows.x.copy()
    x[:, sites.columns] = harmonise(sites.learnt, x[:, sites.columns], covariates, rows.site.astype(str).tolist())[0]
    return x


def _covariates(rows: Landmarks, centre: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Age and sex, gaps filled with the training rows' means."""
    raw = np.column_stack([rows.column(n) if n in rows.names else np.zeros(len(rows)) for n in ("age", "sex")])
    there: Bool[np.ndarray, "row covariate"] = np.isfinite(raw)
    if centre is None:
        total = np.where(there, raw, 0.0).sum(0)
        centre = total / np.maximum(there.sum(0), 1)
    return np.where(there, raw, centre), centre
