"""How large are reports, how fast do they open, how fast does the app answer? For 1, 40 and 400 patients.

usage: python tools/validate_pages.py STUDY OUT     prints the tables of docs/validation/pages.md

STUDY and OUT: an analysed study, e.g. demo-out/study and demo-out/results after ./demo. Its patients are repeated under new names until
there are 400: their rows, features and pages are real, only their number is made up. Needs Chromium; run it on an idle machine.
"""

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
from playwright.sync_api import Browser, sync_playwright

from remanent.report.pages import page_name, render_index, render_patient
from remanent.report.saved import from_json, to_json
from remanent.stages import compared
from remanent.stages.draws import AFTER, BEFORE, PEOPLE
from remanent.stages.measure import read
from remanent.stages.publish import view_name
from remanent.study.outputs import claim
from remanent.study.store import Record

SIZES = (1, 40, 400)
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
LEARNT = ("population.json", "reference.json", "dataset_description.json", "methods.html")
TIMES_OPENED = 7
USERS, CLICKS, PAUSE_S = 10, 30, 1.0
PAINTED = "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"


# ---------------------------------------------------------------------------------------------------- many patients from few


def enlarge(study: Path, out: Path, folder: Path, patients: int) -> tuple[Path, Path]:
    """Write the study and its results with as many patients as asked for; return both folders."""
    known = [row["participant_id"] for row in _rows(study / "participants.tsv")]
    names = {f"sub-{k + 1:04d}": known[k % len(known)] for k in range(patients)}
    bigger, results = folder / "study", folder / "out"
    for path in (study / "participants.tsv", *study.glob("phenotype/*.tsv")):
        _repeat(path, bigger / path.relative_to(study), names)
    for path in (study / "dataset_description.json", *study.glob("phenotype/*.json"), *study.glob("participants.json")):
        shutil.copy(path, bigger / path.relative_to(study))
    for new, old in names.items():
        (bigger / new).mkdir()
        shutil.copy(study / old / f"{old}_sessions.tsv", bigger / new / f"{new}_sessions.tsv")
    claim(results, bigger)
    for path in (out / name for name in LEARNT):
        if path.is_file():
            shutil.copy(path, results / path.name)
    with Record.open(out, create=False) as old_record, Record.open(results) as record:
        record.ingest(read(bigger))
        _put_features(old_record, record, names)
        _put_draws(old_record, record, names)
    _put_views(out, results, names)
    _put_comparison(out, results, names)
    return bigger, results


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as text:
        return list(csv.DictReader(text, delimiter="\t"))


def _repeat(source: Path, target: Path, names: dict[str, str]) -> None:
    rows = _rows(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, rows[0].keys(), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        for new, old in names.items():
            writer.writerows(row | {"participant_id": new} for row in rows if row["participant_id"] == old)


def _put_features(old: Record, new: Record, names: dict[str, str]) -> None:
    table, visits = old.features(), {}
    parts = (
        table[name] for name in ("participant_id", "session_id", "day", "feature", "value", "se", "usable", "reason")
    )
    for who, session, day, *feature in zip(*parts, strict=True):
        one = SimpleNamespace(**dict(zip(("name", "value", "se", "usable", "reason"), feature, strict=True)))
        visits.setdefault(who, {}).setdefault((session, day), []).append(one)
    for name, person in names.items():
        for (session, day), features in visits.get(person, {}).items():
            new.put_features(name, session, day, features, "repeated")


def _put_draws(old: Record, new: Record, names: dict[str, str]) -> None:
    lanes = old.draws(PEOPLE)
    known = lanes.pop("participant_id").tolist()
    who = [name for name, person in names.items() if person in known]
    rows = np.array([known.index(names[name]) for name in who])
    new.put_draws(PEOPLE, {"participant_id": np.array(who, object), **{k: v[rows] for k, v in lanes.items()}})
    for part in (AFTER, BEFORE):
        arrays = old.draws(part)
        new.put_draws(part, {k: v if k in {"mechanism", "theta"} else v[:, rows] for k, v in arrays.items()})


def _put_views(out: Path, results: Path, names: dict[str, str]) -> None:
    (results / "views").mkdir()
    cohort = json.loads((out / view_name("cohort")).read_bytes())
    row_of = {row["participant_id"]: row for row in cohort["rows"]}
    cohort["rows"] = [row_of[old] | {"participant_id": new} for new, old in names.items()]
    view = from_json(json.dumps(cohort).encode())
    (results / view_name("cohort")).write_bytes(to_json(view))
    (results / "index.html").write_text(render_index(view), encoding="utf-8")
    for new, old in names.items():
        content = json.loads((out / view_name(old)).read_bytes()) | {"participant_id": new}
        view = from_json(json.dumps(content).encode())
        (results / view_name(new)).write_bytes(to_json(view))
        (results / page_name(new)).write_text(render_patient(view), encoding="utf-8")


def _put_comparison(out: Path, results: Path, names: dict[str, str]) -> None:
    found = compared.kept(out)
    if found is None:
        return
    known, comparison = found
    who = [name for name, person in names.items() if person in known]
    rows = [known.index(names[name]) for name in who]
    told = comparison.identifiability
    told = replace(told, weight_of_evidence=told.weight_of_evidence[rows], patient=told.patient[rows])
    by_patient = {name: getattr(comparison, name)[rows] for name in ("patient", "patient_identifiable")}
    compared.keep(results, who, replace(comparison, identifiability=told, **by_patient))


# ---------------------------------------------------------------------------------------------------- reports


def report(results: Path, patients: int, browser: Browser) -> list[str]:
    """Rows of the table of reports: size (MB) and time to open (ms) of the index, a patient's page and the methods."""
    pages = sorted(results.glob("sub-*.html"), key=lambda path: path.stat().st_size)
    kinds = {"index": results / "index.html", "patient (largest)": pages[-1], "methods": results / "methods.html"}
    rows = []
    for kind, path in kinds.items():
        took = opened(browser, path.as_uri())
        middle, most = statistics.median(took), max(took)
        rows.append(f"| {patients} | {kind} | {path.stat().st_size / 1e6:.2f} | {middle:.0f} | {most:.0f} |")
    return rows


def opened(browser: Browser, address: str, first: str = "") -> list[float]:
    """Times to open a page and paint it (ms), each in a fresh context; `first`: an address to come through."""
    took = []
    for _ in range(TIMES_OPENED):
        context = browser.new_context(viewport={"width": 1150, "height": 900})
        page = context.new_page()
        page.goto(first or "about:blank")
        start = time.perf_counter()
        page.goto(address)
        page.evaluate(PAINTED)
        took.append(1000 * (time.perf_counter() - start))
        context.close()
    return took


# ---------------------------------------------------------------------------------------------------- the app


@contextmanager
def serving(results: Path) -> Iterator[tuple[str, str, int]]:
    """The app as a user starts it for the first time, no program being kept: its address, its start-up address, its process."""
    command = [sys.executable, "-u", "-m", "remanent", "serve", str(results), "--port", "0"]
    nothing_kept = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, **streams, text=True, env=nothing_kept) as app:
        try:
            start = next(line.strip() for line in app.stdout or () if "/open?token=" in line)
            yield start.split("/open")[0], start, app.pid
        finally:
            app.terminate()


