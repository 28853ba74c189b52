"""A small study run once: every promised file, and what its rows must fulfil whatever the data."""

import json
import math
import re
import shutil
import sqlite3
import subprocess
from collections import Counter, defaultdict
from html import unescape
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from remanent.dynamics.priors import MECHANISMS, meaning
from remanent.stages.analyse import Results
from remanent.stages.check import check
from remanent.study.schema import OUTPUT
from small import PEOPLE, TABLES, Ran, read, records

# What other programs rely on, in this order; the schema may add columns after them.
CONTRACT = {
    "problems": "file row column problem action",
    "features": "participant_id session_id day feature value se z usable reason",
    "states": "participant_id day function_mean function_sd structure_mean structure_sd withdrawal_mean",
    "mechanisms": "participant_id mechanism probability log_evidence identifiable",
    "comparison": "mechanism inference log_evidence evidence_error loo loo_se loo_difference loo_difference_se worst_k",
    "identifiability": "kind name expected_sd_ratio expected_nats informed posterior_sd_ratio decided_by prior",
    "remanence": "participant_id day horizon_days remanence_mean remanence_lower remanence_upper hold_mean hold_lower hold_upper",
    "forecasts": "participant_id plan day horizon_days relapse_mean relapse_lower relapse_upper",
    "plans": "participant_id day advice reasons missing",
}
HORIZONS = ["28", "91", "182", "364"]
VALIDATOR = Path(__file__).parents[2] / ".venv" / "bin" / "bids-validator-deno"


def number(text: str) -> float:
    return math.nan if text == "n/a" else float(text)


def interval(row: dict[str, str], name: str) -> tuple[float, float, float]:
    return tuple(number(row[f"{name}_{part}"]) for part in ("lower", "mean", "upper"))


def study_days(study: Path, participant: str) -> dict[str, set[float]]:
    """Days of a participant's records by table, read from the study's own files."""
    days = defaultdict(set)
    for file in (study / "phenotype").glob("*.tsv"):
        for row in records(file):
            if row["participant_id"] == participant and "day" in row:
                days[file.stem].add(float(row["day"]))
    for row in records(study / participant / f"{participant}_sessions.tsv"):
        days["sessions"].add(float(row["day"]))
    return days


def test_it_ends_well(ran: Ran) -> None:
    assert ran.code == 0
    assert f"{PEOPLE} participants." in ran.said
    assert f"Report: {ran.out / 'index.html'}" in ran.said


def test_every_promised_file_is_there(ran: Ran) -> None:
    names = {path.relative_to(ran.out).as_posix() for path in ran.out.rglob("*") if path.is_file()}
    people = read(ran.study / "participants.tsv")["participant_id"]
    promised = {"dataset_description.json", "study.sqlite", "features.parquet", "index.html"}
    promised |= {f"{name}.{kind}" for name in TABLES for kind in ("tsv", "json")}
    promised |= {f"{who}.html" for who in people}
    assert promised <= names
    assert any(name.startswith("draws/") for name in names)
    assert not [name for name in names if name.endswith(".tmp")]


@pytest.mark.parametrize("name", TABLES)
def test_tables_have_the_promised_columns_and_a_sidecar(ran: Ran, name: str) -> None:
    header = (ran.out / f"{name}.tsv").read_text().splitlines()[0].split("\t")
    promised = CONTRACT[name].split()
    assert header[: len(promised)] == promised
    assert header == list(OUTPUT[name].column)
    sidecar = json.loads((ran.out / f"{name}.json").read_text())
    assert [column for column in sidecar if column in header] == header
    assert all(sidecar[column]["Description"] for column in header)


def test_tables_are_plain_text_without_nan_or_infinity(ran: Ran) -> None:
    for name in TABLES:
        text = (ran.out / f"{name}.tsv").read_bytes().decode("utf-8")
        assert text.endswith("\n")
        assert not {cell.lower() for line in text.splitlines() for cell in line.split("\t")} & {
            "nan",
            "inf",
            "-inf",
            "",
        }


