"""The pages in a real browser: no request leaves, no error, nothing overflows, axe finds nothing, A4 prints."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest

from remanent.report.pages import page_name, render_index, render_patient
from remanent.report.views import Interval

PRINTED = 688  # pixels of 182 mm, what the margins leave of A4
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    if not Path(CHROMIUM).exists():
        pytest.skip(f"NO CHROMIUM at {CHROMIUM}: no page was opened in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory, make_patient, make_bare, make_cohort):
    """Return a folder of pages as `run` leaves it; screenshots go beside them."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text(render_index(make_cohort(40)), encoding="utf-8")
    for view in (make_patient("sub-01"), make_bare("sub-02")):
        (folder / page_name(view.participant_id)).write_text(render_patient(view), encoding="utf-8")
    return folder


@pytest.fixture
def watched(browser):
    """Return a page and what it asked for and complained of."""
    context = browser.new_context(viewport={"width": 1150, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page, asked, said
    context.close()


@pytest.mark.parametrize("name", ["index.html", "sub-01.html"])
def test_many_plans_of_ones_own_fit_screen_and_paper(tmp_path, watched, make_patient, make_cohort, name):
    page, _, _ = watched
    view, cohort = make_patient("sub-01"), make_cohort(20)
    own = {f"plan number {k} of mine": Interval(0.313, 0.211, 0.998) for k in range(5)}
    rows = tuple(dataclasses.replace(r, relapse={**r.relapse, **own}) if r.relapse else r for r in cohort.rows)
    plans = tuple(dataclasses.replace(view.forecasts.plans[0], plan=n, label=n, doses=40 * "word ") for n in own)
    view = dataclasses.replace(
        view, forecasts=dataclasses.replace(view.forecasts, plans=(*view.forecasts.plans, *plans))
    )
    (tmp_path / "index.html").write_text(render_index(dataclasses.replace(cohort, rows=rows)), encoding="utf-8")
    (tmp_path / "sub-01.html").write_text(render_patient(view), encoding="utf-8")
    page.goto((tmp_path / name).as_uri())
    for width, media in ((1280, "screen"), (PRINTED, "print")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(media=media)
        assert (
            page.evaluate(
                """() => [...document.querySelectorAll('table, svg')].filter(e => e.getClientRects().length)
                .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
                    || e.scrollWidth > e.parentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
            )
            == []
        ), media


@pytest.mark.parametrize("name", ["index.html", "sub-01.html", "sub-02.html"])
def test_a_page_opens_alone_and_quietly(site, watched, name):
    page, asked, said = watched
    page.goto((site / name).as_uri())
    page.screenshot(path=site / f"{name}.png", full_page=True)
    assert asked == [(site / name).as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "scrolls sideways on a phone"


def test_from_the_index_to_a_patient_and_back_by_keyboard(site, watched):
    page, _, said = watched
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.locator("a[href='./sub-01.html']").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/sub-01.html")
    assert page.locator("h1").inner_text() == "sub-01"
    numbers = page.locator("details").first
    numbers.locator("summary").focus()
    page.keyboard.press("Enter")
    assert numbers.locator("table").first.is_visible()
    page.get_by_role("link", name="All patients").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/index.html")
    assert said == []


def test_text_in_figures_can_be_selected_and_stays_inside(site, watched):
    page, _, _ = watched
    page.goto((site / "sub-01.html").as_uri())
    outside = page.evaluate(
        """() => [...document.querySelectorAll('svg')].flatMap(svg => {
            const box = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text')].filter(t => {
                const b = t.getBoundingClientRect();
                return b.left < box.left - 2 || b.right > box.right + 2 || b.top < box.top - 2 || b.bottom > box.bottom + 2;
            }).map(t => t.textContent);
        })"""
    )
    assert outside == []
    selected = page.evaluate(
        """() => { const t = [...document.querySelectorAll('svg text')].find(t => t.textContent === 'MADRS');
            getSelection().selectAllChildren(t); return getSelection().toString(); }"""
    )
    assert selected == "MADRS"


def test_it_prints_on_a4(site, watched):
    page, _, _ = watched
    page.goto((site / "sub-01.html").as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    pages = printed.count(b"/Type /Page\n") or printed.count(b"/Type /Page ") or printed.count(b"/Type /Page/")
    assert 2 <= pages <= 8
    assert b"/MediaBox [0 0 594.95996 841.91998]" in printed or b"/MediaBox [0 0 595" in printed


def test_in_print_the_forecast_fills_the_first_page(site, watched):
    """The course is one tall figure: behind the advice it would leave half a page empty."""
    page, _, _ = watched
    page.goto((site / "sub-01.html").as_uri())
    top = "name => document.getElementById(name).getBoundingClientRect().top"
    order = ("h-short", "h-time", "h-forecast", "h-remanence")
    assert sorted(order, key=lambda name: page.evaluate(top, name)) == list(order)
    page.emulate_media(media="print")
    assert sorted(order, key=lambda name: page.evaluate(top, name)) == [
        "h-short",
        "h-forecast",
        "h-time",
        "h-remanence",
    ]


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> Path:
    """Return axe-core from npm, or skip: it is not part of this repository."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    done = npm and subprocess.run(
        [npm, "pack", "--silent", "axe-core@4.14.1"], cwd=folder, capture_output=True, timeout=120, check=False
    )
    packed = next(folder.glob("axe-core-*.tgz"), None)
    if not done or packed is None:
        pytest.skip("NO AXE: npm could not fetch axe-core, so accessibility was not checked in a browser")
    shutil.unpack_archive(packed, folder, filter="data")
    return folder / "package" / "axe.min.js"


@pytest.mark.parametrize("name", ["index.html", "sub-01.html", "sub-02.html"])
def test_axe_finds_nothing(site, browser, axe, name):
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto((site / name).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.add_script_tag(path=axe)
    found = page.evaluate("axe.run()")
    context.close()
    assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []
    assert len(found["passes"]) > 20
