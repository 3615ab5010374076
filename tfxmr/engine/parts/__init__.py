"""Parts of networks that several methods share: each makes all its weights at once, from an explicit seed.

Conventions. A mask is bool, True at valid places, and passed by position, after the array whose places it marks; it is
called `valid`, since Keras fills arguments called `mask` with masks of its own. A seed is int32 (2,)
(see `randomness`), None switches what is random off. Layers take a Keras dtype policy, compute in its type and give
float32. A layer of which items do not depend on each other declares `row_axis`, the axis of the items; one that draws
masks for the whole batch between its layers lists in `row_parts()` what may be computed by rows.
"""