def test_the_description_says_who_made_it_from_what(ran: Ran) -> None:
    found = json.loads((ran.out / "dataset_description.json").read_text())
    assert found["DatasetType"] == "derivative"
    assert found["GeneratedBy"][0]["Name"] == "Remanent"
    assert found["SourceDatasets"] == [{"URL": "../study"}]
    assert {"Seed", "Snapshot", "AuditHead"} <= set(found["Remanent"])


def test_today_is_the_last_record_in_every_table(ran: Ran) -> None:
    said = defaultdict(set)
    for name in ("forecasts", "remanence", "plans"):
        for row in records(ran.out / f"{name}.tsv"):
            said[row["participant_id"]].add(float(row["day"]))
    for row in records(ran.out / "states.tsv"):
        said[row["participant_id"], "states"].add(float(row["day"]))
    people = read(ran.study / "participants.tsv")["participant_id"]
    for who in people:
        days = study_days(ran.study, who)
        days.pop("medication", None)
        last = max(max(d) for d in days.values())
        assert said[who] == {last}
        assert max(said[who, "states"]) == last


def test_states_stand_on_every_day_with_an_observation_and_weekly_between(ran: Ran) -> None:
    shown = defaultdict(list)
    for row in records(ran.out / "states.tsv"):
        shown[row["participant_id"]].append(float(row["day"]))
    for who in read(ran.study / "participants.tsv")["participant_id"]:
        days = study_days(ran.study, who)
        first, last = min(min(d) for d in days.values()), max(shown[who])
        weekly = set(np.arange(first, last, 7))
        scanned = {float(r["day"]) for r in records(ran.out / "features.tsv") if r["participant_id"] == who}
        assert shown[who] == sorted(set(shown[who]))
        assert days["hdrs24"] | scanned | weekly | {last} == set(shown[who])


def test_states_are_numbers_with_a_spread(ran: Ran) -> None:
    for row in records(ran.out / "states.tsv"):
        for name in ("function", "structure"):
            assert abs(float(row[f"{name}_mean"])) < 10
            assert 0 < float(row[f"{name}_sd"]) < 3
        assert row["basis"] in {"data", "prior"}


def test_mechanism_probabilities_sum_to_one_for_the_cohort_and_everyone(ran: Ran) -> None:
    by_who = defaultdict(dict)
    for row in records(ran.out / "mechanisms.tsv"):
        by_who[row["participant_id"]][row["mechanism"]] = float(row["probability"])
        assert row["identifiable"] in {"true", "false"}
        assert math.isfinite(float(row["log_evidence"]))
    assert set(by_who) == {"cohort", *read(ran.study / "participants.tsv")["participant_id"]}
    for probabilities in by_who.values():
        assert tuple(probabilities) == MECHANISMS
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-6)


def test_what_stands_behind_the_probabilities_is_written(ran: Ran) -> None:
    rows = records(ran.out / "comparison.tsv")
    assert tuple(row["mechanism"] for row in rows) == MECHANISMS
    evidence = {r["mechanism"]: r["log_evidence"] for r in records(ran.out / "mechanisms.tsv")[: len(MECHANISMS)]}
    for row in rows:
        assert row["log_evidence"] == evidence[row["mechanism"]]
        assert row["inference"] == "laplace"
        assert {row["rhat"], row["bulk_ess"], row["divergences"], row["evidence_error"]} == {"n/a"}
        assert float(row["loo_difference"]) <= 0 < float(row["loo_se"])
        assert (int(row["doubtful_patients"]) > 0) == ("not to be relied on" in row["message"])
    assert max(float(row["loo_difference"]) for row in rows) == 0


def test_every_parameter_and_contrast_is_judged_by_name(ran: Ran, results: Results) -> None:
    rows = {row["name"]: row for row in records(ran.out / "identifiability.tsv")}
    assert set(results.posterior.layout.names) < set(rows)
    assert {n for n, r in rows.items() if r["kind"] == "contrast"} == {
        f"{a} or {b}" for a, b in combinations(MECHANISMS, 2)
    }
    for row in rows.values():
        assert 0 < float(row["expected_sd_ratio"]) <= 1 + 1e-9
        assert (row["informed"] == "true") == (float(row["expected_sd_ratio"]) <= 0.6)
    severity = min((r for n, r in rows.items() if n.startswith("mu[")), key=lambda r: float(r["posterior_sd_ratio"]))
    assert severity["decided_by"] == "data"
    undecided = [n for n, row in rows.items() if "[" not in n and row["decided_by"] == "prior"]
    index = unescape((ran.out / "index.html").read_text("utf-8"))
    assert all(meaning(name) in index for name in undecided)


