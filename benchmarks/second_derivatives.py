"""Compare torch's own derivatives with ours, in a step that differentiates the input gradient.

    python benchmarks/second_derivatives.py

EfficientNet-lite0 at 112 pixels, batch 20, one thread, processor time of one step, the median of
three; with batch normalisation fixed and trained. A step with cross-entropy stands beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch.nn import functional

import cyborg.models.network as module
from cyborg.config.networks import NetworkOptions
from cyborg.models.architectures import resolve_network
from cyborg.models.network import Network, build_network
from cyborg.models.second_derivatives import TwiceDifferentiable

SIZE, BATCH, ROUNDS = 112, 20, 3


def step_with_second_derivatives(network: Network, images: torch.Tensor) -> None:
    """Compute gradients of the squared input gradient of one class, as in `right_reasons`."""
    inputs = network.normalise_images(images).requires_grad_(True)
    score = network.forward_normalised(inputs).logits[:, 0].sum()
    (gradient,) = torch.autograd.grad(score, inputs, create_graph=True)
    network.zero_grad()
    gradient.square().sum().backward()


def step_plainly(network: Network, images: torch.Tensor) -> None:
    """Compute gradients of cross-entropy."""
    logits = network(images).logits
    network.zero_grad()
    functional.cross_entropy(logits, torch.zeros(len(images), dtype=torch.long)).backward()


def measure_seconds(call: Callable[[], None]) -> float:
    """Return the median processor time of a call, after one to warm up."""
    call()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    """Measure and print a Markdown table."""
    torch.set_num_threads(1)
    images = torch.rand(BATCH, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    print(
        "| batch normalisation | torch | ours | torch / ours | cross-entropy |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    for fixed in (True, False):
        options = NetworkOptions(weights="none", image_size=SIZE, freeze_batch_norm=fixed)
        architecture = resolve_network("efficientnet_lite0", options)
        network = build_network(architecture, classes=2, seed=0).train()
        network.to(memory_format=torch.channels_last)
        ordinary = measure_seconds(lambda n=network: step_plainly(n, images))
        module.TwiceDifferentiable = nullcontext  # type: ignore[assignment, misc]
        theirs = measure_seconds(lambda n=network: step_with_second_derivatives(n, images))
        module.TwiceDifferentiable = TwiceDifferentiable  # type: ignore[misc]
        ours = measure_seconds(lambda n=network: step_with_second_derivatives(n, images))
        print(
            f"| {'fixed' if fixed else 'trained'} | {theirs:.2f} s | {ours:.2f} s "
            f"| {theirs / ours:.2f} | {ordinary:.2f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main()
