"""What may be done to data or first weights before a training: one module per preparation.

A module has `Options` (its keys in params.yaml) and `prepare`. Where it starts from another cell
it also has `parent`, which gives that cell's specification. See `cyborg.preparations._base`.
"""
