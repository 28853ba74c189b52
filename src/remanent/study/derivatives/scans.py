"""One BOLD run's frames as XCP-D leaves them: motion, censoring, repetition time, quality, and the settings in use."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from remanent._errors import Problem
from remanent._types import Mask, Vector
from remanent.study.derivatives.files import RefusedError, read_json, read_numeric, read_text
from remanent.study.derivatives.fmriprep import valid_fd
from remanent.study.index import DerivativeFile

_QUALITY = (
    "mean_fd",
    "mean_fd_post_censoring",
    "mean_relative_rms",
    "max_relative_rms",
    "mean_dvars_initial",
    "mean_dvars_final",
    "num_dummy_volumes",
    "num_censored_volumes",
    "num_retained_volumes",
    "coreg_dice",
    "norm_dice",
)
_TR_LIMITS_S = (0.1, 20.0)


@dataclass(frozen=True, slots=True)
class Scan:
    """The files of one BOLD run or one joined session that do not depend on the atlas, by role."""

    files: Mapping[str, DerivativeFile]

    def path(self, role: str) -> str | None:
        """The path of the file in that role; None where there is none."""
        return self.files[role].path if role in self.files else None


def role_of(file: DerivativeFile) -> str | None:
    """What a file tells about a run: motion, outliers, design, quality, or a sidecar of the run's images."""
    desc = file.entities.get("desc")
    if file.suffix == "qc" and desc == "linc" and file.extension in {".tsv", ".csv"}:
        return "quality"
    if file.extension == ".tsv" and file.suffix in {"motion", "outliers", "design"}:
        return file.suffix
    if file.extension == ".json" and file.suffix in {"motion", "outliers"}:
        return f"{file.suffix}_sidecar"
    if file.extension == ".json" and file.suffix == "bold":
        return {"denoisedSmoothed": "smoothed_sidecar"}.get(desc or "", "bold_sidecar" if desc else None)
    return None


def read_outliers(root: Path, file: str) -> Mask:
    """The frames that censoring keeps, [full_frame], from ``*_outliers.tsv`` (1: above the motion limit)."""
    table = read_numeric(root, file, columns=["framewise_displacement"])
    flags = table.values[:, 0]
    wrong = ~np.isin(flags, (0.0, 1.0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0]) + 2
        raise RefusedError(file, "An outlier flag must be 0 or 1; the censoring of this run is not known.", row=row)
    return flags == 0


def read_motion(root: Path, file: str) -> Vector:
    """Framewise displacement (mm) of every volume, [full_frame], from ``*_motion.tsv``, before any respiratory filter.

    XCP-D up to 0.10 writes the filtered values alone if a filter is used (``desc-filtered_motion``).
    """
    names = ("framewise_displacement", "framewise_displacement_filtered")
    table = read_numeric(root, file, columns=names)
    fd_mm = table.column(names[0])
    return valid_fd(file, table.values[:, 0] if fd_mm is None else fd_mm)


def read_quality(root: Path, file: str) -> Mapping[str, float]:
    """The numbers of ``*_desc-linc_qc.tsv`` (``.csv`` up to XCP-D 0.6)."""
    delimiter = "," if file.endswith(".csv") else "\t"
    table = read_numeric(root, file, delimiter=delimiter, columns=_QUALITY)
    return dict(zip(table.columns, table.values[0].tolist(), strict=True))


def join_quality(parts: Iterable[Mapping[str, float]]) -> Mapping[str, float]:
    """Quality of joined runs: counts added, overlaps and maxima by their worst, means weighted by kept volumes."""
    found = [part for part in parts if part]
    if not found:
        return {}
    weights = np.array([part.get("num_retained_volumes", np.nan) for part in found])
    weights = weights if np.isfinite(weights).all() and weights.sum() > 0 else np.ones(len(found))
    joined = {}
    for name in _QUALITY:
        values = np.array([part.get(name, np.nan) for part in found])
        if name.startswith("num_"):
            joined[name] = float(values.sum())
        elif name.startswith("max_"):
            joined[name] = float(values.max())
        elif name.endswith("_dice"):
            joined[name] = float(values.min())
        else:
            joined[name] = float(values @ weights / weights.sum())
    return {name: value for name, value in joined.items() if np.isfinite(value)}


