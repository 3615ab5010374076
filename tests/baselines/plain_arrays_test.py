"""Tests of closed-form methods on plain arrays, in scikit-learn's manner."""
import dataclasses
import doctest
import inspect
import pickle
import sys

import numpy as np
import pytest
import sklearn.base
import sklearn.exceptions
from sklearn.utils.estimator_checks import check_estimator

from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.baselines.jrl import JRL
from tfxmr.baselines.scm import SCM
from tfxmr.baselines.sm import SM
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data.normalisation import normalise_features

METHODS = [registry.get(name, "tfxmr.baselines") for name in registry.names("tfxmr.baselines")]
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)

NOT_SCIKIT_LEARN = {  # checks that do not apply
    "check_do_not_raise_errors_in_init_or_set_params": "settings are refused when they are given, before any work",
    "check_n_features_in": "each view has a width of its own",
    "check_n_features_in_after_fitting": "each view has a width of its own",
    "check_requires_y_none": "a second view, or labels= by name, is asked for in other words",
}


class OfXy:
    """A method as `fit(X, y)`, which is what scikit-learn's checks call: y is the second view, or the labels."""

    def fit(self, X, y):
        column = np.asarray(y)[:, None] if np.asarray(y).ndim == 1 else y
        alone = self.least_modalities == 1
        views = [X] if alone else [X, X if self.supervised or self.one_space else column]
        return super().fit(*views, **labels_for(self, y))

    def fit_transform(self, X, y):
        return self.fit(X, y).transform(X)


for _method in METHODS:  # at the top of the module, where pickle finds them
    _name = f"{_method.__name__}OfXy"
    globals()[_name] = type(_name, (OfXy, _method), {"__module__": __name__})


def arrays(data, split="train"):
    """(image, text), labels of a split, in float64 as users have them."""
    found = data.splits[split]
    return [found.features[m].astype(float) for m in ("image", "text")], found.labels["image"]


def dims_of(method):
    """Widths of views that the method takes."""
    return {"image": 6, "text": 6} if method.one_space else {"image": 6, "text": 4}


def kinds_of(method):
    (found,) = (f.metadata["choices"] for f in dataclasses.fields(method.Settings) if f.name == "feature_norm")
    return found


def labels_for(method, labels):
    return {"labels": labels} if method.supervised else {}


@pytest.mark.parametrize("kind,method", [(kind, method) for method in METHODS for kind in kinds_of(method)])
def test_as_a_run_does(make_data, method, kind):
    """Guards against `feature_norm` that arrays are spared, and against statistics of the items that are transformed."""
    data = make_data(noise=1.0, classes=12, dims=dims_of(method))
    ready = normalise_features(data, kind, data.splits["train"])
    expected = method(method.Settings(feature_norm=kind)).learn(ready)
    (x, y), labels = arrays(data)
    fitted = method(feature_norm=kind).fit(x, y, labels=labels)
    found = fitted.transform(*arrays(data, "test")[0])
    for m, made in zip(("image", "text"), found, strict=True):
        np.testing.assert_array_equal(made, expected.represent(m, ready.splits["test"].features[m]))


@each_method
@pytest.mark.filterwarnings("ignore:.*occurred during set_params:UserWarning")
def test_scikit_learns_checks(method):
    """All of scikit-learn's checks but those above."""
    found = check_estimator(globals()[f"{method.__name__}OfXy"](), on_skip=None, expected_failed_checks=NOT_SCIKIT_LEARN)
    assert sum(check["status"] == "passed" for check in found) > 40
    not_met = set(NOT_SCIKIT_LEARN) - ({"check_requires_y_none"} if method.one_space else set())  # it is given X twice
    assert {check["check_name"] for check in found if check["status"] == "xfail"} == not_met


@each_method
def test_parameters_are_the_settings(method):
    """Guards against a parameter that is declared twice, and one that a copy loses."""
    fields = {f.name: f.default for f in dataclasses.fields(method.Settings)}
    assert method().get_params() == fields
    assert {name: p.default for name, p in inspect.signature(method).parameters.items()} == fields
    number = next((name for name, value in fields.items() if type(value) in (int, float)), None)
    name, values = (number, [fields[number] + 1, fields[number] + 2]) if number else ("feature_norm", kinds_of(method)[::-1])
    made = method(**{name: values[0]})
    assert made.get_params() == sklearn.base.clone(made).get_params() == fields | {name: values[0]}
    assert made.set_params(**{name: values[1]}) is made and made.get_params() == fields | {name: values[1]}
    made = method(**{name: values[0]})
    assert f"{name}={values[0]!r}" in repr(made)


