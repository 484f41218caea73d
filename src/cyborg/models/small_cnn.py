"""Define a small convolutional network with a fine map, for training from scratch.

Its interface is timm's: forward_features, forward_head, get_classifier. Its map has one unit per
eight pixels. Each unit sees 43 by 43 pixels, so that an answer stays near the place it comes from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Factor of the high-pass. It brings fine detail to the range that the layers expect.
GAIN = 4.0

# Factor of the linear layer's usual first weights. SmallCNN says why.
HEAD = 10.0


def _make_block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class SmallCNN(nn.Module):
    """A fixed high-pass, five 3×3 convolutions (three of stride 2), mean pooling, a linear layer.

    The high-pass (each pixel minus the mean of the 5×5 pixels around it) removes scene and light
    and leaves fine texture, as is usual in image forensics. The mean over a fine map moves little
    from image to image. With the usual small weights of the linear layer the gradient is so faint
    that cross-entropy stays at chance for many epochs, so the first weights here are larger.
    """

    def __init__(self, num_classes: int = 2):
        super().__init__()
        self.num_classes = num_classes
        self.num_features = 64
        self.features = nn.Sequential(
            _make_block(3, 16, 2),
            _make_block(16, 32, 2),
            _make_block(32, 48),
            _make_block(48, 64, 2),
            _make_block(64, 64),
        )
        self.classifier = nn.Linear(64, num_classes)
        with torch.no_grad():
            self.classifier.weight.mul_(HEAD)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the features [B,64,H/8,W/8] of images [B,3,H,W]. They are not negative."""
        detail = x - functional.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
        features: Tensor = self.features(detail * GAIN)
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        """Return logits [B,K] of features [B,64,h,w]: mean over positions, linear layer."""
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits

    def get_classifier(self) -> nn.Linear:
        """Return the linear layer. Its weight [K,64] makes the class activation map."""
        return self.classifier

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [B,K] of images [B,3,H,W]."""
        return self.forward_head(self.forward_features(x))
