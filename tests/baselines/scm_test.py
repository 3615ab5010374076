"""Tests of semantic correlation matching: its two parts in turn, and known figures on Wikipedia."""
import dataclasses

import numpy as np
import pytest

from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.baselines.scm import SCM, SCMSettings
from tfxmr.baselines.sm import SM, SMSettings
from tfxmr.core.errors import InputError
from tfxmr.evaluation import evaluate, protocol


def test_the_parts(make_data):
    """Guards against settings that reach only one part, and classifiers of unprojected features."""
    data = make_data(noise=1.0)
    cca = CCA(CCASettings(components=2, ridge=0.5)).learn(data)
    projected = {
        name: dataclasses.replace(split, features={m: cca.represent(m, split.features[m]) for m in data.modalities})
        for name, split in data.splits.items()
    }
    sm = SM(SMSettings(penalty=3.0)).learn(dataclasses.replace(data, splits=projected))
    method = SCM(SCMSettings(components=2, ridge=0.5, penalty=3.0)).learn(data)
    for m in data.modalities:
        made = method.represent(m, data.splits["test"].features[m])
        np.testing.assert_allclose(made, sm.represent(m, projected["test"].features[m]))
        np.testing.assert_allclose(made.sum(axis=1), 1)


def test_arrays_round_trip(make_data):
    """Guards against arrays of one part that take the other's place."""
    data = make_data()
    method = SCM().learn(data)
    restored = SCM()
    restored.set_arrays(method.arrays())
    for m in data.modalities:
        rows = data.splits["test"].features[m]
        np.testing.assert_array_equal(method.represent(m, rows), restored.represent(m, rows))


def test_refuses(make_data):
    data = make_data(classes=1)
    with pytest.raises(InputError, match="two or more training classes"):
        SCM().learn(data)
    loose = dataclasses.replace(make_data().splits["train"], unpaired=("image", "text"))
    with pytest.raises(InputError, match="SCM learns from items that have all of image, text"):
        SCM().learn(dataclasses.replace(data, splits={"train": loose}))


def test_wikipedia(official_wikipedia):
    """Known figures on SIFT words and topics: .275 image to text, .228 text to image; chance is .118."""
    made = protocol.make("standard", official_wikipedia)
    method = SCM(SCMSettings(components=7, ridge=1e-3)).learn(official_wikipedia)
    values = [m["value"] for m in evaluate(method.retriever(None), made.tasks(official_wikipedia), made)]
    assert values == [pytest.approx(0.275, abs=0.01), pytest.approx(0.228, abs=0.01)]
