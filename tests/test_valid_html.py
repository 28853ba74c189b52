"""Every page of the reports and of the app is valid HTML; and the check sees what is not."""

import pytest

from valid_html import check_html

PAGE = "<!DOCTYPE html><html lang='en'><head><title>t</title></head><body>{}</body></html>"


@pytest.mark.parametrize(
    "wrong",
    [
        "<p>a<div>b</div></p>",
        "<b><i>a</b></i>",
        "<p id='a'>a</p><p id='a'>b</p>",
        "<label for='nothing'>a</label>",
        "<ul><p>a</p></ul>",
        "<table><tr><td>a</td></tr><tr><td>a</td><td>b</td></tr></table>",
        "<a href='/'>a<button>b</button></a>",
        "<input type='text'>",
        "<img src='a.png'>",
        "<section>a</section>",
        "a & b &lt c",
    ],
)
def test_what_is_not_valid_is_seen(wrong):
    check_html(PAGE.format("<p>a</p>"))
    with pytest.raises(Exception, match=r"."):
        check_html(PAGE.format(wrong))
