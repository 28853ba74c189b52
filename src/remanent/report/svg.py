"""A matplotlib figure as inline SVG: small, deterministic, text selectable, named for screen readers.

matplotlib's SVG carries ids that collide when two figures share a page, a style sheet that would leak into it, and six decimals nobody sees.
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
_NUMBER = re.compile(r"-?\d+\.\d{2,}")


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
    used = frozenset(_REFERENCE.findall(body))
    body = _TAG.sub(lambda tag: _tidy(tag.group(), key, used), body)
    body = re.sub(r">\s*\n\s*<", "><", body).strip()
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{root.group(1)}" role="img" aria-labelledby="{key}-title {key}-desc"'
        ' stroke-linejoin="round" stroke-linecap="butt">'
    )
    names = f'<title id="{key}-title">{escape(clean(title, 200))}</title><desc id="{key}-desc">{escape(clean(description, 4000))}</desc>'
    return head + names + body


def _draw(figure: Figure) -> str:
    target = StringIO()
    with rc_context(_OUTPUT), warnings.catch_warnings():
        # the browser draws the text with its own fonts; matplotlib's lack of a letter does not matter
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        FigureCanvasSVG(figure).print_svg(target, metadata=dict(_NO_METADATA))
    return target.getvalue()


def _tidy(tag: str, key: str, used: frozenset[str]) -> str:
    tag = re.sub(r' id="([^"]+)"', lambda m: f' id="{key}-{m.group(1)}"' if m.group(1) in used else "", tag)
    tag = tag.replace("xlink:href", "href").replace("url(#", f"url(#{key}-").replace('href="#', f'href="#{key}-')
    tag = tag.replace("'DejaVu Sans'", _FONTS)
    tag = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", tag)
    return _NUMBER.sub(_two_decimals, tag).replace("\n", "")


def _two_decimals(number: re.Match[str]) -> str:
    text = f"{float(number.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
