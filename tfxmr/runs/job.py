"""What one run works with, made ready: what travels together from the command line to results.json."""
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import os
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from tfxmr.baselines.base import BaselineSettings
from tfxmr.core import registry
from tfxmr.core.settings import Settings
from tfxmr.data import MultiModalData, domains, memmap
from tfxmr.data.normalisation import normalise_features
from tfxmr.data.views import modality_of
from tfxmr.evaluation.protocol import Protocol, Task
from tfxmr.extraction import identity
from tfxmr.runs import selection
from tfxmr.runs.options import RunOptions, affecting, defaults
from tfxmr.runs.run_folder import RunFolder, content

MethodClass = type[Any]  # a Method or a Baseline; no union, since each makes itself of its own Settings alone
if TYPE_CHECKING:
    from tfxmr.models.base import MethodSettings

    RunSettings: TypeAlias = MethodSettings | BaselineSettings  # of a neural method, of a closed-form one
else:  # closed-form methods wait for no TensorFlow
    RunSettings = Settings
Chosen = TypeVar("Chosen", bound=RunSettings)


@dataclasses.dataclass(frozen=True)
class Job:
    """One method on one data set by one protocol, in one folder.

    Attributes:
      method_class: from tfxmr.models or tfxmr.baselines.
      settings: an instance of its Settings, with a batch that the training items fill.
      data: what of the data the method reads, normalised.
      training: of it what is trained on, with the validation items.
      protocol: Protocol, which says what is held out.
      options: RunOptions.
      folder: RunFolder.
      flags: flag name -> serialised flag, for flags.cfg.
      manifest: facts on each view, as `manifest` gives them.
      digests: as tfxmr.extraction.identity.digests gives them of the data before they are normalised.
      note: what was changed to suit the data, in words; "" if nothing was.
    """

    method_class: MethodClass
    settings: RunSettings
    data: MultiModalData
    training: MultiModalData
    protocol: Protocol
    options: RunOptions
    folder: RunFolder
    flags: dict[str, str]
    manifest: dict[str, Any]
    digests: dict[str, Any]
    note: str = ""

    @functools.cached_property
    def tasks(self) -> list[Task]:
        """The protocol's tasks; none in a trial of a search, which leaves the test items alone."""
        return self.protocol.tasks(self.data) if self.options.test else []

    def make(self) -> Any:
        """The method, not trained yet."""
        return self.method_class.of(self.training, self.settings, self.options.seed)

    def compare(self, *free: str) -> None:
        """Raises InputError if the folder holds a run of other flags than those that affect `free`, or other data."""
        affected = affecting(*free, method_class=self.method_class)
        self.folder.compare(self.flags, self.manifest, affected, defaults(self.method_class))

    def open(self) -> contextlib.closing[RunFolder]:
        """The folder, locked for this run; raises InputError as `compare`."""
        return self.folder.open(
            self.flags, self.manifest, affecting("nothing", method_class=self.method_class), defaults(self.method_class)
        )

    def content(self) -> tuple[RunSettings, RunOptions, dict[str, Any]]:
        """What every worker of a run has alike, of what decides its result."""
        known = {view: content(facts) for view, facts in self.manifest.items()}
        return self.settings, dataclasses.replace(self.options, worker_index=None), known


def make_job(
    method_class: MethodClass, settings: RunSettings, data: MultiModalData, protocol: Protocol,
    run_dir: str | os.PathLike, options: RunOptions, flags: dict[str, str] | None = None, free: tuple[str, ...] = (),
) -> Job:
    """Makes a job ready: what the method reads, what is held out, normalised, a batch that there are items for.

    Args:
      method_class, settings, data, protocol, run_dir, options, flags: as of `tfxmr.runs.run.run`.
      free: what flags may affect that differ from those of the run in the folder, which is compared before any work;
        () compares nothing.

    Raises:
      InputError: the method cannot work on this data, or the folder holds another run.
    """
    data, folder = needed(method_class, data, settings), RunFolder(run_dir)
    facts = manifest(data)
    if free and flags:
        folder.compare(flags, facts, affecting(*free, method_class=method_class), defaults(method_class))
    protocol = selection.declare(protocol, settings, data, options)
    digests = {} if free else identity.digests(data)  # of what is evaluated again nobody asks them
    data, training = prepare(data, protocol, settings, options)
    settings, note = fit_batch(settings, training)
    if flags is None:
        flags = {f.name: f"--{f.name}={getattr(settings, f.name)}" for f in dataclasses.fields(settings)}
    # What data decide stands in flags.cfg, so that a later version's rule does not change a run that is there.
    if protocol.held_out != options.validation_fraction:
        flags = flags | {"validation_fraction": f"--validation_fraction={protocol.held_out}"}
    if note and not isinstance(settings, BaselineSettings):
        flags = flags | {"batch_size": f"--batch_size={settings.batch_size}"}
    return Job(method_class, settings, data, training, protocol, options, folder, flags, facts, digests, note)


def pairs(method_class: MethodClass, settings: RunSettings, data: MultiModalData) -> list[tuple[str, str]]:
    """The pairs of modalities on which a method can be trained, in order; those that share their rows if it needs that.

    With views that the method reads by name, the pair is of their modalities.

    Args:
      method_class, settings: as of `make_job`.
      data: whose modalities and rows decide.

    Returns:
      list of tuples of two names.
    """
    named = {modality_of(view) for view in method_class.reads(settings)}
    every = [pair for pair in itertools.combinations(data.modalities, 2) if named <= set(pair)]
    if not method_class.needs_pairs(settings):
        return every
    return [pair for pair in every if data.splits["train"].only(pair).paired]