@each_method
def test_pickle(make_data, method):
    (x, y), labels = arrays(make_data(dims=dims_of(method)))
    fitted = method().fit(x, y, **labels_for(method, labels))
    for before, after in zip(fitted.transform(x, y), pickle.loads(pickle.dumps(fitted)).transform(x, y), strict=True):
        np.testing.assert_array_equal(before, after)


@each_method
def test_the_example(method):
    """Every method shows itself on arrays, with a number that is checked."""
    module = sys.modules[method.__module__]
    (example,) = (t for t in doctest.DocTestFinder().find(method, module=module) if t.name == method.__name__)
    assert float(example.examples[-1].want) > 0.3
    assert not doctest.DocTestRunner().run(example).failed


def test_views(make_data):
    """One array for each view that is given; None leaves one out. Guards against rows of one view mapped as another's."""
    (x, y), labels = arrays(make_data())
    fitted = CCA(components=2).fit(x, y)
    both = fitted.transform(x, y)
    assert isinstance(both, tuple) and [made.shape for made in both] == [(60, 2), (60, 2)]
    np.testing.assert_array_equal(fitted.transform(x), both[0])
    np.testing.assert_array_equal(fitted.transform(None, y[:7]), both[1][:7])
    np.testing.assert_array_equal(CCA(components=2).fit_transform(x, y), both)
    many = [x * i for i in range(1, 11)] + [y]  # "view10" comes before "view2" in other orders
    made = SM().fit(*many, labels=labels).transform(*many)
    assert len(made) == 11 and all(rows.shape == (60, 5) for rows in made)
    np.testing.assert_array_equal(made[10], SM().fit(y, labels=labels).transform(y))
    assert CCA(weighting="view2").fit(x, y).transform(x, y)[1].shape == (60, 4)


def test_labels(make_data):
    """Any labels will do; classes are in NumPy's order of them, and decide the default width of a common space."""
    (x, y), labels = arrays(make_data(classes=12, dims={"image": 30, "text": 30}))
    names = np.array([f"class {c:02d}" for c in range(12)])[labels]
    expected = SM().fit(x, y, labels=labels).transform(x)
    np.testing.assert_array_equal(SM().fit(x, y, labels=names.tolist()).transform(x), expected)
    np.testing.assert_array_equal(SM().fit(x, y, labels=labels - 3).transform(x), expected)
    assert CCA().fit(x, y).transform(x).shape == (60, 10) and CCA().fit(x, y, labels=labels).transform(x).shape == (60, 20)


def test_refuses(make_data):
    (x, y), labels = arrays(make_data())
    with pytest.raises(InputError, match=r"CCA learns from two views; fit was given 1: write CCA\(\).fit\(X, Y\)"):
        CCA().fit(x)
    with pytest.raises(InputError, match="SCM learns from two views; fit was given 3"):
        SCM().fit(x, y, x, labels=labels)
    with pytest.raises(InputError, match="SM learns from 1 or more views; fit was given 0"):
        SM().fit(labels=labels)
    with pytest.raises(InputError, match=r"SM learns from classes; give fit\(..., labels=y\)"):
        SM().fit(x, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples.*60.*59"):
        CCA().fit(x, y[:59])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SM().fit(x, y, labels=labels[:59])
    with pytest.raises(ValueError, match="Input view2 contains NaN"):
        CCA().fit(x, np.where(y > 0, y, np.nan))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        SM().fit(x, y, labels=labels + 0.5)
    with pytest.raises(sklearn.exceptions.NotFittedError, match="this CCA is not fitted; call fit"):
        CCA().transform(x, y)
    fitted = CCA().fit(x, y)
    with pytest.raises(InputError, match="transform was given 3 views; fit was given 2"):
        fitted.transform(x, y, x)
    with pytest.raises(InputError, match=r"view2 features have the shape \(60, 6\)"):
        fitted.transform(None, x)
    with pytest.raises(InputError, match="CCA has no parameter width; it has feature_norm, components, ridge, weighting"):
        fitted.set_params(width=3)
    with pytest.raises(InputError, match="--components=-1: must be >= 0"):
        CCA(CCASettings(), components=-1)
    with pytest.raises(InputError, match=r"--transductive: the items that are searched are needed; give learn\(data, unlabelled="):
        JRL(transductive=True).fit(x, y, labels=labels)


def test_transform_normalises_as_fit_did():
    """Guards against a normalisation that is changed after the fit and applied with the statistics of the old one."""
    rng = np.random.default_rng(0)
    x, y = 5 + 2 * rng.normal(size=(30, 4)), rng.normal(size=(30, 3))
    made = CCA(components=2, feature_norm="zscore").fit(x, y)
    before = made.transform(x)
    np.testing.assert_array_equal(made.set_params(feature_norm="l2").transform(x), before)
