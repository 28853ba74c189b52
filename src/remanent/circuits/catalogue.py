"""What every feature name means, in one sentence with its unit; and features as a table other programs read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature

_NETWORKS = {
    "cont": "fronto-parietal control network",
    "default": "default mode network",
    "dorsattn": "dorsal attention network",
    "limbic": "limbic network",
    "salventattn": "salience and ventral attention network",
    "sommot": "somatomotor network",
    "vis": "visual network",
    "global": "whole brain",
    "frontolimbic": "limbic structures to prefrontal default and control parcels",
    "system": "all networks",
}
_THICKNESS = {
    "racc": "rostral anterior cingulate",
    "cacc": "caudal anterior cingulate",
    "pcc": "posterior cingulate",
    "icc": "isthmus cingulate",
    "mofc": "medial orbitofrontal cortex",
    "rmfg": "rostral middle frontal gyrus",
    "cmfg": "caudal middle frontal gyrus",
}
_KINDS: tuple[tuple[str, str, str], ...] = (  # the first prefix that fits
    ("sfc_spearman_", "structure-function coupling, mean regional rank correlation over existing connections: {}", "1"),
    (
        "sfc_r2_",
        "structure-function coupling, mean regional adjusted R² on path length, communicability, distance: {}",
        "1",
    ),
    ("participation_", "mean participation coefficient: {}", "1"),
    ("segregation_", "system segregation: {}", "1"),
    ("ac1_", "lag-1 autocorrelation: {}", "1"),
    ("int_", "intrinsic timescale: {}", "s"),
    ("alff_", "amplitude of low-frequency fluctuations over its mean over parcels: {}", "1"),
    ("vol_", "volume: {}", "mm3"),
    ("thick_", "cortical thickness: {}", "mm"),
    ("sc_strength_", "structural connection strength, mean log(1 + w / scale): {}", "1"),
    ("sc_path_length_", "mean shortest structural path, in reciprocal log weight: {}", "1"),
    ("sc_communicability_", "mean structural communicability: {}", "1"),
    ("fa_", "fractional anisotropy, mean over the tract: {}", "1"),
    ("md_", "mean diffusivity, mean over the tract, in the program's unit: {}", "1"),
    ("pet_", "regional value of pet.tsv, in its unit: {}", "1"),
    ("eeg_", "value of eeg.tsv, in its unit: {}", "1"),
    ("score_", "signed mean of published circuit edges: {}", "Fisher z"),
)
_SINGLE = {
    "q_yeo7": ("modularity of the Yeo-7 partition", "1"),
    "sc_density": ("share of parcel pairs with a structural connection", "1"),
    "sfc_targets": ("mean number of structural connections of a region", "1"),
    "qc_minutes_usable": ("usable scan time", "min"),
    "qc_volumes_retained": ("volumes left after censoring", "1"),
    "qc_mean_fd": ("mean framewise displacement over all volumes", "mm"),
    "qc_parcels_dropped": ("parcels without usable signal", "1"),
    "vol_etiv": ("volume: estimated intracranial volume", "mm3"),
    "ema_ews_log_variance": ("log variance of detrended momentary ratings over two weeks, mean over items", "1"),
    "ema_ews_autocorrelation": ("lag-1 autocorrelation of detrended momentary ratings, mean over items", "1"),
}


@dataclass(frozen=True, slots=True)
class Description:
    """Meaning of a feature, and its unit (``1``: none)."""

    meaning: str
    unit: str


@dataclass(frozen=True, slots=True)
class Table:
    """One row per session, one column per feature, and what each column means by its name."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    dictionary: Mapping[str, Mapping[str, str]]


def describe(name: str) -> Description:
    """Say what a feature is; an unknown name describes itself."""
    if name in _SINGLE:
        return Description(*_SINGLE[name])
    if name.startswith("fc_"):
        return Description(f"functional connectivity: {_pair(name.removeprefix('fc_'))}", "Fisher z")
    for prefix, sentence, unit in _KINDS:
        if name.startswith(prefix):
            return Description(sentence.format(_place(name.removeprefix(prefix))), unit)
    return Description(name, "1")


def derived_phenotypes(sessions: Iterable[tuple[str, str, Sequence[Feature]]]) -> Table:
    """Lay features out as imaging-derived phenotypes in nipoppy's form.

    Parameters
    ----------
    sessions
        participant_id, session_id (with or without ``sub-`` and ``ses-``) and features of each session.

    Returns
    -------
    Table
        Index columns ``participant_id`` and ``session_id`` without prefixes; unusable values are ``n/a``. The
        dictionary goes into a JSON file of the same name.
    """
    kept = [
        (person.removeprefix("sub-"), visit.removeprefix("ses-"), {f.name: f.value for f in features if f.usable})
        for person, visit, features in sessions
    ]
    names = sorted({name for _, _, values in kept for name in values})
    rows = tuple((person, visit, *(_cell(values.get(name)) for name in names)) for person, visit, values in kept)
    dictionary = {
        "participant_id": {"Description": "participant, without sub-"},
        "session_id": {"Description": "session, without ses-"},
    } | {name: {"Description": describe(name).meaning, "Units": describe(name).unit} for name in names}
    return Table(("participant_id", "session_id", *names), rows, dictionary)


def _cell(value: float | None) -> str:
    return "n/a" if value is None or not np.isfinite(value) else repr(float(value))


def _pair(name: str) -> str:
    """``a_b`` where either may hold an underscore."""
    places = set(definitions().networks) | set(definitions().circuits)
    for cut in (i for i, letter in enumerate(name) if letter == "_"):
        if name[:cut] in places and name[cut + 1 :] in places:
            first, second = _place(name[:cut]), _place(name[cut + 1 :])
            return f"within the {first}" if first == second else f"{first} and {second}"
    return name


def _place(name: str) -> str:
    side = next((f", {side}" for side in ("left", "right") if name.endswith(f"_{side}")), "")
    stem = name.removesuffix("_left").removesuffix("_right") if side else name
    if name in definitions().circuits:
        return definitions().circuits[name].meaning
    return _NETWORKS.get(stem, _THICKNESS.get(stem, stem.replace("_", " "))) + side