def one_a_pair(method_class: MethodClass, settings: RunSettings, data: MultiModalData) -> bool:
    """Whether a run without --joint trains a model for each pair of modalities; arguments as of `pairs`."""
    if method_class.modalities or len(data.modalities) <= 2:
        return False
    if len(data.modalities) <= method_class.most_modalities:
        return not method_class.joint
    return len(pairs(method_class, settings, data)) > 1


def needed(
    method_class: MethodClass, data: MultiModalData, settings: RunSettings | None = None
) -> MultiModalData:
    """What of the data a method reads: its modalities, all if it takes any, and their views; in memory where it must.

    Of more modalities than it takes the first pair, which is that of versions that took images and texts alone.

    Args:
      method_class: from tfxmr.models or tfxmr.baselines.
      data: the whole data.
      settings: an instance of its Settings, which may decide what it reads; None: its defaults.

    Returns:
      MultiModalData of these modalities and views, and of a second domain if the method takes one.

    Raises:
      InputError: the data lack one of its views, vectors unless it has `inputs`; or for a second domain that it does
        not take or cannot do without.
    """
    data = named(method_class, data, settings)
    return memmap.in_memory(data) if method_class.in_memory else data


def named(
    method_class: MethodClass, data: MultiModalData, settings: RunSettings | None = None
) -> MultiModalData:
    """As `needed`, which reads nothing."""
    wanted, name = method_class.modalities, registry.name_of(method_class)
    method_class.check_labels(data, name)
    if len(data.modalities) > method_class.most_modalities:
        wanted = next(iter(pairs(method_class, settings or method_class.Settings(), data)), ())
    data = data.only(wanted) if wanted and set(wanted) < set(data.modalities) else data
    data = data.reading(method_class.reads(settings or method_class.Settings()), name)
    return dataclasses.replace(data, source=domains.needed(method_class, name, data))


def prepare(
    data: MultiModalData, protocol: Protocol, settings: RunSettings, options: RunOptions
) -> tuple[MultiModalData, MultiModalData]:
    """Normalises the features by the training items' statistics, each domain's by its own.

    Args:
      data: what the method reads, as `needed` gives it.
      protocol: says which items train.
      settings: the method's; its `feature_norm` is how.
      options: of the run, which may hold items out.

    Returns:
      (data, its training part).
    """
    reference = selection.training_data(protocol, settings, data, options).splits["train"]
    data = normalise_features(data, settings.feature_norm, reference)
    if data.source:
        source = normalise_features(data.source, settings.feature_norm, data.source.splits["train"])
        data = dataclasses.replace(data, source=source)
    return data, selection.training_data(protocol, settings, data, options)


def fit_batch(settings: Chosen, data: MultiModalData) -> tuple[Chosen, str]:
    """A batch of all training items in place of the method's default, if that is larger; others are kept, or refused.

    Args:
      settings: an instance of a method's Settings.
      data: the training data.

    Returns:
      (settings, what was changed, in words; "" if nothing was).
    """
    if isinstance(settings, BaselineSettings):  # a closed form has no batches
        return settings, ""
    size, items = settings.batch_size, len(data.splits["train"])
    fields = {f.name: f.default for f in dataclasses.fields(settings)}
    if size <= items or size != fields["batch_size"] or items < 2:
        return settings, ""
    text = f"{items}, all training items: the default of {size} is more than there are"
    return dataclasses.replace(settings, batch_size=items), text


def manifest(data: MultiModalData) -> dict[str, Any]:
    """Facts on each view, with a digest of every array, by which a resumed run knows its data.

    Args:
      data: what the method reads, not normalised.

    Returns:
      View -> what is known of it, such as its "name", with its "dim" and "sha256"; beside these "split",
      "class_embeddings" and, of a second domain, "source", where there are such.
    """
    facts = {view: dict(data.features.get(view, {})) for view in data.views}
    for view, dim in data.dims.items():
        digest = hashlib.sha256()
        for name in sorted(data.splits):
            for block in memmap.blocks(data.splits[name].features[view]):
                digest.update(block.data)
            digest.update(np.ascontiguousarray(data.splits[name].labels[modality_of(view)]).data)
        facts[view] |= {"dim": dim, "sha256": digest.hexdigest(), **identity.words(data, view)}
    if data.split_facts:
        facts["split"] = data.split_facts
    if data.class_embeddings is not None:
        facts["class_embeddings"] = dict(data.features.get("class_embeddings", {})) | {
            "dim": data.class_embeddings.shape[1],
            "sha256": hashlib.sha256(np.ascontiguousarray(data.class_embeddings).data).hexdigest(),
        }
    if data.source:
        facts["source"] = {"dataset": data.source.shown} | manifest(data.source)
    return facts


def training_items(data: MultiModalData) -> dict[str, int]:
    """View -> number of items that train; of a second domain "source image" and so on."""
    found = {view: len(data.splits["train"].labels[modality_of(view)]) for view in data.views}
    if data.source:
        found |= {f"source {view}": count for view, count in training_items(data.source).items()}
    return found
