"""What PyTorch's contestants share: towers, weights, optimisers and updates."""
import cases
import torch
from torch.nn.functional import dropout


class Tower(torch.nn.Module):
    """Fully connected layers; the parts of a concatenated input have matrices of their own, as ours."""

    def __init__(self, parts, units, activation, output=None, stddev=None, rate=0.0):
        super().__init__()
        self.activation, self.output, self.rate = activation, output, rate
        widths = [parts[-1], *units[:-1]]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(widths, units, strict=True))
        self.others = torch.nn.ModuleList(torch.nn.Linear(a, units[0], bias=False) for a in parts[:-1])
        for layer in (*self.layers, *self.others):
            if stddev is None:
                torch.nn.init.xavier_uniform_(layer.weight)
            else:
                torch.nn.init.normal_(layer.weight, std=stddev)
            if layer.bias is not None:
                torch.nn.init.zeros_(layer.bias)

    def forward(self, *parts):
        """Parts (..., d_i), which broadcast, to (..., units[-1])."""
        x = self.layers[0](parts[-1])
        for other, part in zip(self.others, parts[:-1], strict=True):
            x = x + other(part)
        for layer in self.layers[1:]:
            x = self.activation(x)
            x = layer(dropout(x, self.rate) if self.rate else x)
        return self.output(x) if self.output else x

    def arrays(self):
        """The tensors in tfxmr's order and orientation: kernels (d_i, units) and biases."""
        first, *rest = self.layers
        found = [*(other.weight.T for other in self.others), first.weight.T, first.bias]
        return found + [t for layer in rest for t in (layer.weight.T, layer.bias)]


class Contestant:
    """What the methods share.

    Args:
      case: of cases.CASES or cases.SMALL.
      weights: initial weights, network -> arrays, or None.
      fused: share forward passes and split the first layers, as tfxmr does.
      compiled: put the losses through torch.compile.
    """

    def __init__(self, case, weights=None, fused=False, compiled=False):
        self.case, self.fused = case, fused
        self.nets = self.networks()
        for name, arrays in (weights or {}).items():
            arrays = arrays if self.nets[name].others else cases.joined(arrays)
            with torch.no_grad():
                for tensor, array in zip(self.nets[name].arrays(), arrays, strict=True):
                    tensor.copy_(torch.from_numpy(array))
        adam = cases.ADAM
        self.optimizers = {
            names: torch.optim.Adam(
                self.parameters(names), adam["learning_rate"], (case["beta_1"], adam["beta_2"]), adam["epsilon"],
                fused=True,
            )
            for names in self.updates
        }
        self.taken = dict.fromkeys(self.updates, 0)
        self.step = self.fused_step if fused else self.naive_step
        if compiled:
            for name in self.graphs:
                setattr(self, name, torch.compile(getattr(self, name), dynamic=False))

    def parts(self, *widths):
        """The parts of a concatenated input: apart if fused."""
        return list(widths) if self.fused else [sum(widths)]

    def parameters(self, names):
        """The parameters of an update."""
        return [p for name in names for p in self.nets[name].parameters()]

    def only(self, names):
        """Lets gradients reach these networks alone, and returns their parameters."""
        for name, net in self.nets.items():
            net.requires_grad_(name in names)
        return self.parameters(names)

    def apply(self, names):
        """Makes an update from the gradients that backward left."""
        optimizer, self.taken[names] = self.optimizers[names], self.taken[names] + 1
        # PyTorch adds epsilon after the correction of the second moment's bias, TensorFlow before it
        correction = (1 - cases.ADAM["beta_2"] ** self.taken[names]) ** 0.5
        optimizer.param_groups[0]["eps"] = cases.ADAM["epsilon"] / correction
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def descend(self, names, cost, *arguments):
        """One update. Returns its losses, name -> tensor."""
        self.only(names)
        values = cost(*arguments)
        sum(values.values()).backward()
        self.apply(names)
        return {name: v.detach() for name, v in values.items()}

    def weights(self):
        """Network name -> list of arrays."""
        return {name: [t.detach().numpy().copy() for t in net.arrays()] for name, net in self.nets.items()}