def repetition_time(sidecars: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[float | None, list[Problem]]:
    """The repetition time (s) from the first sidecar that tells it: RepetitionTime, or numeric SamplingFrequency (Hz).

    XCP-D writes ``"SamplingFrequency": "TR"``, which tells nothing.
    """
    problems: list[Problem] = []
    for file, sidecar in sidecars:
        interval = _positive(sidecar.get("RepetitionTime"))
        frequency = _positive(sidecar.get("SamplingFrequency"))
        tr_s = interval or (1 / frequency if frequency else None)
        if tr_s is None:
            continue
        if _TR_LIMITS_S[0] <= tr_s <= _TR_LIMITS_S[1]:
            return tr_s, problems
        why = f"A repetition time of {tr_s:g} s is not possible ({_TR_LIMITS_S[0]:g} to {_TR_LIMITS_S[1]:g} s)"
        problems.append(
            Problem(file, None, "RepetitionTime", f"{why}; it is not used. Give it in seconds.", "set_aside")
        )
    return None, problems


def _nuisance(root: Path, scan: Scan) -> Mapping[str, str]:
    """``gsr`` (yes, no), ``nuisance`` (acompcor, aroma, signals) and ``n_regressors``, from the design's columns.

    Components and cosines do not count: their number goes with the scan, not with the settings.
    """
    design = scan.path("design")
    if design is None:
        return {}
    columns = {name.strip().split("_hash-")[0] for name in _header(root, design).split("\t")}
    names = columns - {"intercept", "linear_trend", ""}
    components = any(name.startswith(("w_comp_cor_", "c_comp_cor_", "a_comp_cor_")) for name in names)
    aroma = any("aroma" in name.lower() for name in names)
    return {
        "gsr": "yes" if "global_signal" in names else "no",
        "nuisance": "acompcor" if components else "aroma" if aroma else "signals",
        "n_regressors": str(sum(not re.search("comp_?cor|cosine|aroma", name, re.IGNORECASE) for name in names)),
    }


def _censoring(root: Path, scan: Scan) -> Mapping[str, str]:
    """``fd_threshold_mm``; 0 where there is motion and no outliers, because XCP-D writes outliers only where it censors."""
    if scan.path("outliers") is None:
        return {} if scan.path("motion") is None else {"fd_threshold_mm": "0"}
    threshold = _threshold(_sidecar(root, scan, "outliers_sidecar"))
    return {} if threshold is None else {"fd_threshold_mm": f"{threshold:g}"}


def _filtering(root: Path, scan: Scan) -> Mapping[str, str]:
    """``bandpass_hz``, e.g. ``0.01-0.08``; an open end is left out."""
    bandpass = _bandpass(_sidecar(root, scan, "bold_sidecar"))
    return {"bandpass_hz": bandpass} if bandpass else {}


def _smoothing(root: Path, scan: Scan) -> Mapping[str, str]:
    """``smoothing_fwhm_mm`` of the smoothed maps; parcel series are not smoothed."""
    fwhm = _positive(_sidecar(root, scan, "smoothed_sidecar").get("FWHM"))
    return {"smoothing_fwhm_mm": f"{fwhm:g}"} if fwhm else {}


def _motion_filter(root: Path, scan: Scan) -> Mapping[str, str]:
    """``motion_filter`` (yes, no): whether breathing was filtered out of the motion that censoring rests on."""
    if "motion" not in scan.files:
        return {}
    motion = scan.files["motion"]
    filtered = motion.entities.get("desc") == "filtered" or "_filtered" in _header(root, motion.path)
    return {"motion_filter": "yes" if filtered else "no"}


# The settings that change values, as far as a run's files tell them; one that they do not tell is absent.
SETTINGS = (_nuisance, _censoring, _filtering, _smoothing, _motion_filter)


def _header(root: Path, file: str) -> str:
    return read_text(root, file).partition("\n")[0]


def _sidecar(root: Path, scan: Scan, role: str) -> Mapping[str, Any]:
    path = scan.path(role)
    return {} if path is None else read_json(root, path)


def _threshold(sidecar: Mapping[str, Any]) -> float | None:
    """The motion limit (mm): under the column's name from 0.5 on, or at the top."""
    for key, value in sidecar.items():
        if key.split("_hash-")[0] == "framewise_displacement" and isinstance(value, Mapping) and "Threshold" in value:
            return _number(value["Threshold"])
    return _number(sidecar.get("Threshold"))


def _bandpass(sidecar: Mapping[str, Any]) -> str:
    """Pass band (Hz) from ``SoftwareFilters``."""
    filters = sidecar.get("SoftwareFilters")
    if not isinstance(filters, Mapping):
        return ""
    low = high = None
    for name, values in filters.items():
        if isinstance(values, Mapping):
            cutoff = _number(values.get("cutoff (Hz)"))
            low = _number(values.get("High-pass cutoff (Hz)")) or (cutoff if "High" in name else low)
            high = _number(values.get("Low-pass cutoff (Hz)")) or (cutoff if "Low" in name else high)
    return "" if low is None and high is None else f"{_plain(low)}-{_plain(high)}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > 1e300:
        return None
    return float(value) if np.isfinite(value) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None
