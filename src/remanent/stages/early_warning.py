"""Early warning of every patient with momentary ratings: as a table, and as measures that the state model may use if it finds them to follow function."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np

from remanent.dynamics.warning import EarlyWarning, Series, early_warning, spells
from remanent.study.panel import Long, Panel

MEASURES = ("ema_ews_autocorrelation", "ema_ews_log_variance")


def early_warnings(panel: Panel, seed: int) -> Mapping[str, EarlyWarning]:
    """By participant, for those with momentary ratings; the surrogates of one depend on the seed and on nobody else."""
    rated = np.unique(panel.ema.patient)
    found = {}
    for i in rated:
        who = panel.patients[i]
        found[who] = early_warning(_items(panel.ema, int(i)), np.random.default_rng([seed, crc32(who.encode())]))
    return found


def with_measures(panel: Panel) -> Panel:
    """The panel with two more features: log variance and autocorrelation over spells, of the patients who have momentary ratings."""
    rows = [
        (int(i), s.day, name, value, se)
        for i in np.unique(panel.ema.patient)
        for s in spells(_items(panel.ema, int(i)))
        for name, (value, se) in enumerate(
            ((s.autocorrelation, s.autocorrelation_se), (s.log_variance, s.log_variance_se))
        )
    ]
    return replace(panel, features=_joined(panel.features, rows)) if rows else panel


def table(panel: Panel, warnings: Mapping[str, EarlyWarning]) -> dict[str, list[Any]]:
    """warnings.tsv."""
    people = [who for who in panel.patients if who in warnings]
    each = [warnings[who] for who in people]
    return {
        "participant_id": people,
        "items": ["; ".join(w.items) or None for w in each],
        "ratings": [w.ratings for w in each],
        "window_days": [w.window_days for w in each],
        "windows": [w.windows for w in each],
        "variance_tau": [w.tau[0] for w in each],
        "variance_p": [w.p_value[0] for w in each],
        "autocorrelation_tau": [w.tau[1] for w in each],
        "autocorrelation_p": [w.p_value[1] for w in each],
        "p_either": [w.p_either for w in each],
        "false_alarm_rate": [w.false_alarm_rate for w in each],
        "warning": [w.warned for w in each],
        "reason": [w.reason or None for w in each],
    }


def _items(ema: Long, i: int) -> dict[str, Series]:
    mine = ema.rows(i)
    present = np.unique(ema.name[mine])
    return {ema.names[n]: ema.of(i, ema.names[n]) for n in present}


def _joined(features: Long, rows: Sequence[tuple[int, float, int, float, float]]) -> Long:
    """Features with rows (patient, day, index into MEASURES, value, se) among them, in the order of a panel."""
    names = tuple(sorted({*features.names, *MEASURES}))
    place = np.array([names.index(n) for n in features.names], int)
    patient, day, name, value, se = (np.array(column) for column in zip(*rows, strict=True))
    ours = np.array([names.index(n) for n in MEASURES], int)[name]
    parts = (
        (features.patient, patient),
        (features.day, day),
        (place[features.name] if features.name.size else features.name, ours),
        (features.value, value),
        (features.se, se),
    )
    patient, day, name, value, se = (np.concatenate(pair) for pair in parts)
    order = np.lexsort((name, day, patient))
    return Long(names, patient[order], day[order], name[order].astype(int), value[order], se[order])
