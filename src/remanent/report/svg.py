"""A matplotlib figure as inline SVG: small, deterministic, text selectable, named for screen readers.

matplotlib's own SVG carries ids that collide when two figures share a page, a style sheet that would leak into it,
a style on every one of a thousand markers, and six decimals nobody sees.
"""

import re
import warnings
from html import escape
from io import StringIO
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from remanent.report.words import clean

_FONTS = "system-ui, sans-serif"
_OUTPUT: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "remanent", "text.parse_math": False}
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}

_ROOT = re.compile(r"<svg [^>]*?viewBox=\"([^\"]+)\"[^>]*>")
_STYLESHEET = re.compile(r"<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>")
_TAG = re.compile(r"<[a-zA-Z][^>]*>")
_REFERENCE = re.compile(r"(?:url\(#|href=\"#)([\w.-]+)")
_ID = re.compile(r' id="([^"]+)"')
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_NO_ROTATION = re.compile(r' transform="rotate\(-0 [^)]*\)"')
_STYLE = re.compile(r' style="([^"]*)"')
_MARKERS = re.compile(r'<g([^>]*)>(<use [^>]*? style="([^"]*)"/>(?:<use [^>]*? style="\3"/>)+)</g>')


def svg(figure: Figure, key: str, title: str, description: str) -> str:
    """Return `figure` as one ``<svg>`` element that stands in a page or in a file of its own.

    Parameters
    ----------
    key
        Starts every id in the element; unique in the page.
    title, description
        What a screen reader says: the name of the figure, and its content in words.

    Returns
    -------
    str
        The same bytes for the same figure; no date, no address loaded, all text escaped.
    """
    raw = _draw(figure)
    root = _ROOT.search(raw)
    if root is None:
        raise ValueError("matplotlib wrote no <svg> element with a viewBox")
    body = _STYLESHEET.sub("", raw[root.end() :])
    short = {name: f"{key}-{k}" for k, name in enumerate(dict.fromkeys(_REFERENCE.findall(body)))}
    body = _TAG.sub(lambda tag: _tidy(tag.group(), short), body)
    body = re.sub(r">\s*\n\s*<", "><", body).strip()
    body = _MARKERS.sub(_style_once, body)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{root.group(1)}" role="img"'
        f' aria-labelledby="{key}-title {key}-desc" stroke-linejoin="round" stroke-linecap="butt">'
        f'<title id="{key}-title">{escape(clean(title, 200))}</title>'
        f'<desc id="{key}-desc">{escape(clean(description, 4000))}</desc>'
    )
    return head + body


def without_style(markup: str) -> str:
    """Return SVG, or a page with SVG in it, with every ``style`` attribute of a tag written as SVG's own attributes.

    A content security policy that forbids inline style forbids such attributes too; SVG needs none of them.
    """
    return _TAG.sub(lambda tag: _STYLE.sub(_as_attributes, tag.group()), markup)


def _as_attributes(style: re.Match[str]) -> str:
    declared = (part.partition(":") for part in style[1].split(";") if ":" in part)
    pairs = {name.strip(): value.strip() for name, _, value in declared}
    return "".join(f' {name}="{value}"' for name, value in pairs.items())


def _draw(figure: Figure) -> str:
    target = StringIO()
    with rc_context(_OUTPUT), warnings.catch_warnings():
        # the browser draws the text with its own fonts; matplotlib's lack of a letter does not matter
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        FigureCanvasSVG(figure).print_svg(target, metadata=dict(_NO_METADATA))
    return target.getvalue()


def _tidy(tag: str, short: dict[str, str]) -> str:
    tag = _ID.sub(lambda m: f' id="{short[m[1]]}"' if m[1] in short else "", tag)
    tag = _REFERENCE.sub(lambda m: m[0].removesuffix(m[1]) + short[m[1]], tag).replace("xlink:href", "href")
    tag = _NO_ROTATION.sub("", tag.replace("'DejaVu Sans'", _FONTS))
    return _NUMBER.sub(_two_decimals, tag).replace("\n", "")


def _style_once(group: re.Match[str]) -> str:
    attributes, markers, style = group.groups()
    return f'<g{attributes} style="{style}">' + markers.replace(f' style="{style}"', "") + "</g>"


def _two_decimals(number: re.Match[str]) -> str:
    text = f"{float(number.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
