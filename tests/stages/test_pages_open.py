"""The results of a run in a real browser, from disk: no request leaves, nothing is complained of, pages link to one another."""

from pathlib import Path

import pytest

from small import Ran

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def context():
    if not CHROMIUM.exists():
        pytest.skip(f"NO CHROMIUM at {CHROMIUM}: no page was opened in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser.new_context(offline=True)
        browser.close()


def test_the_index_opens_from_disk_and_leads_to_every_patient(ran: Ran, context) -> None:
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((ran.out / "index.html").as_uri())
    assert "Remanent" in page.title()
    links = {link for link in page.eval_on_selector_all("a", "all => all.map(a => a.href)") if "sub-" in link}
    names = {link.split("/")[-1].split("#")[0] for link in links}
    assert names >= {f"sub-{n:03d}.html" for n in range(1, 9)}
    for name in sorted(names):
        page.goto((ran.out / name).as_uri())
        text = page.inner_text("body")
        assert name.removesuffix(".html") in text
        assert "NaN" not in text
        assert "Traceback" not in text
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
