"""Specifications of cells: complete, frozen, the same after a way through JSON, and checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from cells import pretrain_spec, wait_spec
from cyborg.common.schema import collect_mistakes
from cyborg.config.cells import CellSpec
from cyborg.config.networks import NetworkOptions, NetworkSpec
from cyborg.models.architectures import resolve_network
from tiny_project import evaluate_spec, train_spec

STEP = {"name": "teacher", "options": {"variant": "cyborg"}, "parent": "train/a/b/seed1/c"}
SPECS: dict[str, CellSpec] = {
    "train": train_spec(prepare=[STEP], training={"augmentation": {"flip": 0.5}}),
    "pretrain": pretrain_spec(),
    "evaluate": evaluate_spec("small/cyborg/seed3/0123456789ab"),
    "wait": wait_spec(),
}
# A misspelt key of each kind, and the key that was meant.
MISSPELT = {
    "train": ("trainning", "training"),
    "pretrain": ("autoencodr", "autoencoder"),
    "evaluate": ("testsets", "test_sets"),
    "wait": ("second", "seconds"),
}

every_kind = pytest.mark.parametrize("kind", SPECS)


@every_kind
def test_a_specification_is_the_same_after_a_way_through_json(kind: str):
    spec = SPECS[kind]
    again = type(spec).model_validate(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.to_json() == spec.to_json()
    assert again.compute_digest() == spec.compute_digest()


@every_kind
def test_a_specification_is_frozen(kind: str):
    spec = SPECS[kind]
    for name, value in dict(spec).items():
        with pytest.raises(ValidationError, match="frozen"):
            setattr(spec, name, value)


@every_kind
def test_every_field_is_written_and_described(kind: str):
    spec = SPECS[kind]
    assert set(spec.to_json()) == set(type(spec).model_fields)
    assert all(f.description for n, f in type(spec).model_fields.items() if n != "kind")


@every_kind
def test_an_unknown_key_is_refused_with_the_nearest_one(kind: str):
    spec = SPECS[kind]
    key, meant = MISSPELT[kind]
    with pytest.raises(ValidationError) as caught:
        type(spec).model_validate(spec.to_json() | {key: 1})
    text = str(collect_mistakes(caught.value, type(spec), "spec.json"))
    assert f"spec.json: {key}" in text
    assert f"did you mean `{meant}`?" in text


@every_kind
def test_no_field_may_be_left_out(kind: str):
    """A specification leaves nothing to defaults: they could change without its fingerprint."""
    spec = SPECS[kind]
    for name in type(spec).model_fields:
        if name != "kind":
            content = spec.to_json()
            del content[name]
            with pytest.raises(ValidationError, match=name):
                type(spec).model_validate(content)


@every_kind
def test_the_kind_of_another_cell_is_refused(kind: str):
    spec = SPECS[kind]
    with pytest.raises(ValidationError, match="kind"):
        type(spec).model_validate(spec.to_json() | {"kind": "other"})


@every_kind
def test_every_field_decides_the_digest(kind: str):
    spec = SPECS[kind]
    changes: dict[str, Any] = {"variant": "other", "seed": 9, "inputs": "x", "code": "x"}
    digests = {
        spec.replace_fields(**{name: value}).compute_digest() for name, value in changes.items()
    }
    assert len(digests | {spec.compute_digest()}) == 5


def test_a_changed_copy_is_checked():
    spec = wait_spec()
    assert spec.replace_fields(seconds=2).seconds == 2
    assert spec.seconds == 0
    with pytest.raises(ValidationError, match="seconds"):
        spec.replace_fields(seconds=-1)


# Networks


def test_a_resolved_network_leaves_nothing_open():
    network = resolve_network("mine", NetworkOptions(network="xception", frozen=("conv1",)))
    assert network == NetworkSpec(
        name="mine", network="xception", image_size=299, frozen=("conv1",)
    )
    assert NetworkSpec.model_validate(network.model_dump(mode="json")) == network
    own = resolve_network("small_cnn", NetworkOptions(weights="none"))
    assert (own.network, own.weights) == ("small_cnn", "none")
    with pytest.raises(ValidationError, match="network"):
        NetworkSpec.model_validate({"name": "mine", "image_size": 32})
    with pytest.raises(ValidationError, match="frozen"):
        network.image_size = 64  # type: ignore[misc]
