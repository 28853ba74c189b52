"""The linear two-state model of one patient: parameters, drift, exact transition. Pure functions, no data.

With function f, structure s, exposure D_k to each drug class k and stressors u (days; latent scale: 0 the patient's own pre-treatment level, 1 the mean
functional gain of the cohort right after ECT)::

    df = -k_f (f - s - p_i sum_k rho_k (D_k - D_k0) + q_i b·u + b_v v) dt + sig_f dW_f     D_k0: at the first record, under which f = 0
    ds = [(c + a sum_k alpha_k D_k)(f - s) - r (s - beta·x_i)] dt + sig_s dW_s                x_i: tether (polygenic score, diagnosis)
    each index ECT session of n, placement q:  f += ect_f_q g_f,i / n,  s += ect_s_q g_s,i / n,  e += ect_e_q / n
    dw = -w / tau_w dt + omega sum_k max(-dD_k/dt, 0) dt    withdrawal, deterministic given the doses
    de = -e / tau_e dt                                      ECT's imaging trace, deterministic given the sessions
    y_j = mu_j + m_ij + L_fj f + L_sj s + L_ej e + L_wj w + noise,   var = se² + sigma_j²
    hazard of relapse h_r = h0(t) exp(-eta_f f + eta_x·z_i),  of dropout h_d = hd0 exp(-eta_d f)

v is exposure to psychotherapy. The random effects p_i ~ N(p, sd_p²), g_f,i ~ N(1, sd_gf²), g_s,i ~ N(mu_gs, sd_gs²), q_i ~ N(exp(-lam·reserve_i), sd_b²) and
m_ij ~ N(0, sd_mu_j²) enter linearly and are constant states of the filter. The active gain `a` multiplies (f - s), so it is one number for the cohort
(docs/decisions/0003).
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from remanent.dynamics.compile import island

jax.config.update("jax_enable_x64", True)  # every array of this room is float64

AnyArray = Any  # jax.Array inside a trace, numpy.ndarray outside; jaxtyping still checks the shape
Lanes = Float[AnyArray, "..."]

FormName = Literal["linear", "two-basin"]
STRESSORS = ("crp", "sleep", "psychotherapy")
SENSITIVE = (
    2  # the first two act through the patient's sensitivity q_i; psychotherapy is a treatment with its own coefficient
)
_ONE, _ZERO = (
    np.ones(1),
    np.zeros(1),
)  # of length 1, so that they stand for any number of classes, placements or covariates
_SCALAR_ZERO = np.zeros(())


class Params(NamedTuple):
    """Population parameters on their natural scale; scalars unless an axis is named.

    Attributes
    ----------
    k_f
        Rate at which function falls back to what structure and drug support (1/day).
    r
        Rate at which structure is pulled back to the pathological level (1/day).
    c
        Rate of natural consolidation of f into s (1/day).
    a
        Rate of consolidation that full exposure adds (1/day); 0 without active action.
    p, sd_p
        Mean and between-patient sd of the passive gain (latent units per full exposure); 0 without passive action.
    mu_gs, sd_gs, sd_gf
        Gain of structure over the index ECT course (mean, sd) and sd of the gain of function (whose mean is 1 by the scale's definition).
    sig_f, sig_s
        Diffusion (latent units / sqrt(day)).
    b
        Fall of function's target per unit of each of `STRESSORS`, [stressor]; negative where it helps.
    omega, tau_w
        Withdrawal symptoms per unit of exposure lost by any class (standardised symptom units) and their decay (days).
    tau_e
        Decay of ECT's imaging trace (days).
    h0, eta_f
        Hazard of relapse at f = 0 (1/day) and protection per unit of f.
    rho, alpha
        What full exposure to a drug class does to p and to a, as multiples of the average class, [class].
    ect_f, ect_s, ect_e
        What a course by a placement adds to f, s and e, as multiples of the average placement, [placement].
    lam, sd_b
        Log fall of the sensitivity to stressors per unit of reserve, and its sd between patients of equal reserve.
    set_point
        Level to which structure is pulled back, per unit of each tether covariate (latent units), [covariate].
    eta_x
        Log hazard of relapse per unit of each risk covariate, [risk].
    period
        Hazard of relapse in each later period as a multiple of that in the first, [later period].
    hd0, eta_d
        Hazard of dropout at f = 0 (1/day; 0: dropout is not modelled) and its fall per unit of f.
    theta, sd_theta
        Tipping point of structure and its sd between patients (latent units); two-basin form only.
    mu, sd_mu, l_f, l_s, l_e, l_w, sigma
        Per indicator, [indicator], in standardised units: mean, between-patient sd, loadings on f, s, e, w, and noise sd beyond the known sampling error.
    """

    k_f: Lanes
    r: Lanes
    c: Lanes
    a: Lanes
    p: Lanes
    sd_p: Lanes
    mu_gs: Lanes
    sd_gs: Lanes
    sd_gf: Lanes
    sig_f: Lanes
    sig_s: Lanes
    b: Float[Array, " stressor"]
    omega: Lanes
    tau_w: Lanes
    tau_e: Lanes
    h0: Lanes
    eta_f: Lanes
    mu: Float[Array, " indicator"]
    sd_mu: Float[Array, " indicator"]
    l_f: Float[Array, " indicator"]
    l_s: Float[Array, " indicator"]
    l_e: Float[Array, " indicator"]
    l_w: Float[Array, " indicator"]
    sigma: Float[Array, " indicator"]
    rho: Float[AnyArray, " class"] = _ONE
    alpha: Float[AnyArray, " class"] = _ONE
    ect_f: Float[AnyArray, " placement"] = _ONE
    ect_s: Float[AnyArray, " placement"] = _ONE
    ect_e: Float[AnyArray, " placement"] = _ONE
    lam: Lanes = _SCALAR_ZERO
    sd_b: Lanes = _SCALAR_ZERO
    set_point: Float[AnyArray, " covariate"] = _ZERO
    eta_x: Float[AnyArray, " risk"] = _ZERO
    period: Float[AnyArray, " later"] = _ONE
    hd0: Lanes = _SCALAR_ZERO
    eta_d: Lanes = _SCALAR_ZERO
    theta: Lanes = _SCALAR_ZERO
    sd_theta: Lanes = _SCALAR_ZERO


class Transition(NamedTuple):
    """Exact law of (f, s) over an interval, elementwise over lanes: x' = Phi x + g k_f v + h r x_0 + noise(Q).

    v is the constant input to f's target, x_0 the level to which s is pulled back.

    Attributes
    ----------
    ff, fs, sf, ss
        Phi; `fs` is the effect of s on f.
    gf, gs
        Integral of the first column of Phi over the interval (days).
    hf, hs
        Integral of the second column.
    qff, qfs, qss
        Process noise covariance.
    """

    ff: Lanes
    fs: Lanes
    sf: Lanes
    ss: Lanes
    gf: Lanes
    gs: Lanes
    hf: Lanes
    hs: Lanes
    qff: Lanes
    qfs: Lanes
    qss: Lanes


def transition(k_f: Lanes, kappa: Lanes, r: Lanes, sig: tuple[Lanes, Lanes], dt: Lanes) -> Transition:
    r"""Transition of the drift A = [[-k_f, k_f], [kappa, -(kappa + r)]] over `dt` days, kappa = c + a D, for k_f > 0 and r > 0.

    Phi = exp(A dt) by Cayley-Hamilton, the input integral A^-1 (Phi - I), the noise X - Phi X Phi' with X the stationary covariance
    (A X + X A' + diag(sig_f², sig_s²) = 0). Relative error about 1e-16 / (r dt); all arguments broadcast; dt = 0 gives the identity.
    """
    return _by_stationary_law(broadcast(k_f, kappa, r, sig, dt))


def broadcast(k_f: Lanes, kappa: Lanes, r: Lanes, sig: tuple[Lanes, Lanes], dt: Lanes) -> tuple[Lanes, ...]:
    """K_f, kappa, r, sig_f, sig_s and dt in one shape."""
    return tuple(jnp.broadcast_arrays(*(jnp.asarray(v, float) for v in (k_f, kappa, r, *sig, dt))))


def propagator(k_f: Lanes, kappa: Lanes, r: Lanes, dt: Lanes) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """exp(A dt) as (ff, fs, sf, ss), stable for equal, complex and zero eigenvalues and for dt = 0."""
    half_trace = -(k_f + kappa + r) / 2
    q2 = ((k_f - kappa - r) / 2) ** 2 + k_f * kappa
    cosine, sine = island(_cosh_sinhc, half_trace, q2, dt)
    difference = (kappa + r - k_f) / 2
    return cosine + difference * sine, k_f * sine, kappa * sine, cosine - difference * sine


def _cosh_sinhc(mu: Lanes, q2: Lanes, t: Lanes) -> tuple[Lanes, Lanes]:
    """e^{mu t} cosh(q t) and e^{mu t} sinh(q t) / q for real or imaginary q."""
    z = q2 * t**2
    small = jnp.abs(z) < 1e-3
    q = jnp.sqrt(jnp.where(small, 1.0, jnp.abs(q2)))
    decay = jnp.exp(mu * t)
    grow, fall = jnp.exp((mu + q) * t), jnp.exp((mu - q) * t)
    real = q2 > 0
    cosine = jnp.where(real, (grow + fall) / 2, decay * jnp.cos(q * t))
    sine = jnp.where(real, (grow - fall) / (2 * q), decay * jnp.sin(q * t) / q)
    cosine_small = decay * (1 + z / 2 * (1 + z / 12 * (1 + z / 30 * (1 + z / 56))))
    sine_small = decay * t * (1 + z / 6 * (1 + z / 20 * (1 + z / 42 * (1 + z / 72))))
    return jnp.where(small, cosine_small, cosine), jnp.where(small, sine_small, sine)


def _by_stationary_law(args: tuple[Lanes, ...]) -> Transition:
    k_f, kappa, r, sig_f, sig_s, dt = args
    ff, fs, sf, ss = propagator(k_f, kappa, r, dt)
    det, decay = k_f * r, k_f + kappa + r
    gf = (-(kappa + r) * (ff - 1) - k_f * sf) / det
    gs = (-kappa * (ff - 1) - k_f * sf) / det
    hf, hs = (1 - ff - fs) / r, (1 - sf - ss) / r
    vf, vs = sig_f**2, sig_s**2
    xfs = ((kappa + r) * kappa * vf + k_f**2 * vs) / (2 * det * decay)
    xff = xfs + vf / (2 * k_f)
    xss = (kappa * xfs + vs / 2) / (kappa + r)
    qff = xff - (ff * (ff * xff + 2 * fs * xfs) + fs * fs * xss)
    qfs = xfs - (ff * (sf * xff + ss * xfs) + fs * (sf * xfs + ss * xss))
    qss = xss - (sf * (sf * xff + 2 * ss * xfs) + ss * ss * xss)
    return Transition(ff, fs, sf, ss, gf, gs, hf, hs, qff, qfs, qss)
