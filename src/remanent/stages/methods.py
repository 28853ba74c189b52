"""What a run did with its study, in words for the methods page; every count comes from the record or the results."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import dropwhile, takewhile
from typing import Any

import numpy as np

from remanent.dynamics import model, two_basin
from remanent.dynamics.compare import settings
from remanent.dynamics.indicators import pattern
from remanent.dynamics.priors import meanings
from remanent.dynamics.priors import table as prior_table
from remanent.dynamics.weighing import message
from remanent.plan.decide import LIMITS, Thresholds, shipped_thresholds
from remanent.relapse.definition import HEADLINE_DAYS
from remanent.report.check_figures import calibration_summary, calibration_verdict
from remanent.report.checks import Calibration
from remanent.report.methods import MethodsView, Sourced, references
from remanent.stages.analyse import DRAWS, Results
from remanent.stages.timelines import Context
from remanent.study.panel import Panel
from remanent.study.table import Table
from remanent.treatment.sourced import taken

_COMPONENTS = {"f": "function", "s": "structure", "e": "ECT trace", "w": "withdrawal"}
_GROUPS = ("dynamics", "symptom", "feature")


def methods_view(
    panel: Panel,
    results: Results | None,
    context: Context,
    processing: Table,
    thresholds: Mapping[str, Thresholds | None] | None,
) -> MethodsView:
    """What the methods page says of this run."""
    said = (
        ("Participants", _participants(panel, context)),
        ("Scans", _scans(panel, processing)),
        ("Treatment", _treatment(panel)),
        ("Inference", _inference(results)),
        ("Mechanisms", _mechanisms(results)),
        ("Forecasts and advice", _forecasts(results)),
        ("Calibration of the forecasts", "" if results is None else calibration_words(context.checks.calibration)),
    )
    return MethodsView(
        study=context.study,
        paragraphs=tuple((title, text) for title, text in said if text),
        equations=equations("linear" if results is None else results.design.form),
        priors=tuple(prior_rows()),
        thresholds=tuple(threshold_rows({**settings(), **taken(), **(thresholds or shipped_thresholds())})),
        measures=tuple(measure_rows(results)),
        references=references(),
        provenance=context.provenance,
    )


def calibration_words(found: Calibration) -> str:
    """How forecasts of patients left out fared, or why that is not known."""
    if not found.curves:
        return found.unsaid
    verdict = calibration_verdict(found, HEADLINE_DAYS)
    said = (calibration_summary(found), f"{verdict}." if verdict else "", found.note)
    return f"By models that had not seen the patient. {' '.join(filter(None, said))}"


def equations(form: model.FormName) -> str:
    """The equations as dynamics/model.py states them, that of structure as two_basin.py does where this is the form."""
    lines = _indented(model.__doc__)
    if form == "two-basin":
        pull = takewhile(bool, dropwhile(lambda line: not line, _indented(two_basin.__doc__)))
        at = next(k for k, line in enumerate(lines) if line.startswith("ds = "))
        lines[at : at + 1] = pull
    return "\n".join(filter(None, lines))


def _indented(text: str | None) -> list[str]:
    """Each line that is set in, without the indent; the others empty."""
    return [line[4:] if line.startswith("    ") else "" for line in (text or "").splitlines()]


def prior_rows() -> Iterator[Sourced]:
    """Every prior, in words."""
    for group in _GROUPS:
        for name, entry in prior_table()[group].items():
            mean, sd, unit = entry["mean"], entry["sd"], entry.get("unit", "standardised")
            law = f"{mean:g} × or ÷ e^{sd:g}" if entry["scale"] == "log" else f"{mean:g} ± {sd:g}"
            yield Sourced(f"{meanings()[group][name]} ({name})", law, unit, entry["status"], entry["source"])


def threshold_rows(groups: Mapping[str, Mapping[str, Any] | None]) -> Iterator[Sourced]:
    """Every threshold of the analysis and of the advice."""
    for group, entries in groups.items():
        if entries is None:
            yield Sourced(f"diagnosis {group}: no advice", "-", "", "assumed", "No treatment episode.")
            continue
        for name, entry in entries.items():
            said, unit = LIMITS.get(name) or (entry["words"], entry.get("unit", ""))
            of = "" if "words" in entry or group == "default" else f"diagnosis {group}: "
            yield Sourced(f"{of}{said}", f"{entry['value']:g}", unit, entry["status"], entry.get("source", ""))


def measure_rows(results: Results | None) -> Iterator[Sourced]:
    """Every measure that entered the model, with what it may load on and why."""
    if results is None:
        return
    found, scale = pattern(), results.indicators
    for j, name in enumerate(scale.names):
        kind = "symptom" if scale.is_symptom[j] else "ema"
        entry = found["features"].get(name, found[kind])
        loads = " and ".join(_COMPONENTS[c] for c in entry["loads"])
        yield Sourced(name, loads, f"1 = {abs(scale.scale[j]):.4g} of its unit", entry["status"], entry["source"])


def _participants(panel: Panel, context: Context) -> str:
    n = len(panel.patients)
    with_ect = len(set(panel.ect_patient.tolist()))
    diagnoses = Counter(d or "not given" for d in panel.diagnosis)
    relapses = int(panel.relapsed.sum())
    rated = ", ".join(
        f"{name} ({count} ratings)" for name, count in _counted(panel.symptoms.names, panel.symptoms.name)
    )
    rule = f" Relapse was defined by the study: {context.relapse_rule.rstrip('.')}." if context.relapse_rule else ""
    beside = 0 if context.healthy is None else len(context.healthy.patients)
    others = (
        f" {beside} healthy participants beside them: patients are compared with them, nothing is fitted to them."
        if beside
        else ""
    )
    return (
        f"{n} participants (diagnosis: {_listed(diagnoses.items())}); {with_ect} had ECT on record.{others} "
        f"Symptoms of depression were rated with {rated or 'no instrument'}. {relapses} relapses were on record.{rule} "
        f"{len(context.problems)} rows, values or files were used with a doubt, set aside or refused (problems.tsv)."
    )


def _counted(names: tuple[str, ...], index: np.ndarray) -> list[tuple[str, int]]:
    counts = np.bincount(index, minlength=len(names)) if len(names) else np.empty(0, int)
    return [(name, int(c)) for name, c in zip(names, counts, strict=True) if c]


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts)


def _scans(panel: Panel, processing: Table) -> str:
    visits = len(set(zip(panel.features.patient.tolist(), panel.features.day.tolist(), strict=True)))
    if not visits:
        return "No usable scan."
    made = {
        (str(m), str(s)): {str(v) for v, a, b in _rows(processing) if (a, b) == (m, s)}
        for m, s in {(str(a), str(b)) for _, a, b in _rows(processing)}
        if s in {"program", "version", "atlas"}
    }
    told = "; ".join(f"{m} {s}: {', '.join(sorted(values))}" for (m, s), values in sorted(made.items()))
    return (
        f"{visits} scan visits gave usable measures, {len(panel.features.names)} different ones. Made with: {told or 'not recorded'}. "
        "Each value carries the standard error that the scan's length, its motion and its autocorrelation leave; values below the minimum-data rules, and "
        "values of visits processed differently from the person's others, took no part."
    )


def _rows(processing: Table) -> Iterator[tuple[Any, Any, Any]]:
    return zip(processing["value"], processing["modality"], processing["setting"], strict=True)


def _treatment(panel: Panel) -> str:
    drugs = Counter(map(str, panel.doses.drug))
    if not drugs:
        return "No medication is on record."
    return (
        f"Doses: {_listed(sorted(drugs.items()))} (number of dose segments). Exposure follows a one-compartment model of each drug's half-life, "
        "through its occupancy curve where one is published, and serum levels where they were measured; 1 is the usual full dose."
    )


def _inference(results: Results | None) -> str:
    if results is None:
        return "No model was fitted: no participant has a dated rating or usable scan."
    if results.reference:
        return (
            f"No population was fitted: a fit needs {settings()['cohort']['patients']['value']} patients whose doses are known, this study has "
            f"{int(results.fitted.sum())}. "
            f"In its place stands {results.reference}, seen through each patient's own records by a Kalman filter. Random seed {results.seed}."
        )
    bad = [f.mechanism for f in results.posterior.fits if not f.converged]
    state = f"NOT CONVERGED: {', '.join(bad)}." if bad else "All fits converged."
    left = int((~results.fitted).sum())
    apart = f" (not to {left} whose doses are not fully known)" if left else ""
    form = " with two basins of structure" if results.design.form == "two-basin" else ""
    return (
        f"One state-space model{form} was fitted to {int(results.fitted.sum())} patients{apart} and {len(results.indicators.names)} measures under each of "
        "four mechanisms. The patients' latent states and random effects were integrated out by a Kalman filter on each patient's own days; relapse entered "
        f"by an assumed-density update of the hazard, scores at the end of their scale as at most or at least that score. The {results.posterior.layout.size} "
        "population parameters were estimated by the mode of their posterior with a Laplace approximation. "
        f"{state} {_approximation(results)}Random seed {results.seed}."
    )


def _approximation(results: Results) -> str:
    said = [f"under {one.mechanism} it {message(one.weighed)}" for one in results.posterior.fits if one.weighed]
    return f"The approximation was checked by importance weights of its own draws: {'; '.join(said)}. " if said else ""


def _mechanisms(results: Results | None) -> str:
    if results is None:
        return ""
    return (
        "Mechanisms were compared by Laplace evidence with equal prior probabilities, patients by random-effects selection. Whether the design can tell "
        f"at all was judged on simulated copies of it. {results.comparison.identifiability.reason}"
    )


def _forecasts(results: Results | None) -> str:
    if results is None:
        return ""
    shown = {plan: int(informed.sum()) for plan, informed in results.outcome.informed.items()}
    counts = (
        f"all of them rest on {results.reference}, and none counts as informed by this study"
        if results.reference
        else f"patients with an informed forecast: {_listed(shown.items())}"
    )
    return (
        f"Relapse was forecast from each patient's last record with {DRAWS} posterior draws, shared out among mechanisms by evidence; "
        f"the Monte Carlo error of a mean is about {100 / DRAWS**0.5:.0f} % of the spread of the draws. A forecast counts as "
        f"informed if the data removed enough of the prior variance of its logit; {counts}. "
        "Advice follows a fixed rule with the thresholds below; intervals are 90 %."
    )
