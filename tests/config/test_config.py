"""params.yaml is checked as a whole before anything runs; mistakes name line, key and nearest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cyborg.common.errors import UserError, UserErrors
from cyborg.config.experiment import Experiment
from cyborg.config.load import load_experiment, resolve_loss_options, resolve_training
from cyborg.reference.members import describe_all_keys
from paths import REPOSITORY
from project import TINY

SHIPPED = [REPOSITORY / "params.yaml", *sorted((REPOSITORY / "params").glob("*.yaml"))]


def write(path: Path, values: Any) -> Path:
    """A params.yaml with these values."""
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def changed(**changes: Any) -> dict[str, Any]:
    """TINY with changes at dotted keys (`__` for the dot)."""
    values = json.loads(json.dumps(TINY))
    for key, value in changes.items():
        *above, last = key.split("__")
        place = values
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return values


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_is_valid(path: Path):
    experiment = load_experiment(path)
    for architecture in experiment.architectures:
        for variant in experiment.variants:
            resolve_training(experiment, architecture, variant)
            resolve_loss_options(experiment.variants[variant])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_has_the_keys_that_stages_depend_on(path: Path):
    """DVC stops at a key that is named in dvc.yaml and missing in params.yaml."""
    values = yaml.safe_load(path.read_text())
    for stage in yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"].values():
        for key in stage.get("params", []):
            place = values
            for part in key.split("."):
                assert part in place, f"{path.name} has no `{key}`"
                place = place[part]


def test_granularity_differs_from_faces_in_its_maps_and_the_cost_of_a_run():
    faces, granularity = (
        yaml.safe_load((REPOSITORY / "params" / f"{name}.yaml").read_text())
        for name in ("faces", "granularity")
    )
    assert granularity["training"].pop("epochs") * 2 == faces["training"].pop("epochs")
    differ = {key for key in faces.keys() | granularity if faces.get(key) != granularity.get(key)}
    assert differ == {"name", "saliency", "variants"}
    variants = granularity["variants"]
    assert variants.pop("cross_entropy") == faces["variants"]["cross_entropy"]
    assert [row["saliency"] for row in variants.values()] == list(granularity["saliency"])
    for row in variants.values():
        assert row | {"saliency": "human"} == faces["variants"]["cyborg"]


def schema_keys() -> set[str]:
    """Every key name that the schema or a loss defines."""
    found: set[str] = set()
    for line in describe_all_keys().splitlines():
        if match := re.match(r"\| `(\w+)` \|", line):
            found.add(match[1])
    return found


def test_every_key_of_the_shipped_file_is_commented_where_it_first_stands():
    known, seen = schema_keys(), set()
    lines = (REPOSITORY / "params.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        match = re.match(r"\s*(\w+):", line)
        if not match or match[1] in seen or match[1] not in known:
            continue
        seen.add(match[1])
        beside = "#" in line or (number and lines[number - 1].lstrip().startswith("#"))
        section = line.rstrip().endswith(":")  # its keys carry the comments
        assert beside or section, f"line {number + 1} has no comment: {line}"
    assert {"alpha", "epochs", "training_sets", "sites"} <= seen


@pytest.mark.parametrize("name", ["params.yaml", "params/negative_control.yaml"])
def test_dvc_changes_only_the_value_that_it_sets(tmp_path: Path, name: str):
    """`dvc exp run -S` writes the file anew, in its own style."""
    from dvc.utils.serialize import modify_yaml

    before = (REPOSITORY / name).read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(before, encoding="utf-8")
    with modify_yaml(str(tmp_path / "params.yaml")) as values:
        values["phantom"]["seed"] = 12345
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    assert [new.split("#")[0].strip() for old, new in pairs if old != new] == ["seed: 12345"]


def keys(values: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all keys of nested mappings whose names the schema knows."""
    found = []
    if isinstance(values, dict):
        for key, value in values.items():
            found += [(*above, key), *keys(value, (*above, key))]
    return found


# Keys whose name the user chooses: any other name is as good.
FREE = {
    ("data", "training_sets"),
    ("data", "test_sets"),
    ("saliency",),
    ("architectures",),
    ("variants",),
}


@pytest.mark.parametrize("key", [k for k in keys(TINY) if k[:-1] not in FREE], ids=".".join)
def test_a_misspelt_key_is_refused_at_every_level(tmp_path: Path, key: tuple[str, ...]):
    values = json.loads(json.dumps(TINY))
    place = values
    for part in key[:-1]:
        place = place[part]
    wrong = key[-1][:-1] + "qx"
    place[wrong] = place[key[-1]]
    with pytest.raises(UserErrors) as caught:
        load_experiment(write(tmp_path / "params.yaml", values))
    assert ".".join([*key[:-1], wrong]) in caught.value.text()
    assert "not a parameter" in caught.value.text()


