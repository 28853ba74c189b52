"""Transition of a drift that may be singular or unstable: a Taylor series over a short time, doubled. No division, so every limit is regular."""

from remanent.dynamics.compile import island
from remanent.dynamics.model import Lanes, Transition, broadcast

_TERMS = 10


def transition_any(
    k_f: Lanes, kappa: Lanes, r: Lanes, sig: tuple[Lanes, Lanes], dt: Lanes, *, doublings: int = 10
) -> Transition:
    """As `model.transition`, of any drift: r <= 0, k_f = 0, equal or complex eigenvalues.

    Exact to rounding where rates times dt / 2^doublings stay below 0.15. Each part is a computation of its own: merged, the compiler would work out the
    shared products again for each of their uses, in the gradient a hundred times over.
    """
    law = island(_series, *broadcast(k_f, kappa, r, sig, dt / 2**doublings))
    for _ in range(doublings):
        law = island(_twice, law)
    return law


def _series(k_f: Lanes, kappa: Lanes, r: Lanes, sig_f: Lanes, sig_s: Lanes, h: Lanes) -> Transition:
    """Taylor series in A h.

    Phi = sum (A h)^n / n!, its integral h sum (A h)^n / (n + 1)!, and Q = sum Q_n, Q_0 = h diag(sig_f², sig_s²), Q_n = h (A Q_(n-1) + Q_(n-1) A') / (n + 1).
    """
    ff, fs, sf, ss = -k_f * h, k_f * h, kappa * h, -(kappa + r) * h
    one, zero = 1.0 + 0 * h, 0 * h
    power = phi = integral = (one, zero, zero, one)
    noise = added = (h * sig_f**2, zero, h * sig_s**2)
    for n in range(1, _TERMS):
        a, b, c, d = (v / n for v in power)
        power = (ff * a + fs * c, ff * b + fs * d, sf * a + ss * c, sf * b + ss * d)
        u, v, w = (x / (n + 1) for x in added)
        added = (2 * (ff * u + fs * v), ff * v + fs * w + sf * u + ss * v, 2 * (sf * v + ss * w))
        phi = tuple(x + y for x, y in zip(phi, power, strict=True))
        integral = tuple(x + y / (n + 1) for x, y in zip(integral, power, strict=True))
        noise = tuple(x + y for x, y in zip(noise, added, strict=True))
    g_f, h_f, g_s, h_s = (h * v for v in integral)
    return Transition(*phi, g_f, g_s, h_f, h_s, *noise)


def _twice(half: Transition) -> Transition:
    return compose(half, half)


def compose(first: Transition, second: Transition) -> Transition:
    """The law over two adjacent intervals, `first` then `second`, under one constant input."""
    a, b = first, second
    top_f, top_s = b.ff * a.qff + b.fs * a.qfs, b.ff * a.qfs + b.fs * a.qss
    low_f, low_s = b.sf * a.qff + b.ss * a.qfs, b.sf * a.qfs + b.ss * a.qss
    return Transition(
        b.ff * a.ff + b.fs * a.sf,
        b.ff * a.fs + b.fs * a.ss,
        b.sf * a.ff + b.ss * a.sf,
        b.sf * a.fs + b.ss * a.ss,
        b.gf + b.ff * a.gf + b.fs * a.gs,
        b.gs + b.sf * a.gf + b.ss * a.gs,
        b.hf + b.ff * a.hf + b.fs * a.hs,
        b.hs + b.sf * a.hf + b.ss * a.hs,
        b.qff + top_f * b.ff + top_s * b.fs,
        b.qfs + top_f * b.sf + top_s * b.ss,
        b.qss + low_f * b.sf + low_s * b.ss,
    )
