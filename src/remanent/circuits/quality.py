"""Whether a scan is long and still enough, and how long and still it was."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from remanent.circuits.atlas import lacking
from remanent.circuits.bold import Bold
from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature
from remanent.study.session import Run


def scan_problem(bold: Bold, runs: Sequence[Run]) -> str:
    """Why a scan may not be used, in plain words; empty if it may."""
    rule = definitions().rule
    reasons = [bold.problem] if bold.problem else []
    if bold.n_frames and bold.n_frames < rule("minimum_volumes"):
        reasons.append(f"{bold.n_frames} usable volumes, at least {rule('minimum_volumes'):.0f} are needed")
    if bold.minutes < rule("minimum_minutes"):
        reasons.append(f"{bold.minutes:.1f} usable minutes, at least {rule('minimum_minutes'):g} are needed")
    moved = _high_motion_fraction(runs)
    if moved > rule("maximum_high_motion_fraction"):
        reasons.append(f"{moved:.0%} of the frames moved more than {rule('high_motion_fd'):g} mm and none was censored")
    return "; ".join(reasons)


def quality_features(bold: Bold, runs: Sequence[Run]) -> Iterator[Feature]:
    """Usable minutes, volumes retained, mean framewise displacement (mm, all frames), parcels dropped; no error."""
    values = {
        "qc_minutes_usable": (bold.minutes, "the repetition time or the number of frames is unknown"),
        "qc_volumes_retained": (float(bold.n_frames) if bold.n_frames else np.nan, "the number of frames is unknown"),
        "qc_mean_fd": (_mean_fd_mm(runs), "no framewise displacement was found"),
    }
    for name, (value, reason) in values.items():
        known = bool(np.isfinite(value))
        yield Feature(name, value, 0.0 if known else np.nan, usable=known, reason="" if known else reason)
    atlas, n = runs[0].atlas, lacking(runs[0].atlas, len(bold.labels))
    absent = (
        f"{n} of the {n + len(bold.labels)} parcels of atlas {atlas}, which the file lacks (XCP-D writes every parcel)"
    )
    reason = ", ".join(filter(None, [absent if n else "", _named(bold.dropped)]))
    yield Feature("qc_parcels_dropped", float(len(bold.dropped) + n), 0.0, usable=True, reason=reason)


def _named(dropped: Mapping[str, str], most: int = 5) -> str:
    """The dropped parcels and why, the first few by name."""
    names = [f"{label} ({why})" for label, why in list(dropped.items())[:most]]
    return ", ".join(names) + (f" and {len(dropped) - most} more" if len(dropped) > most else "")


def _fd_mm(runs: Sequence[Run]) -> np.ndarray:
    known = [run.fd_mm[np.isfinite(run.fd_mm)] for run in runs if run.fd_mm is not None]
    return np.concatenate(known) if known else np.zeros(0)


def _mean_fd_mm(runs: Sequence[Run]) -> float:
    """Mean over all frames, or what the pipeline says of it where it left no trace of single frames."""
    fd = _fd_mm(runs)
    if fd.size:
        return float(fd.mean())
    reported = [run.quality["mean_fd"] for run in runs if "mean_fd" in run.quality]
    return float(np.mean(reported)) if reported else np.nan


def _high_motion_fraction(runs: Sequence[Run]) -> float:
    uncensored = [run for run in runs if run.kept is None or run.kept.all()]
    fd = _fd_mm(uncensored)
    return float((fd > definitions().rule("high_motion_fd")).mean()) if fd.size else 0.0
