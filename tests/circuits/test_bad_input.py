"""Whatever a session holds, measuring it ends, every unusable value says why, and what is not touched stays as it was."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remanent.circuits.measure import measure
from remanent.study.session import Connectome, Morphometry, Pipeline, SessionData

BAD = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e300, -1e300, 1e-300, -7.0])
COMMON = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(features):
    names = [feature.name for feature in features]
    assert len(set(names)) == len(names)
    for feature in features:
        assert isinstance(feature.usable, bool)
        assert isinstance(feature.value, float)
        assert isinstance(feature.se, float)
        assert np.isfinite(feature.value) if feature.usable else feature.reason
        assert not feature.se < 0


@COMMON
@given(data=st.data())
def test_poisoned_series(scanner, data):
    n = data.draw(st.sampled_from([0, 1, 2, 5, 41, 130, 220]))
    x = scanner.series(np.random.default_rng(n), n=max(n, 3))[:n]
    for _ in range(data.draw(st.integers(0, 4))):
        bad = data.draw(BAD)
        columns = data.draw(st.lists(st.integers(0, 69), min_size=1, max_size=69))
        if data.draw(st.booleans()):
            x[:, columns] = bad
        elif n:
            x[data.draw(st.integers(0, n - 1)), columns] = bad
    kept = data.draw(
        st.sampled_from([None, np.ones(n, dtype=bool), np.zeros(n, dtype=bool), np.arange(n + 9) % 2 == 0])
    )
    coverage = data.draw(st.sampled_from([None, np.full(70, np.nan), np.linspace(0, 1, 70)]))
    tr_s = data.draw(st.sampled_from([None, 0.72, 2.0]))
    check(measure(scanner.session(scanner.run(x, kept=kept, coverage=coverage, tr_s=tr_s))))


@COMMON
@given(data=st.data())
def test_poisoned_matrices(scanner, data):
    r = np.corrcoef(scanner.series(np.random.default_rng(0), n=100).T)
    weights = scanner.connectomes[0].weights.copy()
    for matrix in (r, weights):
        for _ in range(data.draw(st.integers(0, 4))):
            rows = data.draw(st.lists(st.integers(0, 69), min_size=1, max_size=69))
            columns = data.draw(st.lists(st.integers(0, 69), min_size=1, max_size=69))
            matrix[np.ix_(rows, columns)] = data.draw(BAD)
    count = Connectome("c", scanner.atlas, scanner.labels, "radius2_count", Pipeline("q", "1"), weights)
    kept = data.draw(st.sampled_from([None, np.ones(3, dtype=bool), np.ones(300, dtype=bool)]))
    check(measure(scanner.session(scanner.run(None, relmat=r, kept=kept), connectomes=(count, scanner.connectomes[1]))))


@COMMON
@given(values=st.dictionaries(st.sampled_from(["Left-Hippocampus", "Right-Hippocampus", "Left-Amygdala"]), BAD))
def test_poisoned_morphometry(values):
    one = Morphometry("s", Pipeline("FreeSurfer", "7"), values, {}, None, longitudinal=False)
    check(measure(SessionData("s", "1", morphometry=(one,))))


@pytest.mark.parametrize(
    "labels", [("a",) * 4, ("",) * 4, ("LH_Vis_1", "LH_Vis_1", "RH_Vis_1", "x"), ("LH_Cont_1",) * 4]
)
def test_labels_without_meaning_or_doubled(scanner, labels):
    x = np.random.default_rng(0).standard_normal((200, 4))
    check(measure(scanner.session(scanner.run(x, labels=labels, atlas="homemade"), connectomes=())))


def test_one_bad_parcel_leaves_every_other_value_alone(scanner):
    x = scanner.series(np.random.default_rng(1), n=300)
    clean = scanner.features(scanner.session(scanner.run(x)))
    bad = x.copy()
    bad[7, list(scanner.labels).index("LH_Vis_1")] = np.nan
    got = scanner.features(scanner.session(scanner.run(bad)))
    for name, feature in clean.items():
        if name.startswith("fc_") and "vis" not in name:
            assert got[name] == feature or np.isnan(feature.value)
    assert got["fc_vis_vis"].usable
