"""Tests of the printed tables."""
from tfxmr.data import protocol
from tfxmr.evaluation import tables


def metric(task, classes, value, chance):
    return {"task": task, "classes": classes, "metric": "mAP", "value": value, "chance": chance,
            "num_queries": 317, "gallery_size": 984}


def test_metrics_table():
    """Guards against averages over the class groups: seen and unseen stand apart."""
    table = tables.metrics_table([
        metric("image->text", "unseen", 0.25, 0.21), metric("text->image", "unseen", 0.35, 0.23),
        metric("image->text", "seen", 0.5, 0.1), metric("text->image", "seen", 0.9, 0.1),
    ])
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["task", "classes", "metric", "value", "chance", "queries", "gallery"]
    assert rows[1] == ["image->text", "unseen", "mAP", "0.250", "0.210", "317", "984"]
    assert rows[4] == ["text->image", "seen", "mAP", "0.900", "0.100", "317", "984"]
    assert rows[5:] == [["average", "unseen", "mAP", "0.300", "0.220"], ["average", "seen", "mAP", "0.700", "0.100"]]


def test_describe(make_data):
    data = make_data(train=60, test=30, classes=5)
    text = tables.describe(data, protocol.make("zero_shot", data))
    assert "made up: image image features (6), text text features (4); train 60, test 30" in text
    assert "name zero_shot, gallery train" in text and "similarity cosine" in text
    assert text.splitlines()[-1].split(maxsplit=1) == ["unseen", "class 0, class 2, class 4"]
    standard = tables.describe(data, protocol.make("standard", data))
    assert "gallery test" in standard and "unseen" not in standard
