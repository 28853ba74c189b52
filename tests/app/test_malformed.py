"""Malformed requests, sixty in every run and a thousand in the slow ones, from the app's own schema: no fault, nothing leaked, nothing lost."""

import random
import warnings

import pytest
from client import csrf, opened, serving
from light import write_light

LEAKS = ("Traceback", "sqlite", "salt", "/tmp/", "site-packages", 'File "')  # noqa: S108 - looked for, not used


@pytest.mark.parametrize("requests", [60, pytest.param(1_000, marks=pytest.mark.slow)])
def test_malformed_requests(tmp_path, requests):
    import hypothesis
    import schemathesis

    out = write_light(tmp_path, 3)
    with serving(out) as (gate, record):
        client, held = opened(gate), [record.held(who) for who in ("sub-01", "sub-02", "sub-03")]
        headers = csrf(client)
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        operations = [one.ok() for one in schema.get_all_operations()]
        assert len(operations) > 12
        answered: list[int] = []
        each = -(-3 * requests // (2 * len(operations)))  # some have few cases

        for operation in operations:

            @hypothesis.settings(
                max_examples=each, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
            )
            @hypothesis.given(case=operation.as_strategy())
            def ask(case):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    sent = case.as_transport_kwargs(base_url=str(client.base_url))
                sent.pop("cookies", None)
                sent["headers"] = {
                    k: v for k, v in (sent.get("headers") or {}).items() if k.isascii() and v.isascii()
                } | headers
                answer = client.request(**sent)
                answered.append(answer.status_code)
                assert answer.status_code < 500, (case.method, case.path, answer.text[:300])
                assert not [word for word in LEAKS if word in answer.text]

            ask()
        answered += _noise(client, headers)
        assert len(answered) >= requests
        assert [record.held(who) for who in ("sub-01", "sub-02", "sub-03")] == held
        assert record.verify() == []


def _noise(client, headers) -> list[int]:
    """Random bytes as forms, random methods, random paths."""
    rng, answered = random.Random(6), []
    for _ in range(200):
        body = rng.randbytes(rng.randrange(2_000))
        kind = rng.choice(
            [
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "application/json",
                "text/\u00e9",
                "",
            ]
        )
        answer = client.request(
            rng.choice(["POST", "PUT", "DELETE", "PATCH", "BREW"]),
            rng.choice(["/patients/sub-01/enter", "/", "/evidence", f"/{rng.randbytes(6).hex()}"]),
            content=body,
            headers=headers | {"content-type": kind.encode("latin-1")},
        )
        assert answer.status_code < 500
        answered.append(answer.status_code)
    return answered
