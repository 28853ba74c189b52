"""A small network that says what share of an arm relapses as a function of the population's coordinates, fitted to simulated shares.

Two hidden layers of tanh, all arms at the end; the loss is the binomial one, so that a noisy share near 0 or 1 pulls no harder than it knows. Adam in
minibatches with a falling step (Kingma 2014, arXiv 1412.6980); NumPy runs it, which is faster for the few rows that a Metropolis step asks for.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.special import expit

from remanent.dynamics.compile import compiled

HIDDEN, BATCH = 48, 2048
STEP, LEAST_STEP = 4e-3, 0.02  # of Adam at the start, and the share of it at the end
DECAY = 3e-6  # pull of the weights to zero
STEEPEST = 6.0  # logits beyond this are cut: no trial could tell

Layers = list[tuple[Any, Any]]
Rows = Float[np.ndarray, "row input"]
Shares = Float[np.ndarray, "row arm"]


def untrained(rng: np.random.Generator, inputs: int, arms: int) -> Layers:
    """Random weights, no bias."""
    sizes = (inputs, HIDDEN, HIDDEN, arms)
    return [(rng.standard_normal((a, b)) / np.sqrt(a), np.zeros(b)) for a, b in pairwise(sizes)]


def share(layers: Layers, x: Rows) -> Shares:
    """What the network says."""
    return np.asarray(expit(np.clip(_logits(layers, x, np.tanh), -STEEPEST, STEEPEST)))


def trained(layers: Layers, x: Rows, y: Shares, weight: Float[np.ndarray, " row"], run: tuple[int, int]) -> Layers:
    """The network after so many steps on rows x with shares y; `run`: (steps, seed)."""
    steps, rng = run[0], np.random.default_rng(run[1])
    data = [jnp.asarray(v, jnp.float32) for v in (x, y, weight / weight.mean())]
    layers = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), layers)
    first = second = jax.tree.map(jnp.zeros_like, layers)
    for k in range(1, steps + 1):
        rows = jnp.asarray(rng.integers(0, len(x), BATCH))
        rate = STEP * (LEAST_STEP + (1 - LEAST_STEP) * (1 + np.cos(np.pi * k / steps)) / 2)
        layers, first, second = _adam()((layers, first, second), data, rows, jnp.asarray([k, rate], jnp.float32))
    return [(np.asarray(w, float), np.asarray(b, float)) for w, b in layers]


def _logits(layers: Layers, x: Any, tanh: Callable[[Any], Any]) -> Any:
    for w, b in layers[:-1]:
        x = tanh(x @ w + b[None])
    w, b = layers[-1]
    return x @ w + b[None]


@cache
def _adam() -> Callable[..., Any]:
    """Program: one step of Adam on some rows; `at` is (number of the step, rate)."""

    def loss(layers: Layers, x: Any, y: Any, weight: Any) -> Any:
        z = _logits(layers, x, jnp.tanh)
        misfit = (weight[:, None] * (jnp.logaddexp(0.0, z) - y * z)).mean()
        return misfit + DECAY * sum((w**2).sum() for w, _ in layers)

    def step(state: tuple[Layers, Any, Any], data: Sequence[Any], rows: Any, at: Any) -> tuple[Layers, Any, Any]:
        layers, first, second = state
        gradient = jax.grad(loss)(layers, *(v[rows] for v in data))
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, gradient)

        def moved(p: Any, m: Any, v: Any) -> Any:
            return p - at[1] * (m / (1 - 0.9 ** at[0])) / (jnp.sqrt(v / (1 - 0.999 ** at[0])) + 1e-8)

        return jax.tree.map(moved, layers, first, second), first, second

    return compiled(step)