def test_forecasts_stand_at_every_horizon_of_every_standard_plan(ran: Ran) -> None:
    found = defaultdict(list)
    for row in records(ran.out / "forecasts.tsv"):
        found[row["participant_id"], row["plan"]].append(row["horizon_days"])
    people = read(ran.study / "participants.tsv")["participant_id"]
    assert found == {(who, plan): HORIZONS for who in people for plan in ("continue", "taper", "stop")}
    remanence = defaultdict(list)
    for row in records(ran.out / "remanence.tsv"):
        remanence[row["participant_id"]].append(row["horizon_days"])
    assert remanence == dict.fromkeys(people, HORIZONS)


def test_intervals_are_ordered_and_probabilities_are_probabilities(ran: Ran) -> None:
    shown = 0
    for table, name in (("forecasts", "relapse"), ("remanence", "hold"), ("remanence", "remanence")):
        for row in records(ran.out / f"{table}.tsv"):
            lower, mean, upper = interval(row, name)
            if math.isnan(mean):
                assert math.isnan(lower)
                assert math.isnan(upper)
                continue
            shown += 1
            assert lower <= mean <= upper
            assert name == "remanence" or (lower >= 0 and upper <= 1)
    assert shown > 30


def test_a_forecast_that_rests_on_the_prior_shows_no_number(ran: Ran) -> None:
    bases = defaultdict(int)
    for row in records(ran.out / "forecasts.tsv"):
        bases[row["basis"]] += 1
        assert math.isnan(number(row["relapse_mean"])) == (row["basis"] != "data")
    for row in records(ran.out / "remanence.tsv"):
        if row["basis"] != "data":
            assert math.isnan(number(row["remanence_mean"]))
            assert math.isnan(number(row["hold_mean"]))
        else:
            assert math.isfinite(number(row["hold_mean"]))
    assert bases["data"]
    assert bases["undefined"]


def test_whoever_relapsed_has_no_forecast_and_is_to_be_seen(ran: Ran) -> None:
    relapsed = {r["participant_id"] for r in records(ran.study / "phenotype" / "events.tsv") if r["event"] == "relapse"}
    undefined = {r["participant_id"] for r in records(ran.out / "forecasts.tsv") if r["basis"] == "undefined"}
    advice = {r["participant_id"]: r["advice"] for r in records(ran.out / "plans.tsv")}
    assert relapsed
    assert undefined == relapsed
    assert {who for who in relapsed if advice[who] != "act"} == set()


def test_risk_grows_with_the_horizon_and_holding_is_its_complement(ran: Ran) -> None:
    risk = {
        (r["participant_id"], r["plan"], r["horizon_days"]): interval(r, "relapse")
        for r in records(ran.out / "forecasts.tsv")
        if r["basis"] == "data"
    }
    for who, plan, _ in risk:
        means = [risk[who, plan, h][1] for h in HORIZONS]
        assert means == sorted(means)
    for row in records(ran.out / "remanence.tsv"):
        key = (row["participant_id"], "stop", row["horizon_days"])
        if key in risk:
            lower, mean, upper = interval(row, "hold")
            assert (1 - upper, 1 - mean, 1 - lower) == pytest.approx(risk[key], abs=1e-7)


