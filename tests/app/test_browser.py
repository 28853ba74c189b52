"""The app in a real browser over a real small study: every page and action, by keyboard, axe, no request elsewhere, no complaint.

With REMANENT_PICTURES set to a folder, the screenshots of docs/app.md are written there.
"""

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from numpy.testing import assert_allclose

from remanent.app.server import build
from remanent.app.settings import Settings
from remanent.study.store import Record

CHROMIUM = Path("/usr/bin/chromium")
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
WARM_S = 600
ANSWER_S = 60
PICTURES = ("patients", "patient")  # of the pages that are only opened

pytestmark = pytest.mark.browser


class Served:
    """A running app: its address, its start-up address, who can be looked at."""

    def __init__(self, base: str, token: str, gate, record: Record) -> None:
        self.base, self.start, self.gate, self.record = base, f"{base}/open?token={token}", gate, record
        shelf = gate.app.state.desk.shelf
        views = [shelf.view(who) for who in shelf.results.participants]
        views.sort(key=lambda view: -len(view.forecasts.plans))
        informed = [view.participant_id for view in views if any(plan.plan == "taper" for plan in view.forecasts.plans)]
        self.who = (informed or [views[0].participant_id])[0]
        self.informed = bool(informed)


@contextlib.contextmanager
def running(out: Path):
    """The app on a free port, in a thread, warmed up."""
    with socket.socket() as listening, Record.open(out, create=False) as record:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        port = listening.getsockname()[1]
        settings = Settings(port)
        gate = build(out, record, settings)
        bench = gate.app.state.desk.bench
        bench.start()
        server = uvicorn.Server(uvicorn.Config(gate, log_level="error", access_log=False, lifespan="off"))
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        serving.start()
        deadline = time.monotonic() + WARM_S
        while bench.state.warming and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not bench.state.warming
        assert not bench.state.failed
        yield Served(f"http://127.0.0.1:{port}", settings.token, gate, record)
        server.should_exit = True
        serving.join(30)
        bench.finish()


@pytest.fixture(scope="module")
def served(small_out):
    with running(small_out) as one:
        yield one


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"NO CHROMIUM at {CHROMIUM}: no page was opened in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def session(served, browser):
    """A browser that came through the start-up address, and everything it asked for and complained of."""
    context = browser.new_context(viewport={"width": 1150, "height": 860})
    page = context.new_page()
    page.set_default_timeout(1000 * WARM_S)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(served.start)
    assert page.url == f"{served.base}/", "the token is still in the address bar"
    yield page, asked, said
    assert [url for url in asked if not url.startswith(served.base)] == [], "asked elsewhere"
    context.close()


def until(page, condition: str, argument: object = None) -> None:
    """Wait until a condition holds; Playwright's own waiting would need `eval`, which the policy forbids."""
    deadline = time.monotonic() + ANSWER_S
    while not page.evaluate(condition, argument):
        assert time.monotonic() < deadline, condition
        time.sleep(0.1)


def picture(page, name: str) -> None:
    folder = os.environ.get("REMANENT_PICTURES")
    if folder:
        from PIL import Image

        path = Path(folder) / f"app-{name}.png"
        page.screenshot(path=path)
        with Image.open(path) as whole:
            small = whole.convert("RGB").resize(
                (920, round(920 * whole.height / whole.width)), Image.Resampling.LANCZOS
            )
        small.quantize(192, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)


