"""The drug table: complete, sourced, plausible, and found by every name."""

import copy
import re
from collections.abc import Iterator

import pytest

from remanent._errors import InputError
from remanent.treatment import drugs
from remanent.treatment.drugs import CLASSES, Drug, find, formulary, known, level_value, parse, require, suggest
from remanent.treatment.ect import placements
from remanent.treatment.sourced import read_data
from remanent.treatment.taper import dispensable

WANTED = re.findall(
    r"\w+",
    """citalopram escitalopram sertraline paroxetine fluoxetine fluvoxamine venlafaxine desvenlafaxine duloxetine
vortioxetine mirtazapine bupropion nortriptyline imipramine amitriptyline clomipramine tranylcypromine phenelzine lithium
quetiapine olanzapine aripiprazole lamotrigine esketamine ketamine trazodone agomelatine doxepin desipramine milnacipran
moclobemide risperidone""",
)
DRUGS = list(formulary().drugs.values())
MEDICINES = [d for d in DRUGS if d.drug_class != "psychotherapy"]

ATOMIC_MASS = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "F": 18.998, "S": 32.06, "Cl": 35.45}
FORMULA = {
    "citalopram": "C20H21FN2O", "escitalopram": "C20H21FN2O", "sertraline": "C17H17Cl2N", "paroxetine": "C19H20FNO3",
    "fluoxetine": "C17H18F3NO", "fluvoxamine": "C15H21F3N2O2", "venlafaxine": "C17H27NO2", "desvenlafaxine": "C16H25NO2",
    "duloxetine": "C18H19NOS", "nortriptyline": "C19H21N", "imipramine": "C19H24N2", "amitriptyline": "C20H23N",
    "clomipramine": "C19H23ClN2", "desipramine": "C18H22N2", "doxepin": "C19H21NO", "trimipramine": "C20H26N2",
    "maprotiline": "C20H23N", "vortioxetine": "C18H22N2S", "mirtazapine": "C17H19N3", "bupropion": "C13H18ClNO2",
    "trazodone": "C19H22ClN5O", "quetiapine": "C21H25N3O2S", "olanzapine": "C17H20N4S", "aripiprazole": "C23H27Cl2N3O2",
    "risperidone": "C23H27FN4O2", "lamotrigine": "C9H7Cl2N5", "valproate": "C8H16O2",
}  # fmt: skip
CLASS_OF_ATC = {
    "N06AA": "tca", "N06AB": "ssri", "N06AF": "maoi", "N06AG": "maoi", "N05AN": "lithium", "N05AE": "antipsychotic",
    "N05AH": "antipsychotic", "N05AX": "antipsychotic", "N03AG": "anticonvulsant", "N03AX": "anticonvulsant",
    "N01AX": "glutamatergic",
}  # fmt: skip


