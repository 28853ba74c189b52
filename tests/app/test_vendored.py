"""What was taken over stands as it was published, and no page or script names another host."""

import hashlib
import re
from pathlib import Path

import pytest

from remanent.app.desk import HERE

ROOT = Path(__file__).parents[2]
NAME = "htmx-4.0.1.min.js"


def test_htmx_is_the_published_one():
    found = hashlib.sha256((HERE / "static" / NAME).read_bytes()).hexdigest()
    assert f"`{found}`" in (ROOT / "docs" / "app.md").read_text("utf-8")
    assert "Zero-Clause BSD" in (HERE / "static" / "htmx-LICENSE.txt").read_text("utf-8")


@pytest.mark.parametrize("path", [*(HERE / "static").iterdir(), *(HERE / "templates").iterdir()], ids=lambda p: p.name)
def test_no_other_host_is_named(path):
    text = path.read_text("utf-8").replace("http://www.w3.org/", "")
    assert not re.findall(r"https?:(?!/\*)//[\w.]+", text)


def test_templates_have_no_inline_script_style_or_handler():
    for path in (HERE / "templates").iterdir():
        text = path.read_text("utf-8")
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|hx-on|javascript:", text), path.name