def sound(page, said) -> None:
    """No violation of WCAG that axe finds, nothing wider than the window, nothing said on the console."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    found = Axe().run(page).response
    assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []
    assert len(found["passes"]) > 15
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "scrolls sideways"
    assert said == []


def test_every_page_opens_quietly_and_axe_finds_nothing(served, session):
    page, _, said = session
    base, who = served.base, served.who
    for path, name in (
        ("/", "patients"),
        (f"/patients/{who}", "patient"),
        (f"/patients/{who}/enter?table=medication", "medication"),
        ("/evidence?find=relapse", "evidence"),
        ("/quality", "quality"),
        ("/cohort", "cohort"),
        ("/trial", "trial"),
        ("/audit", "audit"),
        ("/downloads", "downloads"),
    ):
        page.goto(base + path)
        if name in PICTURES:
            picture(page, name)
        sound(page, said)
        assert page.evaluate("document.documentElement.lang") == "en"


def test_the_list_is_filtered_by_keyboard_without_a_new_page(served, session):
    page, _, said = session
    page.goto(f"{served.base}/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.locator("#find").focus()
    page.keyboard.type(served.who)
    until(page, "document.querySelectorAll('.list tbody tr').length === 1")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus cannot be seen"
    sound(page, said)
    page.locator(".list tbody a").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/patients/{served.who}")


def test_what_if_moves_the_forecast_and_the_advice_by_keyboard(served, session):
    page, asked, said = session
    page.goto(f"{served.base}/patients/{served.who}/whatif")
    answer = page.locator("#answer")
    picture(page, "whatif")
    sound(page, said)
    if not served.informed:
        assert "These data cannot say" in answer.inner_text() or "no longer at risk" in answer.inner_text()
    first = answer.inner_text()
    page.locator("#weeks-range").focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    until(page, "before => document.getElementById('answer').innerText !== before", first)
    assert page.locator("#weeks").input_value() == "18", "slider and number go together"
    assert "over 18 weeks" in answer.inner_text()
    page.locator("#poor_sleep").focus()
    page.keyboard.press("Space")
    until(page, "document.getElementById('answer').innerText.includes('h less sleep')")
    page.locator("#action-stop").focus()
    page.keyboard.press("Space")
    until(page, "document.getElementById('answer').innerText.includes('All drugs at zero from today')")
    page.locator("#ect_sessions").fill("6")
    until(page, "document.getElementById('answer').innerText.includes('ECT (')")
    sound(page, said)
    assert len([url for url in asked if "/whatif/answer" in url]) >= 4


def test_two_plans_stand_side_by_side(served, session):
    page, _, said = session
    page.goto(f"{served.base}/patients/{served.who}/compare")
    page.locator("#weeks_b").fill("26")
    until(page, "document.getElementById('answer').innerText.includes('over 26 weeks')")
    picture(page, "compare")
    sound(page, said)
    if served.informed:
        assert "under A less that under B" in page.locator("#answer").inner_text()


def test_a_visit_is_entered_and_the_state_moves_without_a_refit(served, session):
    page, _, said = session
    who, shelf = served.who, served.gate.app.state.desk.shelf
    before = shelf.view(who)
    day = before.timeline.today + 14
    page.goto(f"{served.base}/patients/{who}/enter")
    scale = before.timeline.symptoms[0].name
    page.locator("#cell_day").fill(f"{day:g}")
    page.locator("#cell_instrument").fill(scale)
    page.locator("#cell_value").fill("999")
    page.get_by_role("button", name="Store").press("Enter")
    until(page, "document.body.innerText.includes('Nothing was stored')")
    assert all("422" in one for one in said), "the browser notes the refusal, and nothing else"
    said.clear()
    sound(page, said)
    page.locator("#cell_value").fill("4")
    page.locator("#cell_reason").fill("visit at the clinic")
    picture(page, "enter")
    page.get_by_role("button", name="Store").press("Enter")
    page.wait_for_selector("#h-stored")
    assert page.evaluate("document.activeElement.id") == "h-stored", "the focus goes to what happened"
    sound(page, said)
    after = shelf.view(who)
    assert after.timeline.today == day
    assert after.states.days[-1] == day
    assert before.states.days[-1] < day
    page.goto(f"{served.base}/patients/{who}")
    assert "Newer than the last run" in page.inner_text("body")
    sound(page, said)


def test_an_entered_row_is_withdrawn_by_keyboard_and_the_state_goes_back(served, session):
    page, _, said = session
    who, shelf = served.who, served.gate.app.state.desk.shelf
    before = shelf.view(who)
    day = before.timeline.today
    page.goto(f"{served.base}/patients/{who}/enter")
    page.get_by_role("link", name="Withdraw").first.press("Enter")
    page.wait_for_url("**withdraw=true")
    sound(page, said)
    page.locator("#cell_reason").fill("typed into the wrong patient")
    page.get_by_role("button", name="Withdraw").press("Enter")
    page.wait_for_selector("#h-stored")
    assert "Withdrawn" in page.inner_text("#h-stored")
    sound(page, said)
    after = shelf.view(who)
    assert after.timeline.today < day
    assert after.states.days[-1] < day
    assert served.record.verify() == []


def test_steps_are_written_and_what_cannot_be_done_is_refused_in_words(served, session):
    page, _, said = session
    page.goto(f"{served.base}/patients/{served.who}/whatif")
    page.locator("#also").fill("stress crp_times=3 days=14")
    until(page, "document.getElementById('answer').innerText.includes('CRP times 3')")
    page.locator("#also").fill("hope")
    until(page, "document.getElementById('answer').innerText.includes('cannot be forecast')")
    sound(page, said)


def test_it_prints_on_a4(served, session):
    page, _, _ = session
    page.goto(f"{served.base}/patients/{served.who}")
    printed = page.pdf(prefer_css_page_size=True)
    assert 2 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") + printed.count(b"/Type /Page/") <= 9


@pytest.mark.slow
def test_after_a_restart_what_was_entered_is_computed_again(served, session):
    page, _, said = session
    desk = served.gate.app.state.desk
    day = desk.shelf.view(served.who).timeline.today + 14
    page.goto(f"{served.base}/patients/{served.who}/enter")
    page.locator("#cell_day").fill(f"{day:g}")
    page.locator("#cell_instrument").fill(desk.shelf.view(served.who).timeline.symptoms[0].name)
    page.locator("#cell_value").fill("4")
    page.locator("#cell_reason").fill("visit before the restart")
    page.get_by_role("button", name="Store").press("Enter")
    page.wait_for_selector("#h-stored")
    sound(page, said)
    before = desk.shelf.view(served.who)
    with running(desk.out) as again:
        shelf = again.gate.app.state.desk.shelf
        deadline = time.monotonic() + WARM_S
        while not shelf.live and time.monotonic() < deadline:
            time.sleep(0.2)
        assert list(shelf.live) == [served.who]
        after = shelf.view(served.who)
        assert after.timeline.today == day
        assert after.advice.code == before.advice.code
        for one, other in zip(after.forecasts.plans, before.forecasts.plans, strict=True):
            assert_allclose(one.mean, other.mean, rtol=1e-9)
