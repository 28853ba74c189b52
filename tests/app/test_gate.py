"""Attacks on the gate: other names for this machine, no session, other pages, other people's headers, too much of anything."""

import logging

import pytest
from client import HOST, PEER, PORT, SECRET, anonymous, as_user, csrf, opened, proxied, serving

from remanent._errors import InputError, UsageError
from remanent.app.gate import LARGEST_BODY_BYTES, POLICY
from remanent.app.serve import serve
from remanent.app.settings import Settings, User, read_settings

PAGES = (
    "/",
    "/evidence",
    "/quality",
    "/trial",
    "/audit",
    "/downloads",
    "/openapi.json",
    "/static/app.js",
    "/nothing",
    "/warm",
)


@pytest.fixture(scope="module")
def gate(light):
    with serving(light) as (made, _):
        yield made


@pytest.fixture
def client(gate):
    return opened(gate)


@pytest.fixture(scope="module")
def shared(light):
    users = {
        "ann": User("ann", "viewer", frozenset({"north"})),
        "bea": User("bea", "analyst"),
        "cyd": User("cyd", "admin"),
    }
    with serving(light, proxied(**users)) as (made, _):
        yield made


def test_the_start_address_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(gate):
    answer = anonymous(gate).get("/open", params={"token": gate.settings.token}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert f"remanent_{PORT}=" in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert gate.settings.token not in cookie


@pytest.mark.parametrize("token", ["", "x", "é", "0" * 43])
def test_without_the_token_there_is_no_session(gate, token):
    answer = anonymous(gate).get("/open", params={"token": token}, follow_redirects=False)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_without_a_session(gate, path):
    for cookie in ("", f"remanent_{PORT}=", f"remanent_{PORT}=guess", "remanent_1=guess"):
        answer = anonymous(gate).get(path, headers={"cookie": cookie} if cookie else {})
        assert answer.status_code == 401
        assert "sub-" not in answer.text


def test_two_cookies_of_the_name_are_none(gate, client):
    value = client.cookies[f"remanent_{PORT}"]
    twice = f"remanent_{PORT}={value}; remanent_{PORT}={value}"
    assert anonymous(gate).get("/", headers={"cookie": twice}).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", f"127.0.0.1.evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", "", f"evil@127.0.0.1:{PORT}"]
)
def test_another_name_for_this_machine_is_refused_even_with_a_session(client, host):
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "sub-" not in answer.text


@pytest.mark.parametrize("path", [*PAGES, "/patients/sub-01", "/patients/sub-01/whatif", "/static/page.css"])
def test_every_answer_carries_the_policy(client, path):
    headers = client.get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("private, max-age=3600" if path.startswith("/static") else "no-store")
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY


@pytest.mark.parametrize(
    "path", ["/", "/patients/sub-01", "/patients/sub-01/whatif", "/patients/sub-01/enter", "/evidence", "/quality"]
)
def test_no_page_needs_what_the_policy_forbids(client, path):
    text = client.get(path).text
    assert "<style" not in text
    assert " style=" not in text
    assert " onclick=" not in text
    assert text.count("<script") == text.count('<script src="/static/') == 2
    assert "//" not in text.replace("http://www.w3.org/2000/svg", "").split("<main")[0]


def test_a_change_needs_the_header_of_our_own_page(client):
    path, fields = "/patients/sub-01/enter", {"table": "symptoms"}
    good = csrf(client)
    assert client.post(path, data=fields).status_code == 403
    assert client.post(path, data=fields, headers={"x-remanent-csrf": "0" * 64}).status_code == 403
    assert client.post(path, data=fields, headers=good | {"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.post(path, data=fields, headers=good).status_code == 422


def test_another_sessions_csrf_token_does_not_serve(gate, client):
    assert client.post("/patients/sub-01/enter", headers=csrf(opened(gate))).status_code == 403


def test_too_much_is_refused_whether_announced_or_not(client):
    good = csrf(client)
    body = b"x" * (LARGEST_BODY_BYTES + 1)
    assert client.post("/patients/sub-01/enter", content=body, headers=good).status_code == 413
    pieces = (b"x" * 8192 for _ in range(20))
    assert client.post("/patients/sub-01/enter", content=pieces, headers=good).status_code == 413
    assert client.get("/", params={"find": "x" * 5000}).status_code == 414


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py",
        "/static/%2e%2e/gate.py",
        "/static/..%2fgate.py",
        "/static//etc/passwd",
        "/patients/..%2f..%2fdataset_description",
        "/patients/%2e%2e",
        "/patients/sub-01%00",
        "/downloads/tables/..%2fstudy.sqlite.tsv",
        "/downloads/tables/audit.tsv",
        "/downloads/tables/meta.tsv",
        "/downloads/figures/..%2f..%2fviews/timeline.svg",
        "/downloads/figures/sub-01/..%2ftimeline.svg",
        "/downloads/figures/sub-01/timeline.py",
    ],
)
def test_paths_lead_nowhere_else(client, path):
    answer = client.get(path)
    assert answer.status_code in {404, 422}
    assert "root:" not in answer.text
    assert "salt" not in answer.text


