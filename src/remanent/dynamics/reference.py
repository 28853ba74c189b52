"""The reference prior (reference_prior.json): what published trials say of a population, for a patient without a cohort. Always a prior, never a finding.

The file holds mean and covariance of some coordinates of theta under each mechanism; every other coordinate keeps its prior. It is made by
tools/validate_replay.py from the trials that trial/trials.yaml marks as fitted, and says so.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from remanent.dynamics.filter import Grid
from remanent.dynamics.infer import Fit, Posterior, on_data
from remanent.dynamics.priors import Layout


@cache
def reference() -> Mapping[str, Any]:
    """reference_prior.json: names, mean and cov by mechanism, and where they come from."""
    document: dict[str, Any] = json.loads((files("remanent.dynamics") / "reference_prior.json").read_text("utf-8"))
    return document


def reference_words() -> str:
    """What it is, in one sentence."""
    made = reference()
    return (
        f"the reference prior, made on {made['made']} from {len(made['trials'])} published trials of maintenance after ECT "
        "(relapse counts read in abstracts; no patient of this study)"
    )


def reference_posterior(layout: Layout) -> Posterior:
    """The reference prior in the coordinates of a study; what the trials say nothing about is as in priors.yaml."""
    names: list[str] = reference()["names"]
    known = [(k, layout.index(name)) for k, name in enumerate(names) if name in layout.names]
    rows, at = (np.array(part, int) for part in zip(*known, strict=True))
    fits = []
    for entry in reference()["fits"]:
        mode, cov = np.zeros(layout.size), np.eye(layout.size)
        mode[at] = np.array(entry["mean"])[rows]
        cov[np.ix_(at, at)] = np.array(entry["cov"])[np.ix_(rows, rows)]
        fits.append(
            Fit(
                mechanism=entry["mechanism"],
                mode=mode,
                cov=cov,
                log_evidence=float(entry["log_evidence"]),
                patient_log_lik=np.empty(0),
                converged=True,
                message=f"not fitted to this study: {reference_words()}",
            )
        )
    return Posterior(layout, tuple(fits), reference=True)


def reference_on(layout: Layout, grid: Grid) -> Posterior:
    """The reference prior with the likelihood of these patients: mechanisms are weighed by the trials and by them."""
    met = on_data(reference_posterior(layout), grid)
    fits = (replace(f, log_evidence=f.log_evidence + float(f.patient_log_lik.sum())) for f in met.fits)
    return replace(met, fits=tuple(fits))
