"""DANZCR's step in PyTorch: naive (all run again for each update), and fused as in tfxmr.models.danzcr."""
import torch
from pytorch_base import Contestant, Tower
from torch.nn.functional import relu, softplus


def real(logits):
    """Mean over the batch of -log D, summed over what stands before it."""
    return softplus(-logits).mean(-1).sum()


def fake(logits):
    """Mean over the batch of -log(1 - D), summed over what stands before it."""
    return softplus(logits).mean(-1).sum()


def recovery(a, b):
    """tfxmr.engine.losses.recovery in its default reading, averaged."""
    return 32 * ((a - b) ** 2).sum(-1).mean()


class DANZCR(Contestant):
    """The step of tfxmr.models.danzcr."""

    D_F, D_R, G_F, G_R = (tuple(f"{kind}{m}" for m in "IT") for kind in ("D_F", "D_R", "G_F", "G_R"))
    updates = (D_F, D_R, G_F, (*G_R, *G_F))
    graphs = ("generate", "reconstruct", "cost_d_f", "cost_d_r", "cost_g_f", "cost_g_r")

    def networks(self):
        """The eight networks."""
        c = self.case
        hidden, judge, rate = list(c["generator_units"]), [*c["discriminator_units"], 1], 1 - c["dropout_keep"]
        made = {}
        for m, width in zip("IT", c["dims"].values(), strict=True):
            made[f"G_F{m}"] = Tower([width], [*hidden, c["word"]], relu, None, c["init_stddev"], rate)
            made[f"G_R{m}"] = Tower([c["word"]], [*hidden, width], relu, None, c["init_stddev"], rate)
            made[f"D_F{m}"] = Tower(self.parts(c["word"], width), judge, relu, None, c["init_stddev"])
            made[f"D_R{m}"] = Tower([width], judge, relu, None, c["init_stddev"])
        return made

    def generate(self, image, text):
        """Common representations (s_i, s_t)."""
        return self.nets["G_FI"](image), self.nets["G_FT"](text)

    def reconstruct(self, s_i, s_t):
        """Reconstructed features (r_i, r_t)."""
        return self.nets["G_RI"](s_i), self.nets["G_RT"](s_t)

    def judge(self, m, conditions, feature):
        """Logits (K, B) of D_F for K conditions with one feature."""
        net = self.nets[f"D_F{m}"]
        if self.fused:
            return net(torch.stack(conditions), feature)[..., 0]
        return torch.stack([net(torch.cat((c, feature), -1))[..., 0] for c in conditions])

    def cost_d_f(self, features, common, word, wrong):
        """Eq. 5 and 6."""
        logits = {m: self.judge(m, [word, *common, wrong], f) for m, f in zip("IT", features, strict=True)}
        return {f"D_F/D_F{m}": real(z[:1]) + fake(z[1:]) for m, z in logits.items()}

    def cost_d_r(self, features, made):
        """Eq. 7 and 8."""
        values = {}
        for m, f, r in zip("IT", features, made, strict=True):
            net = self.nets[f"D_R{m}"]
            z = net(torch.stack((f, r)))[..., 0] if self.fused else torch.stack((net(f)[..., 0], net(r)[..., 0]))
            values[f"D_R/D_R{m}"] = real(z[:1]) + fake(z[1:])
        return values

    def cost_g_f(self, features, common, word):
        """Eq. 9 and 10 jointly."""
        return {
            "G_F/adversarial": sum(real(self.judge(m, list(common), f)) for m, f in zip("IT", features, strict=True)),
            "G_F/recovery": self.case["lambda_f"] * sum(recovery(s, word) for s in common),
        }

    def cost_g_r(self, features):
        """Eq. 11 and 12."""
        made = self.nets["G_RI"](self.nets["G_FI"](features[0])), self.nets["G_RT"](self.nets["G_FT"](features[1]))
        return {
            "G_R/adversarial": sum(real(self.nets[f"D_R{m}"](r)[..., 0]) for m, r in zip("IT", made, strict=True)),
            "G_R/recovery": self.case["lambda_r"] * sum(recovery(r, f) for r, f in zip(made, features, strict=True)),
        }

    def naive_step(self, batch):
        """Every update runs all again that it needs, the forward discriminators together."""
        features, word, wrong = (batch["image"], batch["text"]), batch["word"], batch["wrong"]
        with torch.no_grad():
            common = self.generate(*features)
        logs = self.descend(self.D_F, self.cost_d_f, features, common, word, wrong)
        with torch.no_grad():
            made = self.reconstruct(*self.generate(*features))
        logs |= self.descend(self.D_R, self.cost_d_r, features, made)
        logs |= self.descend(self.G_F, lambda: self.cost_g_f(features, self.generate(*features), word))
        return logs | self.descend(self.updates[3], self.cost_g_r, features)

    def fused_step(self, batch):
        """G_F runs forward once for the first three updates, and only common representations are differentiated."""
        features, word, wrong = (batch["image"], batch["text"]), batch["word"], batch["wrong"]
        self.only(self.G_F)
        common = self.generate(*features)
        leaves = tuple(s.detach() for s in common)
        logs = self.descend(self.D_F, self.cost_d_f, features, leaves, word, wrong)
        with torch.no_grad():
            made = self.reconstruct(*leaves)
        logs |= self.descend(self.D_R, self.cost_d_r, features, made)
        self.only(())
        leaves = tuple(s.requires_grad_() for s in leaves)
        values = self.cost_g_f(features, leaves, word)
        upstream = torch.autograd.grad(sum(values.values()), leaves)
        self.only(self.G_F)
        torch.autograd.backward(common, upstream)
        self.apply(self.G_F)
        logs |= {name: v.detach() for name, v in values.items()}
        return logs | self.descend(self.updates[3], self.cost_g_r, features)
