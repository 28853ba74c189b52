"""The documents say what is: commands parse, links lead somewhere, generated pages are current, every module has its line."""

import os
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from remanent import __version__
from remanent.cli import _parser, main

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCE = ROOT / "src" / "remanent"
README = (ROOT / "README.md").read_text(encoding="utf-8")
_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
_DOI = re.compile(r"10\.\d{4,5}/[^\s,;:|\"'`\]}]+")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def console_lines(text: str) -> Iterator[str]:
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        yield from (
            line.removeprefix("$ ").split(" #")[0].strip() for line in block.splitlines() if line.startswith("$ ")
        )


@pytest.fixture
def commands(capsys: pytest.CaptureFixture[str]) -> set[str]:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out.split("COMMAND\n")[1].split("\n\n")[0]
    return set(re.findall(r"^    (\w+)", listed, re.MULTILINE))


def test_readme_names_every_command_and_no_other(commands):
    rows = [line.split("|") for line in README.splitlines() if line.startswith("| ")]
    promised = set(re.findall(r"`remanent (\w+)", " ".join(row[3] for row in rows if len(row) == 5)))
    named = set(re.findall(r"remanent (\w+)", README)) & (
        commands | promised | set(re.findall(r"`remanent (\w+)", README))
    )
    assert commands >= {"demo", "check", "run"}
    assert not promised & commands, "these exist now: move them out of the column 'not yet'"
    assert named - promised == commands - {"demo"}, "the README starts the demo by ./demo"


@_PAGE
def test_console_blocks_are_commands_that_parse(page):
    for line in console_lines(text_of(page)):
        program, *arguments = shlex.split(line)
        if Path(program).name == "remanent":
            assert _parser().parse_args(arguments).command, line
        elif program.startswith("./"):
            assert os.access(ROOT / program, os.X_OK), line
        else:
            pytest.fail(f"{line}: neither remanent nor a script of this folder")


def test_there_are_console_blocks():
    assert {"./demo", ".venv/bin/remanent run STUDY OUT"} <= set(console_lines(README))


@_PAGE
def test_relative_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not target.startswith(("https://", "http://", "#", "mailto:")):
            assert (page.parent / target.split("#")[0]).exists(), target


_HOST = re.compile(r"\b[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:org|com|io|net|dev)\b")
_NAMED = {"ids-qids.org", "keepachangelog.com", "remanent.example.org", "semver.org"}


@_PAGE
def test_no_path_of_a_machine_and_no_host_but_those_of_sources(page):
    text = text_of(page)
    assert set(_HOST.findall(text)) <= _NAMED
    assert not re.search(r"(?<![\w.~/:-])/(work|home|root|tmp|Users|mnt|opt)/", text)


_SETUP = (
    "pyproject.toml",
    "requirements.lock",
    "requirements-test.lock",
    "demo",
    "test",
    ".ci/run",
    "tools/ensure-env",
    "tools/lock",
    "tools/installer.lock",
)


@pytest.mark.parametrize("name", _SETUP)
def test_setting_up_names_no_address(name):
    """Where packages come from is the machine's own affair."""
    assert "://" not in text_of(ROOT / name)


def rooms(text: str) -> Iterator[tuple[str, str]]:
    """Folder and file name of every file that docs/architecture.md names."""
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        head = section.split(maxsplit=1)[0]
        folder = head if head.endswith("/") else ""
        yield from ((folder, name) for name in re.findall(r"^- `([^`]+)`", section, re.MULTILINE))


def test_architecture_names_every_file_of_the_package():
    named = [folder + name for folder, name in rooms(text_of(ROOT / "docs" / "architecture.md"))]
    kept = (".py", ".yaml", ".html", ".css")
    there = {p.relative_to(SOURCE).as_posix() for p in SOURCE.rglob("*") if p.suffix in kept}
    there -= {p for p in there if p.endswith("/__init__.py")}
    assert sorted(there - set(named)) == [], "give these a line in docs/architecture.md"
    assert sorted(set(named) - there) == [], "docs/architecture.md names files that do not exist"
    assert len(named) == len(set(named))


def test_science_tables_are_current():
    page = text_of(ROOT / "docs" / "science.md")
    updated = runpy.run_path(str(ROOT / "tools" / "science_tables.py"))["updated"]
    assert updated(page) == page, "run .venv/bin/python tools/science_tables.py"


@pytest.mark.parametrize("room", ["dynamics", "plan", "trial"])
def test_every_source_of_a_number_is_in_the_evidence(room):
    evidence = text_of(ROOT / "docs" / "evidence.md")
    cited = {doi.rstrip(").") for file in (SOURCE / room).glob("*.yaml") for doi in _DOI.findall(text_of(file))}
    assert cited, "the pattern finds nothing"
    assert sorted(doi for doi in cited if doi not in evidence) == [], (
        "say in docs/evidence.md how far these were checked"
    )


def test_citation_is_that_of_this_version():
    found = yaml.safe_load(text_of(ROOT / "CITATION.cff"))
    assert found["cff-version"] == "1.2.0"
    assert found["version"] == __version__
    assert {"message", "title", "authors", "license"} <= set(found)
    assert f"{__version__}" in text_of(ROOT / "CHANGELOG.md")


def test_pictures_are_small_and_described():
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", README)
    assert pictures
    for words, file in pictures:
        assert len(words) > 80
        assert 1_000 < (ROOT / file).stat().st_size < 300_000
