"""Tests of tables of runs that differ in one setting at a time."""
import re

import pytest

from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.core.settings import options
from tfxmr.evaluation.protocol import ProtocolOptions
from tfxmr.reports.tables import factors, formats
from tfxmr.tuning import tuner


def result(alpha="1.0", value=0.5, seed=0, cut=None, **flags):
    lines = {"alpha": f"--alpha={alpha}", "seed": f"--seed={seed}", "data_dir": f"--data_dir={value}"} | flags
    metric = {"task": "image->text", "classes": "all", "metric": "mAP", "value": value, "chance": 0.1}
    return {
        "model": "cca", "dataset": "scenes", "seed": seed, "protocol": {"name": "standard", "cut": cut}, "flags": lines,
        "metrics": [metric | {"num_queries": 9, "gallery_size": 9}],
    }


def test_rows_of_results():
    """Guards against a boolean flag, or one without a value, that is read as another setting."""
    rows = factors.rows_of(
        [result(tanh="--tanh", normal="--normal", gallery=""), result(tanh="--notanh", normal="--nonormal", seed=2)],
        ignore=("data_dir",),
    )
    assert rows[0] == {
        "model": "cca", "dataset": "scenes", "protocol": "standard", "seed": 0, "alpha": "1.0", "tanh": "yes",
        "normal": "yes", "gallery": "default", "mAP image->text all": 0.5, "chance image->text all": 0.1,
    }
    assert (rows[1]["tanh"], rows[1]["normal"], rows[1]["gallery"], rows[1]["seed"]) == ("no", "no", "default", 2)


def test_unlike_protocols():
    """Guards against mAP and mAP of another denominator in one line."""
    with pytest.raises(InputError, match="were not measured alike: cut 50 instead of none. Give runs of one protocol"):
        factors.rows_of([result(), result(cut=50)])


def rows_of(*settings):
    return [dict(zip(("seed", "a", "b"), values, strict=True)) | {"mAP": 0.5} for values in settings]


def test_one_factor():
    """The base is a=1, b=1, the most common values; it belongs to both curves, and seeds do not count as settings."""
    rows = rows_of((0, "1", "1"), (1, "1", "1"), (0, "2", "1"), (0, "3", "1"), (0, "1", "9"))
    curves = factors.one_factor(rows)
    assert curves == {"a": rows[:4], "b": [rows[0], rows[1], rows[4]]}
    assert factors.one_factor(rows[:4]) == {"a": rows[:4]}


def test_what_is_no_one_factor_table():
    """Guards against a curve along which a second setting changes unseen."""
    with pytest.raises(InputError, match="all runs have the same settings"):
        factors.one_factor(rows_of((0, "1", "1"), (1, "1", "1")))
    with pytest.raises(InputError, match="several settings at once: a=2 instead of 1, b=9 instead of 1"):
        factors.one_factor(rows_of((0, "1", "1"), (0, "1", "1"), (0, "2", "9")))


def test_read_table(tmp_path):
    """Guards against a table of ours that is not read back."""
    table = [{"model": "cca", "seed": 0, "alpha": 0.1, "mAP image->text all": 0.25}]
    (tmp_path / "t.csv").write_text(formats.to_csv(table))
    assert factors.read_table(tmp_path / "t.csv") == [
        {"model": "cca", "seed": "0", "alpha": "0.1", "mAP image->text all": 0.25}
    ]


def test_read_trials(tmp_path):
    """Guards against a search whose trial numbers and seconds count as settings, and one that a failed trial spoils."""
    trials = [
        {"trial": f"000{i}", "values": {"alpha": alpha}, "varied": "alpha", "validation_mAP": value, "selected_step": i,
         "seconds": i, "status": status, "message": ""}
        for i, (alpha, value, status) in enumerate([(0.1, 0.25, "finished"), (1.0, None, "failed"), (10.0, 0.5, "finished")])
    ]
    (tmp_path / "trials.csv").write_text(formats.to_csv(tuner.rows(trials)))
    rows = factors.read_table(tmp_path / "trials.csv")
    assert rows == [{"alpha": "0.1", "mAP validation": 0.25}, {"alpha": "10.0", "mAP validation": 0.5}]
    (tmp_path / "trials.csv").write_text(formats.to_csv(tuner.rows(trials[1:2])))
    with pytest.raises(InputError, match="trials.csv: no trial has finished"):
        factors.read_table(tmp_path / "trials.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"t.csv: cannot be read as UTF-8 text"),
        ("", "expected a header with a column mAP"),
        ("alpha,mAP\n", "expected a header with a column mAP"),
        ("alpha,value\n1,0.5\n", "expected a header with a column mAP"),
        ("alpha,mAP\n1,0.5\n2,\n", "line 3: mAP must be a number from 0 to 1"),
        ("alpha,mAP\n1,50.2\n", "line 2: mAP must be a number from 0 to 1"),
        ("alpha,mAP\n1,0.5,7\n", "line 2: has more cells than the header"),
        ("alpha,mAP,mAP mark\n1,0.5,a\n", "column 'mAP mark' marks values of other protocols"),
    ],
)
def test_malformed_table(tmp_path, text, message):
    if text is not None:
        (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        factors.read_table(tmp_path / "t.csv")


QUANTITIES = {  # of which none is a quantity, too
    "adv_weight", "adversary_weight", "fusing_units", "text_weight", "tolerance",
}


def test_every_zero_that_is_no_quantity_has_a_word():
    """Guards against a choice such as "0: the method's own" that figures draw as a number, at the left end of an axis."""
    for name in registry.names():
        for setting, field in options(registry.get(name).Settings, ProtocolOptions).items():
            said = re.search(r"(?:^|[;,.] )0(?::| takes| switches| makes) ", field.metadata["help"])
            if said and field.metadata["affects"] != "nothing" and setting not in QUANTITIES:
                assert factors.choice(setting, "0", {name}), f"{name} --{setting}: {field.metadata['help']}"
    assert factors.choice("components", "0.0") == "auto" and factors.choice("components", "5") is None
    assert factors.choice("alpha", "0", {"corr_ae"}) == "auto" and factors.choice("alpha", "0", {"dscmr"}) is None
    assert factors.choice("alpha", "none") is None
