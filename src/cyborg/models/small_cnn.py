"""A small convolutional network of limited receptive field with a fine map, trained from scratch.

Its interface is timm's: forward_features, forward_head, get_classifier. A unit of its map sees
about 50 pixels, and there is one per eight pixels: what it answers stays where it was seen.
"""

from __future__ import annotations

from torch import Tensor, nn

WIDTHS = (16, 32, 64, 96)


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class SmallCNN(nn.Module):
    """Seven 3×3 convolutions, three of them of stride 2, then mean pooling and one linear layer."""

    def __init__(self, num_classes: int = 2):
        super().__init__()
        a, b, c, d = WIDTHS
        self.num_classes = num_classes
        self.num_features = d
        self.features = nn.Sequential(
            _block(3, a, 2),
            _block(a, a),
            _block(a, b, 2),
            _block(b, b),
            _block(b, c, 2),
            _block(c, c),
            _block(c, d),
        )
        self.classifier = nn.Linear(d, num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images [B,3,H,W] to the map [B,C,H/8,W/8]; it is not negative."""
        features: Tensor = self.features(x)
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        """The map [B,C,h,w] to logits [B,K]: its mean over positions, then the linear layer."""
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits

    def get_classifier(self) -> nn.Linear:
        """The linear layer; its weight [K,C] makes the class activation map."""
        return self.classifier

    def forward(self, x: Tensor) -> Tensor:
        """Images [B,3,H,W] to logits [B,K]."""
        return self.forward_head(self.forward_features(x))
