"""Whether a page is valid HTML, as far as that can be told without the W3C's own checker: a strict parser, and rules that it does not know."""

import re

import html5lib

XHTML = "{http://www.w3.org/1999/xhtml}"
_INTERACTIVE = {"a", "button", "select", "input", "textarea", "label", "summary"}
_PHRASING_ONLY = {
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "dt",
    "span",
    "label",
    "button",
    "a",
    "summary",
    "legend",
    "strong",
    "b",
    "code",
    "pre",
}
_BLOCK = {
    "div",
    "p",
    "ul",
    "ol",
    "dl",
    "table",
    "section",
    "figure",
    "form",
    "fieldset",
    "h1",
    "h2",
    "h3",
    "nav",
    "details",
}
_REFERENCES = (
    "for",
    "aria-labelledby",
    "aria-describedby",
    "aria-controls",
    "form",
    "list",
    "data-hx-target",
    "data-pair",
)
_CHILDREN = {
    "ul": {"li"},
    "ol": {"li"},
    "dl": {"div", "dt", "dd"},
    "table": {"caption", "thead", "tbody", "tfoot"},
    "thead": {"tr"},
    "tbody": {"tr"},
    "tr": {"th", "td"},
    "select": {"option", "optgroup"},
}


def check_html(text: str) -> None:
    """Raise AssertionError where a page is not valid."""
    document = html5lib.HTMLParser(strict=True).parse(text)
    parents = {child: parent for parent in document.iter() for child in parent}
    ids = [element.get("id") for element in document.iter() if element.get("id") is not None]
    doubled = {one for one in ids if ids.count(one) > 1}
    assert not doubled, f"ids stand twice: {doubled}"
    assert all(re.fullmatch(r"\S+", one) for one in ids), "an id with a space, or an empty one"
    for element in document.iter():
        if isinstance(element.tag, str):
            _check_element(element, parents, set(ids))
    _check_tables(document)


def _tag(element) -> str:
    return element.tag.removeprefix(XHTML)


def _check_element(element, parents, ids) -> None:
    tag, within, above = _tag(element), [], element
    while (above := parents.get(above)) is not None:
        within.append(_tag(above))
    said = f"<{tag} {dict(element.attrib)}>"
    for name in _REFERENCES:
        for target in (element.get(name) or "").removeprefix("this").split():
            assert target.removeprefix("#") in ids, f"{said}: nothing has the id {target}"
    if tag in _CHILDREN:
        assert {_tag(child) for child in element} <= _CHILDREN[tag], f"{said} holds what it may not"
    heading = within[:1] == ["summary"] and tag in {"h2", "h3"}  # which a summary may hold
    assert heading or not (tag in _BLOCK and within and within[0] in _PHRASING_ONLY), f"{said} within <{within[0]}>"
    inside = set(within) & (_INTERACTIVE - {"label"})
    assert not (tag in _INTERACTIVE - {"label", "input", "summary"} and inside), f"{said} within another control"
    assert tag != "li" or within[0] in {"ul", "ol", "menu"}, f"{said} outside a list"
    assert not _nameless(tag, element, within), f"{said} has no name"


def _nameless(tag, element, within) -> bool:
    """Whether something that needs a name has none."""
    named = element.get("aria-label") or element.get("aria-labelledby")
    if tag == "img":
        return element.get("alt") is None
    if tag in {"section", "article"}:
        return not named
    control = tag in {"input", "select", "textarea"} and element.get("type") != "hidden"
    return control and not (named or element.get("id") or "label" in within)


def _check_tables(document) -> None:
    """Every row of a table has as many cells as its head, spans counted."""
    for table in document.iter(f"{XHTML}table"):
        widths = {sum(int(cell.get("colspan", 1)) for cell in row) for row in table.iter(f"{XHTML}tr")}
        assert len(widths) == 1, f"rows of {sorted(widths)} cells in one table"
