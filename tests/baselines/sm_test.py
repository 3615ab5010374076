"""Tests of semantic matching against the definition of its problem, and known figures on Wikipedia."""
import numpy as np
import pytest
import scipy.optimize
import scipy.special

from tfxmr.baselines.sm import SM, SMSettings
from tfxmr.core.errors import InputError
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.evaluation import evaluate, protocol


@pytest.mark.parametrize("classes", [2, 3])
def test_the_minimum(make_data, classes):
    """Against a general optimizer: guards against a penalty per item, and the one logit that two classes have."""
    data = make_data(classes=classes, train=30, noise=1.0)
    x, labels = data.splits["train"].features["text"].astype(float), data.splits["train"].labels["text"]

    def cost(flat):
        w, b = flat[: 4 * classes].reshape(4, classes), flat[4 * classes :]
        return -np.sum(scipy.special.log_softmax(x @ w + b, axis=1)[np.arange(30), labels]) + 3 / 2 * np.sum(w**2)

    best = scipy.optimize.minimize(cost, np.zeros(5 * classes), tol=1e-10).x
    expected = scipy.special.softmax(x @ best[: 4 * classes].reshape(4, classes) + best[4 * classes :], axis=1)
    np.testing.assert_allclose(SM(SMSettings(penalty=3.0)).learn(data).represent("text", x), expected, atol=1e-3)


def test_modalities_need_not_be_paired(make_data):
    """Guards against a common order of rows: other texts change nothing of the images' classifier."""
    data = make_data(classes=3, noise=1.0)
    images = data.splits["train"].features["image"]
    plain = SM().learn(data).represent("image", images)
    labels = data.splits["train"].labels["image"]
    split = Split({"image": images, "text": np.ones((3, 4), np.float32)}, {"image": labels, "text": np.arange(3)},
                  unpaired=("text",))
    loose = MultiModalData("x", {"train": split}, [])
    np.testing.assert_array_equal(plain, SM().learn(loose).represent("image", images))
    np.testing.assert_allclose(plain.sum(axis=1), 1)
    with pytest.raises(InputError, match="not fitted on the modality audio"):
        SM().learn(data).represent("audio", images)


def test_wikipedia(official_wikipedia):
    """Known figures on SIFT words and topics: .278 image to text, .211 text to image; chance is .118."""
    data = official_wikipedia
    made = protocol.make("standard", data)
    metrics = evaluate(SM().learn(data).retriever(None), made.tasks(data), made)
    values = {m["task"]: m["value"] for m in metrics}
    assert values == {"image->text": pytest.approx(0.278, abs=0.01), "text->image": pytest.approx(0.211, abs=0.01)}
