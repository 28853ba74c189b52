"""`remanent run`: the two levels in order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from remanent._errors import InputError
from remanent.stages.losses import write_problems
from remanent.stages.measure import measure_study
from remanent.stages.options import Options
from remanent.study.outputs import is_ours
from remanent.study.store import Record
from remanent.study.table import Table

if TYPE_CHECKING:
    from remanent.dynamics.design import Design


@dataclass(frozen=True)
class RunSummary:
    """What a run left behind.

    Attributes
    ----------
    participants, healthy
        Everybody, and those of them whom patients are only compared with.
    lost
        Rows, files, columns or values set aside or refused: the exit code is 3 if there are any.
    advice
        Participants by advice.
    converged
        Whether every fit did; None where nothing was fitted.
    message
        What these data can tell about the mechanism, in words; empty at participant level.
    """

    participants: int
    lost: int
    healthy: int = 0
    advice: Mapping[str, int] = field(default_factory=dict)
    converged: bool | None = None
    message: str = ""

    @property
    def usable(self) -> bool:
        """Whether there was anything to fit; true at participant level, which fits nothing."""
        return self.converged is not None or not self.message

    def text(self, out: Path) -> str:
        """A few lines for the terminal."""
        lines = [f"{self.participants} participants{_of_them(self.healthy)}."]
        if self.advice:
            lines.append(
                "Advice (research use only): "
                + ", ".join(f"{count} {code}" for code, count in self.advice.items())
                + "."
            )
        if self.message:
            lines.append(self.message)
        if self.converged is False:
            lines.append(
                "NOT CONVERGED: at least one fit did not converge; the report says which. Do not use the numbers."
            )
        if self.lost:
            lines.append(f"{self.lost} rows, files or values were set aside or refused: see {out / 'problems.tsv'}.")
        lines.append(f"Report: {out / 'index.html'}" if self.message else f"Measured: {out}")
        return "\n".join(lines)


def _of_them(healthy: int) -> str:
    return f", {healthy} of them healthy: patients are compared with them, nothing is fitted to them" if healthy else ""


def run(options: Options, log: Callable[..., None]) -> RunSummary:
    """Read and measure (`participant`), fit and report (`group`), or both."""
    study, out = options.study_root, options.out
    if options.level == "group" and not is_ours(out):
        raise InputError(
            "nothing was measured yet", where=str(out), do=f"Run `remanent run {study} {out} participant` first."
        )
    if options.level != "group":
        measure_study(
            study,
            out,
            workers=options.workers,
            participants=options.participants,
            log=log,
            cluster=options.cluster,
            check=_plan_check(options),
        )
    if options.level == "participant":
        with Record.open(out) as record:
            write_problems(record, out)
            return RunSummary(len(record.table("participants")), _lost(record))
    return group(options, log)


def _plan_check(options: Options, known: "Design | None" = None) -> Callable[[Mapping[str, Table]], None] | None:
    """What refuses plans that nobody can have as soon as the study has been read; `known`: the design of a population fitted before."""
    if not options.plans:
        return None
    from remanent.stages.courses import check_plans

    return partial(check_plans, options.plans, known=known)


def group(options: Options, log: Callable[..., None], *, refit: bool = True) -> RunSummary:
    """Everything after measuring, from the record alone; without `refit`, under the population fitted before."""
    from remanent.stages import population
    from remanent.stages.analyse import Fitting, analyse
    from remanent.stages.cohort import cohort_of
    from remanent.stages.comparable import compare
    from remanent.stages.courses import check_plans, with_plans
    from remanent.stages.planning import plan_ahead
    from remanent.stages.programs import set_up_compiler
    from remanent.stages.publish import Found, publish
    from remanent.stages.relapses import by_rule
    from remanent.stages.rivals import rivalry
    from remanent.stages.standing import standing

    set_up_compiler()
    known = None if refit else population.load(options.out)
    with Record.open(options.out, create=False, seed=options.seed) as record:
        tables = record.tables()
        check_plans(options.plans, tables, known[0] if known else None)
        comparable = compare(record, tables, options.out, learn_anew=refit)
        cohort = cohort_of(tables, comparable.for_model)
        derived = by_rule(cohort.panel, cohort.tables, options.relapse_rule)
        panel = derived.panel if derived else cohort.panel
        record.put_problems("relapse", derived.problems if derived else ())
        record.put_problems("patients", cohort.problems())
        record.put_problems("update", population.not_in(known[0], panel) if known else ())
        results = analyse(
            panel,
            seed=options.seed,
            thresholds=options.thresholds,
            log=log,
            population=known or Fitting(options.inference, options.hazard_breaks, options.form),
            standing=standing(tables, record.problems(), derived.relapse_day if derived else {}),
        )
        results, unable = with_plans(results, options.plans, options.plans_file) if results else (None, [])
        record.put_problems("plans", unable)
        compared = None
        if options.rivals and results:
            compared = rivalry(cohort.tables, cohort.features, results, seed=options.seed, log=log)
        words = derived.words if derived else ""
        planning = plan_ahead(panel, results, options.seed, options.thresholds, options.plans)
        found = Found(panel, results, comparable, planning, words, compared, cohort.healthy)
        publish(record, found, options, log)
        lost = _lost(record)
    codes = [a.code for a in results.advice] if results else []
    return RunSummary(
        participants=len(panel.patients) + len(cohort.healthy.patients),
        lost=lost,
        healthy=len(cohort.healthy.patients),
        advice={code: codes.count(code) for code in dict.fromkeys(codes)},
        converged=results.posterior.converged if results else None,
        message=results.comparison.identifiability.reason
        if results
        else "No participant has a dated rating or usable scan.",
    )


def _lost(record: Record) -> int:
    return sum(problem.action != "used" for problem in record.problems())


def update(options: Options, log: Callable[..., None]) -> RunSummary:
    """Read and measure what is new, and bring every patient up to date by a filter pass under the population fitted before."""
    from remanent.stages import population
    from remanent.stages.relapses import rule_of

    known = population.load(options.out)
    options = replace(options, relapse_rule=options.relapse_rule or rule_of(options.out))
    measure_study(
        options.study_root,
        options.out,
        workers=options.workers,
        participants=options.participants,
        log=log,
        cluster=options.cluster,
        check=_plan_check(options, known[0]),
    )
    return group(options, log, refit=False)
