"""MS2GAN's step in PyTorch: naive (a pass for each player), and with the reversed gradient of tfxmr.models.ms2gan."""
import torch
from pytorch_base import Contestant, Tower
from torch.nn.functional import cross_entropy, leaky_relu, relu


class Reversed(torch.autograd.Function):
    """The identity, whose gradient comes back times -scale."""

    @staticmethod
    def forward(ctx, x, scale):
        """Returns x."""
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, upstream):
        """Returns the reversed gradient."""
        return -ctx.scale * upstream, None


def squared_distances(a, b):
    """||a_u - b_v||^2 of all rows."""
    squares = (a**2).sum(-1)[..., :, None] + (b**2).sum(-1)[..., None, :]
    return relu(squares - 2 * a @ b.mT)


class MS2GAN(Contestant):
    """The step of tfxmr.models.ms2gan for two modalities."""

    embedding, modality = ("specific_image", "specific_text", "shared", "classifier"), ("modality_classifier",)
    graphs = ("costs",)

    @property
    def updates(self):
        """One player if fused, as in tfxmr; else two."""
        return ((*self.embedding, *self.modality),) if self.fused else (self.embedding, self.modality)

    def networks(self):
        """The towers and the two classifiers."""
        c, tanh = self.case, torch.tanh
        width = c["shared_units"][-1]
        shapes = {f"specific_{m}": ([d], list(c["specific_units"]), tanh, tanh) for m, d in c["dims"].items()}
        return {name: Tower(*shape) for name, shape in shapes.items()} | {
            "shared": Tower([width], list(c["shared_units"]), tanh, tanh),
            "classifier": Tower(self.parts(width, width), [c["classes"]], None),
            "modality_classifier": Tower(
                [width], [*c["modality_units"], len(c["dims"])], lambda x: leaky_relu(x, 0.2)
            ),
        }

    def features(self, batch):
        """Specific and shared features, each (M, B, d)."""
        specific = torch.stack([self.nets[f"specific_{m}"](batch[m]) for m in self.case["dims"]])
        return specific, self.nets["shared"](specific)

    def adversarial(self, shared):
        """Eq. 7."""
        logits = self.nets["modality_classifier"](shared)
        count, size = logits.shape[:2]
        target = torch.arange(count).repeat_interleave(size)
        return count * cross_entropy(logits.flatten(0, 1), target)

    def compute_losses(self, batch):
        """Eq. 6; fused, the adversarial loss (eq. 7) comes with a reversed gradient."""
        c, labels = self.case, batch["label"]
        f, s = self.features(batch)
        logits = self.nets["classifier"](*((f, s) if self.fused else (torch.cat((f, s), -1),)))
        distances = squared_distances(f, f).sum(0) + squared_distances(s[0], s[1])
        same = (labels[:, None] == labels[None, :]).float()
        near, far = (same * relu(distances - c["tau"])).sum(), ((1 - same) * relu(c["tau"] - distances)).sum()
        margin = relu(c["zeta"] - ((f - s) ** 2).sum(-1))
        values = {
            "joint/sd": len(f) * cross_entropy(logits.flatten(0, 1), labels.repeat(len(f))),
            "joint/c": c["alpha"] * (near / same.sum().clamp(min=1) + far / (1 - same).sum().clamp(min=1)),
            "joint/lm": c["beta"] * margin.sum(0).mean(),
        }
        if self.fused:
            return values | {"joint/adv": self.adversarial(Reversed.apply(s, c["lambda_adv"]))}
        return values | {"minus adversary": -c["lambda_adv"] * self.adversarial(s)}

    def fused_step(self, batch):
        """One pass and one update."""
        return self.descend(self.updates[0], self.compute_losses, batch)

    def naive_step(self, batch):
        """Both players' gradients at the old weights, each from a pass of its own, then both updates."""
        self.only(self.embedding)
        values = self.compute_losses(batch)
        sum(values.values()).backward()
        self.only(self.modality)
        adversarial = self.adversarial(self.features(batch)[1])
        adversarial.backward()
        self.apply(self.embedding)
        self.apply(self.modality)
        return {name: v.detach() for name, v in values.items()} | {"joint/adv": adversarial.detach()}
