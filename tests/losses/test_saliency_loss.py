"""The losses as modules: the same numbers as the functions, and errors that say what to do."""

from __future__ import annotations

import pytest
import torch

from cyborg.common.errors import UserError
from cyborg.common.families import LOSSES
from cyborg.losses._base import LossOutput
from cyborg.losses._module import SaliencyLoss
from loss_batch import Batch


def run_module(name: str, batch: Batch, maps: torch.Tensor | None = None) -> LossOutput:
    """The loss of a batch through the module, from maps of the size of the images."""
    images = batch.images.clone().requires_grad_()
    logits, features, weight = batch.net.forward_normalised(images)
    loss = SaliencyLoss(name, image_size=12, map_size=(3, 2), **LOSSES.find(name).guiding_options)
    return loss(
        logits,
        batch.labels,
        features,
        weight,
        batch.maps if maps is None else maps,
        present=batch.present,
        images=images,
        network=batch.net.forward_normalised,
        sample_weight=batch.weights,
    )


@pytest.mark.parametrize("name", LOSSES.list_names())
def test_the_module_equals_the_function(name: str):
    batch = Batch.make_tiny()
    batch.present = torch.tensor([True, False, True, True])
    if LOSSES.find(name).map_size == "features":
        # The module resizes maps with antialiasing, the helper of the tests without.
        batch.maps = torch.nn.functional.interpolate(
            batch.maps[:, None], size=(3, 2), mode="bilinear", antialias=True
        )[:, 0]
    function = batch.loss(name, **LOSSES.find(name).guiding_options)
    module = run_module(name, batch)
    assert all(a.equal(b) for a, b in zip(function[:3], module[:3], strict=True))


def test_maps_of_any_size_are_resized_to_the_features():
    batch = Batch.make_tiny()
    small = torch.nn.functional.interpolate(
        batch.maps[:, None], size=(3, 2), mode="bilinear", antialias=True
    )[:, 0]
    assert run_module("cyborg", batch).total.equal(run_module("cyborg", batch, small).total)
    assert run_module("cyborg", batch, torch.rand(4, 50, 31)).total.isfinite()


def test_a_learned_part_is_a_parameter_of_the_module():
    loss = SaliencyLoss("res_l", image_size=64, map_size=(4, 4), seed=1)
    same = SaliencyLoss("res_l", image_size=64, map_size=(4, 4), seed=1)
    assert [p.shape for p in loss.parameters()] == [(1, 1, 32, 32), (1,)]
    assert all(a.equal(b) for a, b in zip(loss.parameters(), same.parameters(), strict=True))
    assert not list(SaliencyLoss("res_g").parameters())
    with pytest.raises(UserError, match=r"`res_l` learns a module(.|\n)*image_size=224"):
        SaliencyLoss("res_l")


def test_a_record_of_ones_own_is_a_loss_too():
    record = LOSSES.find("gradia")
    assert SaliencyLoss(record, strength=2.0).options == {"strength": 2.0}
    assert SaliencyLoss(record).name == "gradia_loss"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cybrog", {}, "`cybrog` is not a loss\nhint: did you mean `cyborg`"),
        ("cyborg", {"alhpa": 0.5}, "loss cyborg: alhpa: (.|\n)*did you mean `alpha`"),
        ("gradia", {"strength": -1}, "loss gradia: strength: (.|\n)*greater than or equal to 0"),
        ("sage", {"margin": 0.1, "blurr": 1}, "did you mean `blur`"),
    ],
)
def test_wrong_names_and_values_are_explained(name: str, options: dict, message: str):
    with pytest.raises(UserError, match=message):
        SaliencyLoss(name, **options)


def test_missing_inputs_are_named():
    batch = Batch.make_tiny()
    output = batch.net.forward_normalised(batch.images)
    arguments = (output[0], batch.labels, *output[1:], batch.maps)
    with pytest.raises(UserError, match="`harmonization` needs `images`"):
        SaliencyLoss("harmonization")(*arguments)
    with pytest.raises(UserError, match=r"`harmonization` needs `images`(.|\n)*requires_grad_"):
        SaliencyLoss("harmonization")(*arguments, images=batch.images)
    with pytest.raises(UserError, match="`sage` needs `network`"):
        SaliencyLoss("sage")(*arguments, images=batch.images.requires_grad_())
    with pytest.raises(UserError, match="`perceptual_weight` needs `sample_weight`"):
        SaliencyLoss("perceptual_weight")(*arguments)
