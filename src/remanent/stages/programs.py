"""How this process compiles, and that compiled programs are kept between runs (docs/decisions/0063 and 0068).

What took a first run half of its processor time, a second one reads. Programs lie in the user's cache folder (`XDG_CACHE_HOME`, or ~/.cache), 512 MB of them
at most, by version of JAX and kind of processor: a program made for another processor may not run. They hold no data. `JAX_COMPILATION_CACHE_DIR` names another
folder, `JAX_ENABLE_COMPILATION_CACHE=false` keeps nothing.
"""

import hashlib
import os
import platform
from pathlib import Path

KEPT_BYTES = 512 * 2**20
WORTH_KEEPING_S = 0.1
_FOLDER, _SIZE, _LEAST = (
    "jax_compilation_cache_dir",
    "jax_compilation_cache_max_size",
    "jax_persistent_cache_min_compile_time_secs",
)


def set_up_compiler() -> None:
    """Call it before JAX does anything."""
    compile_whole_loops()
    keep_programs()


def compile_whole_loops() -> None:
    """Tell XLA to compile a loop as one function, where hundreds of small ones would be handed out at every step; it takes that from the environment alone.

    No operation in such a function may be shared among threads, and without unrolling it compiles as fast as before. What the user has set in `XLA_FLAGS`
    comes later and wins; who sets either of the two has set both. Processes started later do the same.
    """
    from remanent.dynamics.compile import WHOLE_LOOPS

    given = os.environ.get("XLA_FLAGS", "")
    if WHOLE_LOOPS not in given and "xla_disable_hlo_passes" not in given:
        loops = f"{WHOLE_LOOPS}=1000000000,xla_cpu_disable_loop_unrolling=true,xla_cpu_disable_slp_vectorizer=true"
        wanted = f"--xla_disable_hlo_passes=cpu-parallel-task-assigner --xla_backend_extra_options={loops}"
        os.environ["XLA_FLAGS"] = f"{wanted} {given}".strip()


def keep_programs() -> None:
    """Keep compiled programs for the next run, in a folder of this user unless JAX was told of another; nowhere if it cannot be written.

    Processes started later keep them too: JAX reads its settings from the environment.
    """
    import jax

    wanted: dict[str, str | int | float] = {_LEAST: WORTH_KEEPING_S}
    if getattr(jax.config, _FOLDER) is None:
        try:
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # a read-only home, or none
            return
        if not os.access(folder, os.W_OK):
            return
        _complete(folder)
        wanted |= {_FOLDER: str(folder), _SIZE: KEPT_BYTES}
    for name, value in wanted.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


def _complete(folder: Path) -> None:
    """Give every program the time of its last use that JAX wants to find: a process that was killed may have left one without."""
    for program in folder.glob("*-cache"):
        used = program.with_name(program.name.removesuffix("-cache") + "-atime")
        if not used.exists():
            used.write_bytes(program.stat().st_mtime_ns.to_bytes(8, "little"))


def cache_folder() -> Path:
    """Where programs for this version of JAX and this kind of processor lie."""
    import jax

    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kind = hashlib.sha256(f"{platform.machine()} {_abilities()}".encode()).hexdigest()[:12]
    return base / "remanent" / f"jax-{jax.__version__}-{kind}"


def _abilities() -> str:
    """What the processor can do, as Linux tells it; its name elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
