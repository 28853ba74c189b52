"""Do claimed errors hold in real repeats? Repeat difference over its claimed error, for every feature of every person.

usage: python tools/validate_retest.py STUDY     e.g. the HCP retest folder; prints the table of docs/validation/circuits.md

A standard normal has a root mean square of 1. `denoised`: with global signal regression and a 0.01-0.08 Hz band-pass put
on the series as they lie there, which is what XCP-D's defaults do.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import signal, stats

from remanent.circuits.feature import Feature
from remanent.circuits.measure import measure
from remanent.study.bids import load_session
from remanent.study.index import index_study
from remanent.study.session import SessionData

FAMILIES: Mapping[str, str | tuple[str, ...]] = {
    "network FC": "fc_",
    "segregation, Q": ("segregation_", "q_"),
    "participation": "participation_",
    "signed scores": "score_",
    "lag-1 autocorrelation": "ac1_",
    "intrinsic timescale": "int_",
    "ALFF": "alff_",
    "coupling, rank": "sfc_spearman_",
    "coupling, R²": "sfc_r2_",
}
Person = list[dict[str, Feature]]


def people(study: Path) -> dict[str, list[SessionData]]:
    """Sessions by person; a person's connectome, the same anatomy, serves all of its sessions."""
    found: dict[str, list[SessionData]] = defaultdict(list)
    for files in index_study(study).sessions:
        found[files.participant_id].append(load_session(study, files))
    for sessions in found.values():
        wires = next((one.connectomes for one in sessions if one.connectomes), ())
        sessions[:] = [replace(one, connectomes=wires) for one in sessions]
    return found


def denoised(session: SessionData) -> SessionData:
    """Regress the global signal out and keep 0.01-0.08 Hz."""
    runs = []
    for run in session.runs:
        if run.series is None or run.tr_s is None:
            continue
        x = signal.detrend(run.series, axis=0)
        mean = stats.zscore(x).mean(axis=1, keepdims=True)
        band = signal.butter(2, [0.01, 0.08], "band", fs=1 / run.tr_s, output="sos")
        runs.append(replace(run, series=signal.sosfiltfilt(band, x - mean @ np.linalg.lstsq(mean, x)[0], axis=0)))
    return replace(session, runs=tuple(runs))


def measured(sessions: Sequence[SessionData]) -> Person:
    """Usable features of the first two sessions, by name."""
    return [{f.name: f for f in measure(one) if f.usable} for one in sessions[:2]]


def ratios(person: Person) -> dict[str, float]:
    """Repeat difference over its claimed error, by feature; structure alone has no repeat here."""
    first, second = person
    both = [(first[n], second[n]) for n in first if n in second and first[n].se > 0 and not n.startswith("sc_")]
    return {a.name: (b.value - a.value) / float(np.hypot(a.se, b.se)) for a, b in both}


def table(groups: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    """A line a family: number of values, then root mean square and share beyond 1.96 for every person of every group."""
    heads = [f"{group}, person {i + 1}" for group, found in groups.items() for i in range(len(found))]
    lines = ["| | values | " + " | ".join(heads) + " |", "|---" * (len(heads) + 2) + "|"]
    for family, start in FAMILIES.items():
        cells = []
        for found in groups.values():
            for person in found:
                z = np.array([value for name, value in person.items() if name.startswith(start)])
                cells.append(f"{np.sqrt(np.mean(z**2)):.1f} ({np.mean(np.abs(z) > 1.96):.0%})" if len(z) else "")
        count = sum(name.startswith(start) for name in next(iter(groups.values()))[0])
        lines.append(f"| {family} | {count} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Print the table of families, then every feature."""
    found = people(Path(sys.argv[1]))
    groups = {
        "as published": [ratios(measured(sessions)) for sessions in found.values()],
        "denoised": [ratios(measured([denoised(one) for one in sessions])) for sessions in found.values()],
    }
    print("\n".join(table(groups)))
    print(f"\n{'feature':36s}" + "".join(f"{group:>24s}" for group in groups))
    for name in groups["as published"][0]:
        cells = ["".join(f"{person.get(name, np.nan):12.2f}" for person in group) for group in groups.values()]
        print(f"{name:36s}" + "".join(cells))


if __name__ == "__main__":
    main()
