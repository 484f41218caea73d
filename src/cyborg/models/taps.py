"""Find the features that the published code makes its maps of.

In some networks they come before the last normalisation or ReLU. Each function runs a timm network
up to its last tensor before pooling, in one forward pass. It returns that tensor, and the one that
the hook of the published code sees. The functions follow timm's own `forward_features`, and tests
compare them with it.

Source: train_cam.py of CVRL/CYBORG, train.py of CVRL/MENTOR.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

# The last tensor before pooling, and the tapped one.
Taps = tuple[Tensor, Tensor]


def tap_last_features(net: Any, images: Tensor) -> Taps:
    """Run Inception-v3, tapped before pooling. Only dropout lies behind the published tap."""
    features = net.forward_features(images)
    return features, features


def tap_last_convolution_of_resnet(net: Any, images: Tensor) -> Taps:
    """Run ResNet, tapped at `layer4[-1].conv3`, before its batch norm, the shortcut, and ReLU."""
    x = net.maxpool(net.act1(net.bn1(net.conv1(images))))
    x = net.layer3(net.layer2(net.layer1(x)))
    *blocks, last = net.layer4
    for block in blocks:
        x = block(x)
    inner = last.act1(last.bn1(last.conv1(x)))
    inner = last.aa(last.act2(last.drop_block(last.bn2(last.conv2(inner)))))
    tap = last.conv3(inner)
    # The last block of a stage has no down-sampling, and these networks no attention.
    return last.act3(last.bn3(tap) + x), tap


def tap_before_last_relu(net: Any, images: Tensor) -> Taps:
    """Run DenseNet, tapped at `model.features`, which in torchvision ends in a batch norm.

    The published code runs the features a second time for this. Here they run once, so that batch
    norm counts a batch once.
    """
    *layers, norm = net.features
    x = images
    for layer in layers:
        x = layer(x)
    # timm's layer is batch norm and ReLU in one. Its parent class is batch norm alone.
    tap = nn.BatchNorm2d.forward(norm, x)
    return functional.relu(tap), tap


def tap_conv4_of_xception(net: Any, images: Tensor) -> Taps:
    """Run Xception, tapped at `conv4`, before its batch norm and ReLU."""
    x = net.act1(net.bn1(net.conv1(images)))
    x = net.act2(net.bn2(net.conv2(x)))
    for number in range(1, 13):
        x = getattr(net, f"block{number}")(x)
    x = net.act3(net.bn3(net.conv3(x)))
    tap = net.conv4(x)
    return net.act4(net.bn4(tap)), tap


def tap_conv_head_of_efficientnet(net: Any, images: Tensor) -> Taps:
    """Run EfficientNet, tapped at the 1×1 convolution after the blocks, before its batch norm."""
    tap = net.conv_head(net.blocks(net.bn1(net.conv_stem(images))))
    return net.bn2(tap), tap
