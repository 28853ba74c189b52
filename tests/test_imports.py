"""What an import and a look at the help may cost: nothing heavy is loaded before a command is chosen."""

import subprocess
import sys

import pytest

HEAVY = ("jax", "pandas", "scipy", "numpy", "pyarrow", "matplotlib", "sqlalchemy", "yaml", "jinja2")
COMMANDS = ("demo", "check", "run", "update", "simulate", "serve", "export")


def loaded_after(code: str) -> set[str]:
    """Heavy packages in sys.modules of a fresh interpreter that has run `code`."""
    last = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{last}"], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def run_main(*arguments: str) -> str:
    return f"from remanent.cli import main\ntry:\n    main({list(arguments)})\nexcept SystemExit as end:\n    assert end.code == 0"


def test_a_probe_that_sees_a_heavy_package_says_so() -> None:
    assert "yaml" in loaded_after("import yaml")


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import remanent; assert remanent.__version__") == set()


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), *((name, "--help") for name in COMMANDS)])
def test_help_and_version_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert loaded_after(run_main(*arguments)) == set()


def test_a_check_of_a_study_needs_no_jax_and_draws_nothing(tmp_path) -> None:
    (tmp_path / "participants.tsv").write_text("participant_id\nsub-01\n")
    loaded = loaded_after(f"from remanent.cli import main\nassert main(['check', {str(tmp_path)!r}]) == 1")
    assert not loaded & {"jax", "pandas", "matplotlib"}
