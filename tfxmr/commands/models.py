"""Lists the methods, a line each with its paper."""
from tfxmr import registry


def main(arguments):
    """Runs `tfxmr models`."""
    for name in registry.names():
        method = registry.get(name)
        zero_shot = "zero-shot" if method.zero_shot else "seen classes"
        print(f"{name:12} {'-'.join(method.modalities) or 'any':12} {zero_shot:12} {method.paper}")
