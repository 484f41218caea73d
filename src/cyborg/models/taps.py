"""Where the published code takes its map: before the last normalisation or ReLU of some networks.

Each function runs a timm network up to its last tensor before pooling, in one forward pass, and
gives that tensor and the one that the published code's hook saw. They follow timm's own
`forward_features`; tests hold the two equal. Source: train_cam.py of CVRL/CYBORG, train.py of
CVRL/MENTOR.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

Taps = tuple[Tensor, Tensor]


def same(net: Any, images: Tensor) -> Taps:
    """Inception-v3: nothing but dropout lies between the published tap and pooling."""
    features = net.forward_features(images)
    return features, features


def last_convolution_of_resnet(net: Any, images: Tensor) -> Taps:
    """ResNet: `layer4[-1].conv3`, before its batch norm, the shortcut and ReLU."""
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


def before_last_relu(net: Any, images: Tensor) -> Taps:
    """DenseNet: `model.features`, whose last layer is a batch norm in torchvision, ReLU after it.

    The published code runs the features a second time for this; here they run once, so that batch
    norm counts a batch once.
    """
    *layers, norm = net.features
    x = images
    for layer in layers:
        x = layer(x)
    # timm's layer is batch norm and ReLU in one; the parent class is batch norm alone.
    tap = nn.BatchNorm2d.forward(norm, x)
    return functional.relu(tap), tap


def conv4_of_xception(net: Any, images: Tensor) -> Taps:
    """Xception: `conv4`, before its batch norm and ReLU."""
    x = net.act1(net.bn1(net.conv1(images)))
    x = net.act2(net.bn2(net.conv2(x)))
    for number in range(1, 13):
        x = getattr(net, f"block{number}")(x)
    x = net.act3(net.bn3(net.conv3(x)))
    tap = net.conv4(x)
    return net.act4(net.bn4(tap)), tap


def conv_head_of_efficientnet(net: Any, images: Tensor) -> Taps:
    """EfficientNet: the 1×1 convolution after the blocks, before its batch norm and activation."""
    tap = net.conv_head(net.blocks(net.bn1(net.conv_stem(images))))
    return net.bn2(tap), tap
