"""Losses that blend human saliency into training, one module each.

All losses have one signature. They return `.total`, `.classification`, `.saliency`, and the raw
class activation map `.cam`. They keep float64 in float64, and they compute half precisions in
float32. Members of this family follow the contract of `cyborg.losses._base.Loss`.

Symbols: z are the logits, y is the true class, and p = softmax(z). F are the features [C,H,W]
before global average pooling, W are the weights of the linear layer after it, and S is the human
map. N(X) = (X - min X) / (max X - min X) normalises each map, and
CAM_k = sum over c of W[k,c] F[c] is the class activation map of class k. Means are over samples and
pixels unless stated otherwise.

These points hold for all losses. Some released codes differ in them:

- A constant map (CAM or human) becomes zeros. Released codes divide by zero.
- A sample without a human map adds no saliency term and no gradient of it. The mean is over the
  samples of a batch that have a map, unless the released code divides by the size of the batch.
- Human maps may have any scale, because each loss normalises or standardises them.
- Penalties of the weights, which some papers count to the loss, are `training.weight_decay`.
- The tap, which decides what F is, belongs to the architecture: `features: final` or `published`.
"""
