"""A virtual trial as `remanent trial` writes it into the results folder, on the app's page."""

import pytest
from client import as_user, opened, proxied, serving
from light import write_light

from remanent.app.settings import User
from remanent.cli import main
from valid_html import check_html

SPEC = """
patients: 40
replicates: 2
follow_up_days: 182
policies:
  - {name: go on, stages: []}
  - {name: stop <b>, stages: [{day: 84, weeks: 8}]}
contrast: null
power: {patients_per_arm: [20, 40], resamples: 50}
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    made = write_light(folder, 2)
    (folder / "spec.yaml").write_text(SPEC)
    assert main(["trial", str(folder / "spec.yaml"), str(made / "trial"), "--workers", "1"]) == 0
    return made


def test_policies_power_and_tables_are_shown(out):
    with serving(out) as (gate, record):
        client = opened(gate)
        page = client.get("/trial").text.replace("\u00a0", " ")
        assert page.count("<svg") == 2
        check_html(page)
        assert "Policies side by side" in page
        assert "stop &lt;b&gt;" in page
        assert "style=" not in page
        whole = (out / "trial" / "trial.html").read_text().replace("\u00a0", " ")
        for words in ("Least regret", "80 % is not reached", "Difference from go on"):
            assert words in page
            assert words in whole
        check_html(whole)
        for name in ("policies", "differences", "replicates", "power"):
            taken = client.get(f"/trial/trial/{name}.tsv")
            assert taken.content == (out / "trial" / f"{name}.tsv").read_bytes()
            assert f"/trial/trial/{name}.tsv" in page
        assert "differences.tsv</a>: each policy less the first" in page
        assert len(record.last_audit(50, action="export")) == 4


def test_only_trials_and_their_tables_can_be_taken(out):
    (out / "elsewhere").symlink_to(out / "trial")
    with serving(out, proxied(ann=User("ann", "viewer"), bea=User("bea", "analyst"))) as (gate, _):
        viewer, analyst = as_user(gate, "ann"), as_user(gate, "bea")
        assert ".tsv" not in viewer.get("/trial").text
        assert viewer.get("/trial/trial/power.tsv").status_code == 403
        assert analyst.get("/trial/trial/power.tsv").status_code == 200
        for path in (
            "trial/view",
            "views/power",
            "elsewhere/power",
            "../trial/power",
            "%2e%2e/power",
            "trial/../power",
        ):
            assert analyst.get(f"/trial/{path}.tsv").status_code == 404
        assert analyst.get("/trial", params={"name": "views"}).status_code == 404


def test_a_trial_of_another_version_is_said_to_be_one(out):
    path = out / "trial" / "view.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"regret_mean"', b'"remorse_mean"'))
    try:
        with serving(out) as (gate, _):
            answer = opened(gate).get("/trial")
        assert answer.status_code == 503
        assert "another version" in answer.text
    finally:
        path.write_bytes(whole)
