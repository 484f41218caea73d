"""A small convolutional network of limited receptive field with a fine map, trained from scratch.

Its interface is timm's: forward_features, forward_head, get_classifier. There is one unit of its
map per eight pixels, and it sees 43 by 43 of them: what it answers stays near where it was seen.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

GAIN = 4.0
"""Factor of the high-pass; it brings fine detail to the range that the layers expect."""

HEAD = 10.0
"""Factor of the linear layer's usual first weights; see SmallCNN."""


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class SmallCNN(nn.Module):
    """A fixed high-pass, five 3×3 convolutions (three of stride 2), mean pooling, a linear layer.

    The high-pass (each pixel minus the mean of the 5×5 around it) takes away scene and light and
    leaves fine texture, as is usual in image forensics. The mean over a fine map moves little
    from image to image; with the usual small weights of the linear layer the gradient is so faint
    that cross-entropy stays at chance for many epochs, hence the larger ones.
    """

    def __init__(self, num_classes: int = 2):
        super().__init__()
        self.num_classes = num_classes
        self.num_features = 64
        self.features = nn.Sequential(
            _block(3, 16, 2), _block(16, 32, 2), _block(32, 48), _block(48, 64, 2), _block(64, 64)
        )
        self.classifier = nn.Linear(64, num_classes)
        with torch.no_grad():
            self.classifier.weight.mul_(HEAD)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images [B,3,H,W] to the map [B,64,H/8,W/8]; it is not negative."""
        detail = x - functional.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
        features: Tensor = self.features(detail * GAIN)
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        """The map [B,64,h,w] to logits [B,K]: its mean over positions, then the linear layer."""
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits

    def get_classifier(self) -> nn.Linear:
        """The linear layer; its weight [K,64] makes the class activation map."""
        return self.classifier

    def forward(self, x: Tensor) -> Tensor:
        """Images [B,3,H,W] to logits [B,K]."""
        return self.forward_head(self.forward_features(x))