# ------------------------------------------------------------------------------------------------ behind a proxy


def test_a_name_is_believed_only_from_the_proxy_with_the_secret(shared):
    assert as_user(shared, "cyd").get("/audit").status_code == 200
    forged = {"host": "remanent.example", "x-remote-user": "cyd"}
    for peer, headers in (
        (PEER, forged),
        (PEER, forged | {"x-remanent-secret": "wrong"}),
        ("10.0.0.7", forged | {"x-remanent-secret": SECRET}),
    ):
        answer = anonymous(shared, peer).get("/", headers=headers)
        assert answer.status_code == 401
        assert "sub-" not in answer.text
    assert as_user(shared, "mallory").get("/").status_code == 403
    twice = [
        ("host", "remanent.example"),
        ("x-remanent-secret", SECRET),
        ("x-remote-user", "ann"),
        ("x-remote-user", "cyd"),
    ]
    assert anonymous(shared).get("/", headers=twice).status_code == 403


def test_behind_a_proxy_the_start_address_opens_nothing(shared):
    answer = anonymous(shared).get(
        "/open", params={"token": shared.settings.token}, headers={"host": "remanent.example"}
    )
    assert answer.status_code == 401


def test_on_this_machine_the_proxys_headers_mean_nothing(gate):
    headers = HOST | {"x-remote-user": "cyd", "x-remanent-secret": SECRET}
    assert anonymous(gate).get("/", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("ann", "/patients/{north}/enter", 403),
        ("ann", "/downloads", 403),
        ("ann", "/audit", 403),
        ("ann", "/patients/{north}", 200),
        ("ann", "/patients/{south}", 404),
        ("ann", "/patients/{south}/whatif", 404),
        ("ann", "/patients/{south}/whatif/answer", 404),
        ("ann", "/patients/{south}/compare", 404),
        ("bea", "/patients/{south}/enter", 200),
        ("bea", "/downloads", 200),
        ("bea", "/audit", 403),
        ("cyd", "/audit", 200),
    ],
)
def test_roles_and_sites(shared, name, path, status):
    people = shared.app.state.desk.shelf.results.participants
    answer = as_user(shared, name).get(path.format(north=people[0], south=people[1]))
    assert answer.status_code == status


def test_who_sees_one_site_sees_no_trace_of_the_other(shared):
    people = shared.app.state.desk.shelf.results.participants
    client = as_user(shared, "ann")
    for path in ("/", "/?find=sub", "/quality", "/trial"):
        text = client.get(path).text
        assert people[1] not in text
        assert "south" not in text
    assert people[0] in client.get("/").text
    one, none = (client.get(f"/patients/{who}") for who in (people[1], "sub-nobody"))
    assert one.text.replace(people[1], "") == none.text.replace("sub-nobody", "")


# ------------------------------------------------------------------------------------------------ settings


def settings_file(
    folder, proxy: str = "", users: str = "{ann: {role: viewer}}", mode: int = 0o600, secret: str = SECRET
):
    (folder / "secret").write_text(secret)
    (folder / "secret").chmod(mode)
    given = proxy or "{address: 127.0.0.1, user_header: X-User, secret_header: X-Secret, secret_file: secret, host: h}"
    path = folder / "settings.yaml"
    path.write_text(f"proxy: {given}\nusers: {users}\n")
    return path


def test_a_settings_file_is_read_and_its_secret_shown_nowhere(tmp_path):
    found = read_settings(settings_file(tmp_path, users="{ann: {role: viewer, sites: [north]}}"), 1)
    assert found.users["ann"] == User("ann", "viewer", frozenset({"north"}))
    assert SECRET not in repr(found)
    assert found.token not in repr(found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": 0o644}, "others can read"),
        ({"secret": "short"}, "fewer than 32"),
        (
            {"proxy": "{address: proxy.example, user_header: a, secret_header: b, secret_file: secret, host: h}"},
            "no IP address",
        ),
        ({"proxy": "{address: 127.0.0.1}"}, "proxy is not"),
        ({"users": "{}"}, "not a table"),
        ({"users": "{ann: {role: god}}"}, "ann has no role"),
        ({"users": "{ann: {role: viewer, sites: north}}"}, "sites of ann"),
    ],
)
def test_settings_that_would_let_someone_in_are_refused(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        read_settings(settings_file(tmp_path, **changes), 1)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.4", "::", "example.org"])  # noqa: S104 - that is the point
def test_without_a_proxy_it_listens_on_this_machine_only(light, address):
    with pytest.raises(UsageError, match="cannot listen"):
        serve(light, address, 0, settings_file=None, thresholds=None, say=print)


def test_tokens_are_long_and_new_each_time():
    tokens = {Settings(1).token for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 43


def test_nothing_of_a_patient_is_logged(light, caplog):
    caplog.set_level(logging.DEBUG)
    with serving(light) as (gate, _):
        client = opened(gate)
        client.get("/patients/sub-01")
        client.get("/patients/sub-01/whatif")
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith("httpx")]
    assert "sub-01" not in "".join(ours)
