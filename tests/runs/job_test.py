"""Tests of what a run works with: the batch that there are items for, normalisation, what is said of the data."""
import dataclasses

import numpy as np
import pytest
from making import paired_data
from proving.data import with_source, with_views

from tfxmr.baselines.cca import CCA
from tfxmr.core.errors import InputError
from tfxmr.evaluation import protocol
from tfxmr.models.dscmr import DSCMR
from tfxmr.models.ms2gan import MS2GAN
from tfxmr.models.tpckt import TPCKT
from tfxmr.runs import job
from tfxmr.runs.options import RunOptions


@pytest.fixture(scope="module")
def data():
    return with_source(with_views(paired_data(classes=4, train=40, test=12)))


@pytest.mark.parametrize("batch_size, made, said", [(None, 40, "40, all training items"), (30, 30, ""), (60, 60, "")])
def test_the_default_batch_alone_shrinks(data, batch_size, made, said):
    """Guards against a batch that was asked for and is another one without a word; a method refuses it later."""
    settings = MS2GAN.Settings() if batch_size is None else MS2GAN.Settings(batch_size=batch_size)
    found, note = job.fit_batch(settings, data)
    assert found == dataclasses.replace(settings, batch_size=made) and note.startswith(said) and bool(note) == bool(said)


def test_a_closed_form_has_no_batch(data):
    assert job.fit_batch(CCA.Settings(), data) == (CCA.Settings(), "")


def test_what_a_method_reads(data):
    """Guards against views and a second domain that a method does not read, and are hashed, normalised and named."""
    plain = dataclasses.replace(data, source=None)
    assert job.needed(DSCMR, plain).views == ["image", "text"]
    assert job.needed(TPCKT, data).source.views == ["image", "text"]
    with pytest.raises(InputError, match="--source_dataset: cca learns from one domain"):
        job.needed(CCA, data)


def test_each_domain_is_normalised_by_its_own_training_items(data):
    """Guards against statistics of test items, and against those of the one domain for the other."""
    settings, rule = TPCKT.Settings(feature_norm="zscore"), protocol.make("standard", data)
    whole, training = job.prepare(job.needed(TPCKT, data), rule, settings, RunOptions())
    for part in (training, whole.source):
        rows = part.splits["train"].features["image"]
        np.testing.assert_allclose([rows.mean(axis=0), rows.std(axis=0)], [[0] * 6, [1] * 6], atol=1e-5)
    assert np.abs(whole.splits["test"].features["image"].mean(axis=0)).max() > 1e-3


def test_the_manifest_knows_every_value(data):
    """Guards against a resumed run on features, labels or class vectors of which one number is another."""
    facts = job.manifest(data)
    assert set(facts) == {*data.views, "class_embeddings", "source"}
    split = data.splits["test"]
    image, label = split.features["image"].copy(), split.labels["image"].copy()
    image[3, 2] += 1e-3
    label[3] = 0 if label[3] else 1
    for changed in (
        dataclasses.replace(split, features=split.features | {"image": image}),
        dataclasses.replace(split, labels=split.labels | {"image": label}),
    ):
        other = job.manifest(dataclasses.replace(data, splits=data.splits | {"test": changed}))
        assert other["image"]["sha256"] != facts["image"]["sha256"] and other["text"] == facts["text"]
    vectors = job.manifest(dataclasses.replace(data, class_embeddings=data.class_embeddings + 1))
    assert vectors["class_embeddings"] != facts["class_embeddings"] and vectors["image"] == facts["image"]


def test_the_items_that_train_are_counted(data):
    assert job.training_items(data) == {
        "image": 40, "image.regions": 40, "text": 40, "text.words": 40, "source image": 40, "source text": 40,
    }