def test_the_message_of_a_misspelt_option(tmp_path: Path):
    values = changed()
    values["variants"]["cyborg"] = {"loss": "cyborg", "saliency": "human", "alhpa": 0.3}
    path = write(tmp_path / "params.yaml", values)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "alhpa" in text)
    with pytest.raises(UserErrors) as caught:
        load_experiment(path)
    text = caught.value.text()
    assert f"params.yaml:{line}: variants.cyborg.alhpa: not a parameter" in text
    assert "did you mean `alpha`?" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"variants__cyborg__alpha": 2}, "variants.cyborg.alpha"),
        ({"variants__cyborg__loss": "cyborgg"}, "did you mean `cyborg`?"),
        ({"variants__cyborg__saliency": "humans"}, "did you mean `human`?"),
        ({"variants__cyborg__control": "shufled"}, "did you mean `shuffled`?"),
        ({"variants__cross_entropy__control": "shuffled"}, "a control needs maps"),
        ({"variants__cyborg__training_set": "phantoms"}, "did you mean `phantom`?"),
        ({"variants__cyborg__training": {"epoch": 3}}, "did you mean `epochs`?"),
        ({"architectures__small_cnn__training": {"epochs": 0}}, "architectures.small_cnn.training"),
        ({"training__epochs": "many"}, "training.epochs"),
        ({"training__optimiser": "adam"}, "'sgd' or 'adamw'"),
        ({"seeds": [1, 1]}, "duplicate seed `1`"),
        ({"seeds": []}, "seeds"),
        ({"report__baseline": "cross_entrpy"}, "did you mean `cross_entropy`?"),
        ({"variants__Bad-Name": {"loss": "cross_entropy"}}, "cannot be a name"),
        ({"data__training_sets": {"phantom": []}}, "names no source"),
        ({"saliency__human__format": "cocoo"}, "did you mean `coco`?"),
        ({"split__validation": 1.5}, "split.validation"),
        ({"classes": ["one"]}, "classes"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, change: dict[str, Any], said: str):
    with pytest.raises(UserError) as caught:
        load_experiment(write(tmp_path / "params.yaml", changed(**change)))
    assert said in caught.value.text()


def test_all_mistakes_are_told_at_once(tmp_path: Path):
    values = changed(training__epochs=0, split__validation=2, training__bach_size=3)
    with pytest.raises(UserErrors) as caught:
        load_experiment(write(tmp_path / "params.yaml", values))
    assert len(caught.value.mistakes) == 3


@pytest.mark.parametrize("text", ["a: [", "", "- 1\n", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError):
        load_experiment(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: [1]\nname: a: b\n", "params.yaml:2: is not valid YAML: mapping values"),
        ("seeds: [1]\nseeds: [2]\n", "params.yaml:2: duplicate key `seeds`"),
    ],
)
def test_the_line_of_broken_yaml_is_named(tmp_path: Path, text: str, message: str):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_experiment(path)
    assert caught.value.text().startswith(f"error: {tmp_path}/{message}")
    assert len(caught.value.text().splitlines()) == 2


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="there is no such file"):
        load_experiment(tmp_path / "params.yaml")


def test_overrides_go_architecture_then_variant(tmp_path: Path):
    experiment = load_experiment(
        write(
            tmp_path / "params.yaml",
            changed(
                training__epochs=5,
                training__augmentation={"flip": 0.5},
                architectures__small_cnn__training={"epochs": 6, "augmentation": {"scale": 0.1}},
                variants__cyborg__training={"epochs": 7},
            ),
        )
    )
    resolved = resolve_training(experiment, "small_cnn", "cyborg")
    assert (resolved.epochs, resolved.augmentation.flip, resolved.augmentation.scale) == (
        7,
        0.5,
        0.1,
    )
    assert resolve_training(experiment, "small_cnn", "cross_entropy").epochs == 6


def test_every_option_of_the_schema_is_described():
    def models(model: type) -> list[type]:
        found = [model]
        for field in model.model_fields.values():
            for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(part, type) and hasattr(part, "model_fields"):
                    found += models(part)
        return found

    for model in models(Experiment):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no description"


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([-1], "greater than or equal to 0"),
        ([2**32], "less than or equal to 4294967295"),
        ([10**22], "less than or equal to 4294967295"),
        ([True], "valid integer, not `True`"),
        ([1.5], "valid integer"),
    ],
)
def test_seeds_that_numpy_and_torch_do_not_share_are_refused(
    tmp_path: Path, seeds: list[Any], message: str
):
    for key in ("seeds", "split__seed", "phantom__seed", "report__seed"):
        path = write(
            tmp_path / "params.yaml", changed(**{key: seeds if key == "seeds" else seeds[0]})
        )
        with pytest.raises(UserErrors, match=re.escape(message)):
            load_experiment(path)
    load_experiment(write(tmp_path / "params.yaml", changed(seeds=[0, 2**32 - 1])))


@pytest.mark.parametrize("name", ["v" * 20, "ab" * 15, "a" + "1" * 64, "name\n", "x" * 300, "ä"])
def test_names_that_cannot_be_folders_or_rules_are_refused(tmp_path: Path, name: str):
    variants = {**TINY["variants"], name: {"loss": "cross_entropy"}}
    with pytest.raises(UserErrors) as caught:
        load_experiment(write(tmp_path / "params.yaml", changed(variants=variants)))
    (mistake,) = caught.value.mistakes
    assert "cannot be a name" in mistake.what
    assert "\n" not in mistake.what


def test_sections_that_dvc_demands_are_missed_before_any_stage_runs(tmp_path: Path):
    values = changed()
    for name in ("phantom", "check"):
        del values[name]
    path = write(tmp_path / "params.yaml", values)
    load_experiment(path)  # outside of a project nothing depends on them
    (tmp_path / "dvc.yaml").write_text((REPOSITORY / "dvc.yaml").read_text())
    with pytest.raises(UserErrors) as caught:
        load_experiment(path)
    places = {str(mistake.location).rsplit(": ", 1)[-1] for mistake in caught.value.mistakes}
    assert {"phantom", "check", "check.near_duplicate_bits"} <= places
    assert "Add `phantom: {}`" in caught.value.text()