def visitor(start: str) -> httpx.Client:
    """Somebody with a session."""
    client = httpx.Client(trust_env=False, timeout=60)
    client.get(start, follow_redirects=True)
    return client


def waited(ready: Callable[[], bool]) -> float:
    """Seconds until something holds."""
    begun = time.monotonic()
    while not ready():
        time.sleep(0.5)
    return time.monotonic() - begun


def what_if(base: str, start: str, people: Sequence[str]) -> tuple[list[float], list[float]]:
    """Times (ms) of the first look at a patient's what-if, and of each movement of a slider, by ten people at once."""
    first: list[float] = []
    moved: list[float] = []

    def one_person(number: int) -> None:
        client, who = visitor(start), people[number % len(people)]
        time.sleep(PAUSE_S * number / USERS)
        first.append(_took(client, f"{base}/patients/{who}/whatif"))
        for k in range(CLICKS):
            time.sleep(PAUSE_S)
            weeks, stress = 4 + (7 * k + number) % 40 + 0.01 * number, "true" if k % 2 else "false"
            moved.append(_took(client, f"{base}/patients/{who}/whatif/answer?weeks={weeks}&poor_sleep={stress}"))

    crowd = [threading.Thread(target=one_person, args=(number,)) for number in range(USERS)]
    for person in crowd:
        person.start()
    for person in crowd:
        person.join()
    if len(moved) != USERS * CLICKS:
        raise SystemExit("not everybody was answered")
    return first, moved


def _took(client: httpx.Client, address: str) -> float:
    begun = time.perf_counter()
    answer = client.get(address)
    took = 1000 * (time.perf_counter() - begun)
    if answer.status_code != 200 or "warmed up" in answer.text:
        raise SystemExit(f"no answer: {answer.status_code}")
    return took


def _percentiles(took: Sequence[float]) -> str:
    ranked = sorted(took)
    return f"{statistics.median(ranked):.0f} | {ranked[int(0.95 * len(ranked))]:.0f} | {ranked[-1]:.0f} | {len(ranked)}"


def app(results: Path, browser: Browser) -> None:
    """Print the table of the app."""
    views = (from_json(path.read_bytes()) for path in sorted((results / "views").glob("sub-*.json")))
    people = [view.participant_id for view in views if view.forecasts.basis.informed][:USERS]
    with serving(results) as (base, start, process):
        client = visitor(start)
        warm = waited(lambda: "The model is ready" in client.get(f"{base}/warm").text)
        print(f"\nThe app is warm {warm:.0f} s after its start.\n")
        print("| page | median (ms) | 95th percentile | longest | n |\n|---|---|---|---|---|")
        before = _processor_s(process)
        first, moved = what_if(base, start, people)
        each = 1000 * (_processor_s(process) - before) / (len(first) + len(moved))
        print(f"| what-if, opened by {USERS} people within a second | {_percentiles(first)} |")
        print(f"| what-if, a slider moved | {_percentiles(moved)} |")
        print(f"| (processor time of the app per answer) | {each:.0f} | | | |")
        for name, path in (("list of patients", "/"), ("cohort", "/cohort"), ("patient", f"/patients/{people[-1]}")):
            print(f"| {name} | {_percentiles(opened(browser, base + path, start))} |")
        client.get(f"{base}/patients/{people[0]}/enter")
        _, moved = what_if(base, start, people)
        print(f"| what-if, a slider moved, after somebody opened the form to enter a row | {_percentiles(moved)} |")
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        resident = next(int(line.split()[1]) / 1e6 for line in lines if line.startswith("VmRSS"))
        print(f"\nIt holds {resident:.1f} GB of memory.")


def _processor_s(process: int) -> float:
    """Processor time a process has used."""
    parts = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print both tables."""
    study, out = map(Path, sys.argv[1:3])
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        print("| patients | page | MB | opens in (ms, median of 7) | longest |\n|---|---|---|---|---|")
        for patients in SIZES:
            _, results = enlarge(study, out, Path(folder) / str(patients), patients)
            print(*report(results, patients, browser), sep="\n", flush=True)
        app(results, browser)


if __name__ == "__main__":
    main()
