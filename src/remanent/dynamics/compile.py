"""One way to compile, so that compiler settings and counting compilations have one place (docs/decisions/0068)."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import jax
from jax.experimental.xla_metadata import set_xla_metadata

# Measured with jax 0.10.2 on two cores: fusion emitters double the time to compile the filter and do not make it faster; wider vectors do.
_WANTED = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_prefer_vector_width": 512}
# A loop becomes one function in place of hundreds of small ones that are dispatched at every step; without unrolling it compiles no slower than those did.
_LOOPS = "xla_cpu_small_while_loop_byte_threshold=1000000000,xla_cpu_disable_loop_unrolling=true,xla_cpu_disable_slp_vectorizer=true"

# XLA takes these from the environment only, when it first does anything; what the user has set comes later and wins.
os.environ["XLA_FLAGS"] = f"--xla_backend_extra_options={_LOOPS} {os.environ.get('XLA_FLAGS', '')}".strip()

Tree = TypeVar("Tree")


def compiled(function: Callable[..., Any], **jit_options: Any) -> Callable[..., Any]:
    """`jax.jit` with this project's compiler options; call it when the program is first needed, not on import."""
    return jax.jit(function, compiler_options=_options(), **jit_options)


@cache
def _options() -> dict[str, Any] | None:
    """The wanted options, where this compiler knows them: they come and go with versions of XLA."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda x: x, compiler_options=_WANTED)(0.0)
    except jax.errors.JaxRuntimeError:
        return None
    return _WANTED


def island(part: Callable[..., Tree], *given: Any) -> Tree:
    """`part(*given)`, compiled as a computation of its own, so that nothing in it is computed again elsewhere."""
    with set_xla_metadata(inlineable="false"):
        return jax.jit(lambda: part(*given))()
