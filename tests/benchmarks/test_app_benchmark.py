"""How fast the app answers: a list of 400 patients, and what-if with ten people dragging sliders at once."""

import statistics
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "app"), str(Path(__file__).parents[1] / "stages")]

pytestmark = pytest.mark.benchmark

USERS, CLICKS, PAUSE_S = 10, 20, 1.0


def test_a_list_of_400_patients(tmp_path, benchmark):
    from client import opened, serving
    from light import write_light

    with serving(write_light(tmp_path, 400)) as (gate, _):
        client = opened(gate)
        page = benchmark(client.get, "/")
    assert page.text.count("/patients/sub-") >= 400


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    from small import write_small
    from test_browser import running

    from remanent.cli import main

    folder = tmp_path_factory.mktemp("served")
    assert main(["run", str(write_small(folder / "study")), str(folder / "out"), "--workers", "1"]) in {0, 3}
    with running(folder / "out") as served:
        yield served


def ask(served, client, number: int, took: list[float]) -> None:
    """One person who drags a slider and looks."""
    people = list(served.gate.app.state.desk.bench._base.lanes)
    for k in range(CLICKS):
        who = people[(number + k // 5) % len(people)]
        weeks = 4 + (number * CLICKS + k) % 40 + 0.1 * number
        begun = time.perf_counter()
        answer = client.get(
            f"{served.base}/patients/{who}/whatif/answer", params={"weeks": weeks, "poor_sleep": k % 2 == 0}
        )
        took.append(time.perf_counter() - begun)
        assert answer.status_code == 200
        time.sleep(PAUSE_S)


def test_what_if_with_ten_people(warm, benchmark):
    import httpx

    took: list[float] = []

    def everyone() -> None:
        clients = [httpx.Client(trust_env=False) for _ in range(USERS)]
        for client in clients:
            client.get(warm.start, follow_redirects=True)
        people = [threading.Thread(target=ask, args=(warm, client, n, took)) for n, client in enumerate(clients)]
        for person in people:
            person.start()
        for person in people:
            person.join()

    benchmark.pedantic(everyone, rounds=1)
    ranked = sorted(took)
    figures = {
        "median_ms": 1000 * statistics.median(took),
        "p95_ms": 1000 * ranked[int(0.95 * len(ranked))],
        "n": len(took),
    }
    benchmark.extra_info.update(figures)
    print(figures)
    assert len(took) == USERS * CLICKS
