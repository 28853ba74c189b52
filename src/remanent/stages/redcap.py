"""`remanent redcap`: a REDCap export becomes a study on disk, for every other command."""

from pathlib import Path

from remanent.stages.measure import usable_drugs
from remanent.study.check import render, summarise
from remanent.study.redcap import read_redcap
from remanent.study.table import Study
from remanent.study.write import write_study


def from_redcap(export: Path, mapping: Path, study: Path) -> tuple[str, int]:
    """Write the study; what of it can be used and what was left out, in one screen, and the exit code of `remanent check`."""
    tables, problems, lost = read_redcap(export, mapping, **usable_drugs())
    left = write_study(tables, study, problems, lost, export)
    summary = summarise(Study(study, {}, tables, (), problems))
    lines = [render(summary), f"Written: {study}"]
    if problems:
        lines.append(f"What was set aside or needs a look, by line of {export.name}: {left}")
    return "\n".join(lines), summary.exit_code