def test_where_the_drug_holds_function_up_a_taper_risks_no_more_than_a_stop(results: Results) -> None:
    """In the estimates themselves, shown or not; where no drug is taken all plans are one."""
    relapse = {plan: estimate.mean for plan, estimate in results.outcome.relapse.items()}
    exposed = results.outcome.dose["continue"].sum(0).mean(0) > 0.02
    assert exposed.any()
    assert (relapse["continue"] <= relapse["taper"] + 1e-9)[:, exposed].all()
    assert (relapse["taper"] <= relapse["stop"] + 1e-9)[:, exposed].all()
    assert (relapse["stop"] > relapse["continue"] + 0.01)[-1, exposed].all()
    assert np.allclose(relapse["stop"][:, ~exposed], relapse["continue"][:, ~exposed])


def test_advice_has_reasons_and_counts_add_up(ran: Ran) -> None:
    rows = records(ran.out / "plans.tsv")
    assert [r["participant_id"] for r in rows] == read(ran.study / "participants.tsv")["participant_id"]
    for row in rows:
        assert row["advice"] in {"taper", "hold", "treat_first", "act", "not_enough_data"}
        assert row["reasons"] != "n/a"
    (line,) = [line for line in ran.said.splitlines() if line.startswith("Advice (research use only): ")]
    counted = {code: int(count) for count, code in re.findall(r"(\d+) (\w+)", line)}
    assert counted == Counter(row["advice"] for row in rows)


def test_log_lines_are_json_and_name_nobody(ran: Ran) -> None:
    events = [json.loads(line) for line in ran.log.splitlines()]
    assert {e["event"] for e in events} >= {"ingest", "measure", "grid", "fit", "compare", "publish"}
    assert all(isinstance(e["seconds"], float) for e in events)
    assert "sub-" not in ran.log
    dates = {
        row["acq_time"] for file in ran.study.glob("sub-*/*_sessions.tsv") for row in records(file) if "acq_time" in row
    }
    assert not [date for date in dates if date in ran.log]


def test_the_audit_names_nobody(ran: Ran) -> None:
    with sqlite3.connect(f"file:{ran.out / 'study.sqlite'}?mode=ro", uri=True) as connection:
        audit = json.dumps(connection.execute("SELECT * FROM audit").fetchall())
    assert "sub-" not in audit


@pytest.mark.parametrize("which", ["study", "out"])
def test_the_bids_validator_accepts_study_and_results(ran: Ran, which: str) -> None:
    executable = str(VALIDATOR) if VALIDATOR.exists() else shutil.which("bids-validator-deno")
    if executable is None:
        pytest.skip("BIDS VALIDATOR ABSENT: nothing was checked against the standard")
    done = subprocess.run([executable, "--json", str(getattr(ran, which))], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert done.returncode == 0


def test_pages_ask_nobody_for_anything(ran: Ran) -> None:
    pages = sorted(ran.out.glob("*.html"))
    assert len(pages) == PEOPLE + 2
    for page in pages:
        text = page.read_text("utf-8")
        assert "Research use only" in text or "research use only" in text
        assert not re.findall(
            r"""(?:src|href)=["'](?!#|data:|(?:\./)?(?:sub-[\w+]+|index|methods)\.html)[^"']*""", text
        )
        assert not re.findall(r"url\((?!['\"]?(?:#|data:))|@import", text)


def test_results_are_intact_and_a_changed_byte_is_noticed(copied: Ran) -> None:
    text, code = check(copied.out, ())
    assert code == 0, text
    for name in ("forecasts.tsv", "index.html", "features.parquet", "population.json"):
        path = copied.out / name
        before = path.read_bytes()
        path.write_bytes(before[:-3] + bytes([before[-3] ^ 1]) + before[-2:])
        text, code = check(copied.out, ())
        assert code == 1
        assert "NOT INTACT" in text
        assert name in text
        path.write_bytes(before)
    (draw,) = (copied.out / "draws").glob("population*")
    draw.unlink()
    assert check(copied.out, ())[1] == 1


def test_a_changed_value_in_the_record_is_noticed(copied: Ran) -> None:
    with sqlite3.connect(copied.out / "study.sqlite") as connection:
        connection.execute("DROP TRIGGER symptoms_no_update")
        connection.execute("UPDATE symptoms SET value = value - 1 WHERE row_id = 1")
    text, code = check(copied.out, ())
    assert code == 1
    assert "symptoms" in text
