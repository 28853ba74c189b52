"""A study folder from texts."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Path]:
    r"""``make_study({"phenotype/ect.tsv": "participant_id day\nsub-01 0\n"})``: in texts of tables blanks become tabs."""
    root = tmp_path / "study"

    def make(
        files: Mapping[str, str | bytes], *, participants: str | bytes | None = "participant_id\nsub-01\nsub-02\n"
    ) -> Path:
        root.mkdir(exist_ok=True)
        people = {} if participants is None else {"participants.tsv": participants}
        for name, content in (people | dict(files)).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content.replace(" ", "\t") if isinstance(content, str) and name.endswith(".tsv") else content
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return root

    return make
