"""The steps in PyTorch: naive (all run again for each update), and fused as tfxmr's; eager or by torch.compile.

    python benchmarks/steps/pytorch.py METHOD '{"fused": true, "compiled": false}'     (started by training_step.py)

Both take torch.optim.Adam(fused=True), one optimiser for each of tfxmr's players.
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cases  # noqa: E402
import torch  # noqa: E402
from pytorch_danzcr import DANZCR  # noqa: E402
from pytorch_ms2gan import MS2GAN  # noqa: E402

METHODS = {"danzcr": DANZCR, "ms2gan": MS2GAN}


def place(batch):
    """A batch of arrays as tensors."""
    batch = {k: torch.from_numpy(v) for k, v in batch.items()}
    return batch | {"label": batch["label"].long()}


def check(name, path, **arguments):
    """See cases.check."""
    def make(weights):
        contestant = METHODS[name](cases.SMALL[name], weights, **arguments)
        step = contestant.step
        contestant.step = lambda batch: step(place(batch))
        return contestant

    return cases.check(make, path)


def main(name, arguments):
    """Serves the orders of training_step.py."""
    torch.set_flush_denormal(True)  # as TensorFlow does
    arguments, case = json.loads(arguments), cases.CASES[name]
    runner = cases.Runner(lambda: METHODS[name](case, **arguments), case, place)
    cases.serve({"run": runner.run, "check": lambda path: check(name, path, **arguments)})


if __name__ == "__main__":
    main(*sys.argv[1:])
