"""A second domain: its images and texts, of classes of their own, pass through the same encoders."""
import dataclasses

import tensorflow as tf

from proving.settings import ProvingSettings
from tfxmr.core.settings import changed, setting
from tfxmr.models.base import Method


@dataclasses.dataclass(frozen=True)
class TwoDomainsSettings(ProvingSettings):
    """Settings of TwoDomains."""

    steps: int = setting(200, "Training steps.", minimum=1)
    learning_rate: float = changed(3e-3)


class TwoDomains(Method):
    """The sum over domains d and modalities m of - log softmax(P_d(E_m(x)))_l; the adversary of modalities at a tenth."""

    Settings = TwoDomainsSettings
    paper = "a test of two domains and a player's learning rate"
    provenance = "this project"
    zero_shot = True
    takes_source = needs_source = True
    rates = {"slow": 0.1}

    def make_networks(self, data):
        """Builds an encoder for each modality, and for each domain a classifier."""
        units, source = self.settings.units, data.source.num_classes
        encoders = {m: self.tower(m, d, (units,), output_activation=tf.nn.relu) for m, d in data.dims.items()}
        classes = {"target": data.num_classes, "source": source}
        return encoders | {f"classes_{d}": self.tower(f"classes_{d}", units, (n,)) for d, n in classes.items()}

    @property
    def players(self):
        """The encoders with the target's classifier, and the source's classifier at a tenth of the rate."""
        return {"joint": (*self.dims, "classes_target"), "slow": ("classes_source",)}

    def domain_losses(self, batch, domain):
        """The losses of a domain's batch, name -> scalar."""
        found = {}
        for m in self.dims:
            logits = self.networks[f"classes_{domain}"](self.networks[m](batch[m]))
            cost = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits)
            found[f"{domain}_{m}"] = tf.reduce_mean(cost)
        return found

    def updates(self, batch, step):
        """Both players from one tape."""
        with tf.GradientTape(persistent=True) as tape:
            source = self.domain_losses(batch["source"], "source")
            cost = self.domain_losses(batch, "target") | source
        yield self.minimise("joint", cost, tape)
        yield self.minimise("slow", source, tape)

    def embed(self, modality, features):
        """E_m(x)."""
        return self.networks[modality](features)