def _numbers(node: object, path: str) -> Iterator[tuple[str, object]]:
    """Every bare number of the YAML with its path."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _numbers(value, f"{path}/{key}")
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _numbers(value, f"{path}[{i}]")
    elif isinstance(node, int | float):
        yield path, node


def _at(document: object, path: list[str]) -> dict:
    for key in path:
        document = document[int(key)] if isinstance(document, list) else document[key]
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("name", ["drugs.yaml", "ect.yaml"])
def test_every_number_has_unit_source_and_status(name):
    document = read_data(name)
    found = list(_numbers(document, ""))
    assert len(found) > 10
    for path, _ in found:
        keys = re.sub(r"\[(\d+)\]", r"/\1", path).strip("/").split("/")
        while keys[-1].isdigit():
            keys = keys[:-1]
        assert keys[-1] in ("value", "values"), f"a bare number at {path}"
        entry = _at(document, keys[:-1])
        assert entry["unit"], path
        assert entry["status"] in ("published", "derived", "assumed"), path
        assert entry["source"] in document["sources"], path
        if entry["status"] == "derived":
            assert entry.get("note"), f"{path}: derived from what?"


def test_no_source_is_idle_and_each_says_how_it_was_read():
    document = read_data("drugs.yaml")
    text = str(document["drugs"])
    for key, source in document["sources"].items():
        assert key in text, f"{key} is not used"
        assert source["read"] in ("full", "abstract", "quoted", "recalled")


def test_the_drugs_a_study_will_name_are_there():
    assert [name for name in WANTED if not known(name)] == []


@pytest.mark.parametrize("drug", DRUGS, ids=lambda d: d.name)
def test_found_by_every_name_in_any_case(drug: Drug):
    for name in drug.names:
        for spelling in (name, name.upper(), name.lower(), f"  {name} "):
            assert find(spelling) is drug


@pytest.mark.parametrize("drug", MEDICINES, ids=lambda d: d.name)
def test_plausible(drug: Drug):
    assert drug.atc
    for code in drug.atc:
        assert re.fullmatch(r"N\d{2}[A-Z]{2}\d{2}", code)
        assert CLASS_OF_ATC.get(code[:5], drug.drug_class) == drug.drug_class
    assert 1.0 <= drug.half_life.value <= 150.0
    assert 0.05 <= drug.lag_half_life_days <= 15.0
    assert drug.full_dose.value <= drug.maximum_dose.value
    if drug.equivalent_dose is not None:
        assert 0.8 <= drug.full_dose.value / drug.equivalent_dose.value <= 1.2
    if drug.occupancy is not None:
        full = drug.occupancy.emax.value * drug.saturation / (1 + drug.saturation)
        assert 0.4 <= full <= 1.0


@pytest.mark.parametrize(
    "drug", [d for d in MEDICINES if d.strengths and d.drug_class != "glutamatergic"], ids=lambda d: d.name
)
def test_the_full_dose_can_be_dispensed(drug: Drug):
    assert dispensable(drug, drug.full_dose.value)[-1] == pytest.approx(drug.full_dose.value)


@pytest.mark.parametrize("name", FORMULA)
def test_molar_mass_follows_from_the_formula(name):
    atoms = re.findall(r"([A-Z][a-z]?)(\d*)", FORMULA[name])
    mass = sum(ATOMIC_MASS[element] * int(count or 1) for element, count in atoms)
    assert require(name).level.molar_mass.value == pytest.approx(mass, abs=0.1)


def test_molar_masses_are_all_checked():
    assert {d.name for d in DRUGS if d.level and d.level.molar_mass} == set(FORMULA)


@pytest.mark.parametrize(
    ("name", "generic"),
    [
        ("Venlafaxine XR 75 mg", "venlafaxine"),
        ("lithium carbonate", "lithium"),
        ("Sertraline hydrochloride", "sertraline"),
        ("N06AB04", "citalopram"),
        ("Spravato nasal spray", "esketamine"),
        ("valproic-acid", "valproate"),
    ],
)
def test_salt_and_formulation_do_not_matter(name, generic):
    assert find(name).name == generic


@pytest.mark.parametrize("name", ["", "75 mg", "metformin", "N06AB", "placebo", "ser"])
def test_what_is_not_in_the_table_is_not_guessed(name):
    assert find(name) is None
    assert not known(name)


@pytest.mark.parametrize(
    ("name", "near"), [("sertralin", "sertraline"), ("Escitolapram", "escitalopram"), ("Zolofft", "sertraline")]
)
def test_nearest_spelling_is_offered_never_taken(name, near):
    assert find(name) is None
    assert suggest(name) == near
    with pytest.raises(InputError, match=f"{name}.*Did you mean '{near}'"):
        require(name)


def test_nothing_near_is_said_so():
    assert suggest("metformin") is None
    with pytest.raises(InputError, match=r"unknown drug 'metformin'.*Use the generic name"):
        require("metformin")


@pytest.mark.parametrize("unit", ["ng/mL", "ug/L", "µg/l", "mcg/L", "μg/L"])
def test_level_in_mass_units(unit):
    assert level_value(require("nortriptyline"), 100.0, unit) == 100.0


def test_level_in_molar_units():
    assert level_value(require("nortriptyline"), 379.7, "nmol/L") == pytest.approx(100.0, abs=0.05)
    assert level_value(require("valproate"), 500.0, "umol/L") == pytest.approx(72_100, rel=1e-3)
    assert level_value(require("lithium"), 0.7, "mEq/L") == 0.7


@pytest.mark.parametrize(("drug", "unit"), [("lithium", "ng/mL"), ("sertraline", "mmol/mol"), ("phenelzine", "ng/mL")])
def test_level_that_cannot_be_used_is_refused(drug, unit):
    with pytest.raises(InputError, match=drug):
        level_value(require(drug), 1.0, unit)


def _broken(change) -> dict:
    document = copy.deepcopy(read_data("drugs.yaml"))
    change(document["drugs"][0])
    return document


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["half_life"].pop("source"), "citalopram, half_life: no source"),
        (lambda d: d["half_life"].update(status="certain"), "status 'certain'"),
        (lambda d: d["half_life"].update(source="hearsay"), "source 'hearsay'"),
        (lambda d: d["half_life"].update(unit="min"), "unit 'min'.*Use h"),
        (lambda d: d["half_life"].update(value=0), "value 0.*above 0"),
        (lambda d: d["occupancy"]["emax"].update(value=1.2), "emax: value 1.2"),
        (lambda d: d.update({"class": "happy pill"}), "class 'happy pill'.*Use one of ssri"),
        (lambda d: d["strengths"].update(values=[20, 10]), "strengths"),
        (lambda d: d["level"]["low"].update(value=1000), "not in this order"),
        (lambda d: d["brands"].append("Zoloft"), "names both citalopram and sertraline"),
    ],
)
def test_a_wrong_table_is_refused_with_the_place(change, says):
    with pytest.raises(InputError, match=says):
        parse(_broken(change))


def test_classes_are_all_used_and_none_unknown():
    assert {d.drug_class for d in DRUGS} == set(CLASSES)
    assert set(CLASSES) >= drugs.NOT_DRUGS


def test_ect_placements():
    assert set(placements()) == {"RUL", "BT", "BF", "LART"}
    # Oltedal 2018: right unilateral ECT enlarges the left hippocampus less
    assert placements()["RUL"].volume_left.value < placements()["BT"].volume_left.value
