"""The reference prior: in the study's coordinates, labelled, and leaving what the trials say nothing about as it was."""

import numpy as np

from remanent.dynamics.design import Design
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.priors import MECHANISMS, layout
from remanent.dynamics.reference import reference, reference_posterior, reference_words


def made() -> Design:
    names = ("hdrs24", "madrs", "fc_default_default")
    symptom = np.array([True, True, False])
    loads = np.array([[True, False, False, True]] * 2 + [[True, False, False, False]])
    measures = Indicators(names, symptom, np.zeros(3), np.ones(3), loads)
    return Design(measures, np.nan, np.nan, ("ssri", "tca"), (0.5, 0.5), ("RUL",), (1.0,), (), (), (), dropout=False)


def test_every_coordinate_exists_and_the_rest_keep_their_prior() -> None:
    coordinates = layout(made())
    posterior = reference_posterior(coordinates)
    names = reference()["names"]
    assert set(names) <= set(coordinates.names)
    assert {"h0", "eta_f", "p", "mu[hdrs24]"} <= set(names)
    untouched = [k for k, name in enumerate(coordinates.names) if name not in names]
    for fit, mechanism in zip(posterior.fits, MECHANISMS, strict=True):
        assert fit.mechanism == mechanism
        assert (fit.mode[untouched] == 0).all()
        np.testing.assert_array_equal(fit.cov[np.ix_(untouched, untouched)], np.eye(len(untouched)))
        assert np.linalg.eigvalsh(fit.cov)[0] > 0
        assert np.abs(fit.mode).max() < 6
        assert "not fitted to this study" in fit.message


def test_it_says_where_it_comes_from() -> None:
    file = reference()
    assert file["status"] == "derived"
    assert "Sackeim 2001" in file["trials"]
    assert not set(file["trials"]) & set(file["held_out"])
    assert file["command"].startswith("tools/validate_replay.py")
    assert "published trials" in reference_words()
