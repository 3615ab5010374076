"""Lists the methods, a line each: modalities, classes, paper, and where its details come from."""
from tfxmr import registry


def main(arguments):
    """Runs `tfxmr models`."""
    for name, method in registry.methods():
        zero_shot = "zero-shot" if method.zero_shot else "seen classes"
        modalities = "-".join(method.modalities) or ("any two" if method.most_modalities == 2 else "any")
        print(f"{name:12} {modalities:12} {zero_shot:13} {method.paper:52} {method.certainty}")
