"""A study of tables only, written by hand."""

import json
from pathlib import Path

SITES = ("north", "south")


def write_tables(root: Path, people: list[str]) -> Path:
    """A study without scans: people at two sites, ratings, one drug each."""
    (root / "phenotype").mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Light", "BIDSVersion": "1.10.0"}))
    rows = [f"{who}\t{50 + i % 30}\t{'FM'[i % 2]}\t{SITES[i % 2]}\tMDD" for i, who in enumerate(people)]
    (root / "participants.tsv").write_text("\n".join(["participant_id\tage\tsex\tsite\tdiagnosis", *rows]) + "\n")
    ratings = [f"{who}\t{day}\t{20 - day // 7}" for who in people for day in (0, 28, 56)]
    (root / "phenotype" / "madrs.tsv").write_text("\n".join(["participant_id\tday\ttotal", *ratings]) + "\n")
    drugs = [f"{who}\tsertraline\t150\t-20\tn/a" for who in people]
    header = "participant_id\tdrug\tdose_mg_day\tstart_day\tstop_day"
    (root / "phenotype" / "medication.tsv").write_text("\n".join([header, *drugs]) + "\n")
    return root
