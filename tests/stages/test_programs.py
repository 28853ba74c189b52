"""Compiled programs are kept between processes, and only where the user allows it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_COMPILE = """
import jax
from remanent.stages import programs
programs.WORTH_KEEPING_S = 0.0
programs.keep_programs()
jax.jit(lambda x: x * 2 + 1)(1.0).block_until_ready()
print(jax.config.jax_compilation_cache_dir)
"""


def compile_one(home: Path, **settings: str) -> str:
    unset = ("XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE")
    environment = {k: v for k, v in os.environ.items() if k not in unset} | {"HOME": str(home), **settings}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _COMPILE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.strip()


def programs_in(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*-cache")}


def test_a_program_is_kept_and_used_again(tmp_path: Path) -> None:
    folder = Path(compile_one(tmp_path))
    assert folder.parent == tmp_path / ".cache" / "remanent"
    kept = programs_in(folder)
    assert kept
    compile_one(tmp_path)
    assert programs_in(folder) == kept


def test_what_a_killed_process_left_behind_does_no_harm(tmp_path: Path) -> None:
    folder = Path(compile_one(tmp_path))
    for used in folder.glob("*-atime"):
        used.unlink()
    for program in folder.glob("*-cache"):
        program.rename(program.with_name(f"old{program.name}"))
    compile_one(tmp_path)  # warnings are errors there
    assert len(list(folder.glob("*-atime"))) == len(programs_in(folder)) > len(list(folder.glob("old*-cache")))


def test_the_users_folder_is_taken(tmp_path: Path) -> None:
    own = tmp_path / "own"
    assert compile_one(tmp_path, JAX_COMPILATION_CACHE_DIR=str(own)) == str(own)
    assert programs_in(own)
    assert not (tmp_path / ".cache").exists()


def test_nothing_is_kept_where_the_user_says_so(tmp_path: Path) -> None:
    compile_one(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false")
    assert not programs_in(tmp_path)


@pytest.mark.parametrize("home", ["a file", ""], ids=["home is a file", "no home"])
def test_without_a_folder_to_write_nothing_is_kept(tmp_path: Path, home: str) -> None:
    (tmp_path / "a file").write_text("")
    where = tmp_path / home if home else Path("/proc/none")
    assert compile_one(where) == "None"


_FLAGS = """
import os
from remanent.stages import programs
programs.compile_whole_loops()
programs.compile_whole_loops()
import jax, jax.numpy as jnp
x = jnp.ones(4096)
program = jax.jit(lambda x: jax.lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=9)[0])
print("xla_cpu_small_call" in program.lower(x).compile().as_text())
print(os.environ["XLA_FLAGS"])
"""


def flags_of(given: str) -> list[str]:
    environment = {**os.environ, "XLA_FLAGS": given}
    done = subprocess.run([sys.executable, "-c", _FLAGS], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_loop_is_compiled_as_one_function_and_the_users_flags_stand_last() -> None:
    whole, flags = flags_of("--xla_cpu_multi_thread_eigen=true")
    assert whole == "True"
    assert flags.count("small_while_loop") == 1
    assert flags.endswith(" --xla_cpu_multi_thread_eigen=true")


@pytest.mark.parametrize(
    "own",
    [
        "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=0",
        "--xla_disable_hlo_passes=cpu-parallel-task-assigner",
    ],
)
def test_who_sets_either_has_set_both(own: str) -> None:
    assert flags_of(own) == ["False", own]
