"""Losses that blend human saliency into training, one module each.

docs/losses.md defines the symbols in their equations. `cyborg.losses._base.Loss` is the contract.
"""
