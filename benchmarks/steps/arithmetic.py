"""The multiply-adds of one training step for one pair of items: what the mathematics needs, whoever computes it.

Only matrix products count. A tower of layers with p_1, ..., p_n weights (biases aside) costs sum(p) forward, sum(p)
for the gradients of its weights, and sum(p) for those of its inputs, without p_1 where nobody asks for the gradient of
its first input.
"""
from cases import CASES


def layers(*widths):
    """Weights of each layer of a tower with these widths: [p_1, ..., p_n]."""
    return [a * b for a, b in zip(widths, widths[1:], strict=False)]


def trained(p):
    """Forward, and the gradients of the weights, for inputs that are data."""
    return 2 * sum(p) + sum(p[1:])


def passed(p):
    """Forward, and the gradient of the inputs, for weights that stay."""
    return 2 * sum(p)


def danzcr(dims, word, generator_units, discriminator_units, pairs=2, **others):
    """Multiply-adds of DANZCR's step (order D_F, D_R, G_F, G_R), a pair.

    Each forward pass whose weights did not change is done once, and the feature's part of D_F's first layer once for
    all conditions.

    Args:
      dims: modality -> width.
      word: width of the class vectors.
      generator_units, discriminator_units: widths of the hidden layers.
      pairs: conditions that each forward discriminator judges for the generators: 2 as tfxmr minimises eq. 9 and 10
        jointly, 1 without the terms of eq. 9 and 10 that have no gradient in their own generator.
    """
    total = 0
    for width in dims.values():
        g, r = layers(width, *generator_units, word), layers(word, *generator_units, width)
        judge = layers(width, *discriminator_units, 1)  # D_R
        feature, rest = judge[0], judge[1:]  # D_F: the feature, then what comes after the first layer,
        condition = word * discriminator_units[0]  # and the condition
        total += sum(g) + 2 * feature + 4 * (2 * condition + 2 * sum(rest) + sum(rest))  # D_F
        total += sum(r) + 2 * trained(judge)  # D_R
        total += feature + pairs * passed([condition, *rest]) + trained(g) - sum(g)  # G_F; D_F's step ran g forward
        total += trained(g) + 3 * sum(r) + passed(judge)  # G_R
    return total


def ms2gan(dims, classes, specific_units, shared_units, modality_units, batch=None, **others):
    """Multiply-adds of MS2GAN's step, a pair.

    Args:
      dims: modality -> width.
      classes: number of classes.
      specific_units, shared_units, modality_units: widths of the layers.
      batch: items in a batch, whose distances (eq. 2) then count, too.
    """
    width, count = shared_units[-1], len(dims)
    heads = [layers(width, *shared_units), layers(2 * width, classes), layers(width, *modality_units, count)]
    total = sum(trained(layers(d, *specific_units)) for d in dims.values())
    total += count * 3 * sum(map(sum, heads))
    pairs = count + count * (count - 1) // 2  # of the matrices whose rows' distances eq. 2 adds up
    return total + 3 * pairs * (batch or 0) * width


def step(method, batch):
    """Multiply-adds of a step of a method's case, all pairs of the batch together."""
    return batch * {"danzcr": danzcr, "ms2gan": ms2gan}[method](**CASES[method], batch=batch)


def weights(method):
    """Trainable parameters of a method's case: its matrices' and biases'."""
    c = CASES[method]
    if method == "ms2gan":
        width, count = c["shared_units"][-1], len(c["dims"])
        towers = [(d, *c["specific_units"]) for d in c["dims"].values()]
        towers += [(width, *c["shared_units"]), (2 * width, c["classes"]), (width, *c["modality_units"], count)]
    else:
        hidden, judge, word = c["generator_units"], (*c["discriminator_units"], 1), c["word"]
        towers = []
        for d in c["dims"].values():
            towers += [(d, *hidden, word), (word, *hidden, d), (word + d, *judge), (d, *judge)]
    return sum(sum(layers(*tower)) + sum(tower[1:]) for tower in towers)
