"""The benchmark of training steps: its arithmetic by hand, and that what it compares is the same step."""
import dataclasses
import importlib
import importlib.util
import json
import math
import pathlib
import sys

import pytest

from tfxmr.core import registry
from tfxmr.extraction import catalogue

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"
STEPS = BENCHMARKS / "steps"


@pytest.fixture(autouse=True)
def steps_folder(monkeypatch):
    monkeypatch.syspath_prepend(str(STEPS))
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def module(name):
    return importlib.import_module(name)


def test_arithmetic_of_danzcr_by_hand():
    """One modality, all widths 1 but for the image's 10 and the vector's 3. Guards a product that is left out or double.

    G_F 10-1-1-3: 14 weights; G_R 3-1-1-10: 14; D_R 10-1-1-1: 12; D_F: condition 3, feature 10, rest 2.
    """
    case = {"dims": {"image": 10}, "word": 3, "generator_units": (1, 1), "discriminator_units": (1, 1)}
    d_f = 14 + (10 + 4 * (3 + 2)) * 2 + 4 * 2  # s; forward and weights; inputs of the upper layers
    d_r = 14 + 2 * (12 + 12 + 2)
    g_f = 10 + 2 * (5 + 5) + 14 + 4  # D_F forward and to the conditions; G_F's weights and the inputs of upper layers
    g_r = (14 + 14 + 4) + 3 * 14 + (12 + 12)
    assert module("arithmetic").danzcr(**case) == d_f + d_r + g_f + g_r


def test_arithmetic_at_paper_widths():
    """DANZCR's 1,060.0 M and MS2GAN's 18.3 M were counted from traced graphs; a joint eq. 9 and 10 adds 38.5 M."""
    arithmetic, cases = module("arithmetic"), module("cases").CASES
    assert arithmetic.danzcr(**cases["danzcr"], pairs=1) == pytest.approx(1060.0e6, rel=5e-5)
    assert arithmetic.step("danzcr", 1) == pytest.approx(1098.5e6, rel=5e-5)
    assert 2 * arithmetic.ms2gan(**cases["ms2gan"]) == pytest.approx(36.5e6, rel=6e-3)
    assert arithmetic.weights("danzcr") == 180_130_696


@pytest.mark.parametrize("name", ["danzcr", "ms2gan"])
def test_cases_are_the_methods_defaults(name):
    """Guards against a benchmark of other networks than users train, after a default has changed."""
    settings = registry.get(name).Settings()
    case = module("cases").CASES[name]
    shared = {f.name for f in dataclasses.fields(settings)} & set(case)
    assert len(shared) >= 6
    assert {k: getattr(settings, k) for k in shared} == {k: case[k] for k in shared}


@pytest.fixture(scope="module", params=["danzcr", "ms2gan"])
def reference(request, tmp_path_factory):
    """(method, file of tfxmr's first steps at small widths)."""
    sys.path[:0] = [str(STEPS)]
    path = str(tmp_path_factory.mktemp("steps") / "reference.npz")
    module("ours").Ours(request.param, module("cases").SMALL[request.param]).reference(path)
    yield request.param, path
    sys.path.remove(str(STEPS))


def test_naive_step_equals_ours(reference):
    """Guards against a rival that does less, or other, work: same losses, same weights after two steps."""
    name, path = reference
    naive, cases = module("naive_tf").NAIVE[name], module("cases")
    found = cases.check(lambda weights: naive(cases.SMALL[name], weights), path)
    assert found["losses"] < 1e-5
    assert found["weights"] < 0.01


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed: pip install '.[bench]'")
@pytest.mark.parametrize("fused", [False, True])
def test_pytorch_step_equals_ours(reference, fused):
    """As above."""
    name, path = reference
    found = module("pytorch").check(name, path, fused=fused)
    assert found["losses"] < 1e-5
    assert found["weights"] < 0.01


def test_a_tiny_contestant_runs_in_both_modes_and_reports():
    """Guards against a benchmark that no longer runs: tfxmr at small widths, a rival, the table and its ratio."""
    cases, report, ours = module("cases"), module("report"), module("ours")
    small = cases.SMALL["danzcr"]
    method = ours.Ours("danzcr", small, {"run_eagerly": True})  # a graph takes longer to make

    class Rival:
        def step(self, batch):
            assert batch["image"].shape == (8, 24)
            return {"loss": 0.0}

    runner = cases.Runner(Rival, small, lambda batch: batch)
    runs = [
        run | {"contestant": name, "mode": mode, "batch": 8, "round": 0}
        for name, mode, run in (
            ("tfxmr", "fit", method.run(8, 0.01, "fit")), ("tfxmr", "resident", method.run(8, 0.01, "resident")),
            ("tf_naive", "resident", runner.run(8, 0.01)),
        )
    ]
    best = {"wall": ("x", 100.0), "processor": ("x", 100.0)}
    table = report.rows("danzcr", [runs], {clock: rate for clock, (_, rate) in best.items()})
    assert [report.label(row) for row in table] == ["tfxmr, fit", "tfxmr", "tf_naive"]
    assert table[1]["wall"]["ratio"] == 1
    naive_row = table[2]["wall"]
    assert naive_row["ratio"] == pytest.approx(table[1]["wall"]["steps_per_second"] / naive_row["steps_per_second"])
    found = {
        "rows": table, "input": {8: method.read(8, 0.01)}, "differences": {}, "profile": {8: method.profile(8, 1)},
    }
    facts = {
        "machine": report.machine(None), "best": best, "methods": {"danzcr": found}, "seconds": 1,
        "memory": method.peak_memory(8, 1),
    }
    assert "| 8 | tf_naive |" in report.text(facts)
    assert math.isclose(report.draw(facts).axes[0].get_xticks()[0], 0)


def test_contestants_fit_into_memory_with_ours_in_each_group():
    groups = module("training_step").grouped(["tfxmr", "a", "b", "c"], 10**15)
    assert groups == [["tfxmr", "a"], ["tfxmr", "b"], ["tfxmr", "c"]]
    assert module("training_step").grouped(["tfxmr", "a", "b"], 1) == [["tfxmr", "a", "b"]]


def test_unchanged(tmp_path, capsys):
    """Two files of the same code agree; guards against a comparison that sees no weight, metric or lost case."""
    unchanged = module("unchanged")
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    only = ["--only=cca_of_three,sdml_of_three"]
    assert unchanged.main([f"--out={before}", *only]) == 0
    assert unchanged.main([f"--out={after}", f"--compare={before}", *only]) == 0
    assert capsys.readouterr().out.endswith("nothing differs\n")
    found = json.loads(before.read_text())
    assert ".: networks/encoder_text/0" in found["sdml_of_three"]["weights"]
    assert ".: image_weights_" in found["cca_of_three"]["weights"]
    for change in (
        lambda case: case["weights"].update({".: image_weights_": "other"}),
        lambda case: case["metrics"][0].update(value=0.5),
        lambda case: case["data"].pop("image"),
        lambda case: case.clear(),
    ):
        changed = json.loads(before.read_text())
        change(changed["cca_of_three"])
        assert unchanged.compare(changed, found)
    assert unchanged.compare(found | {"lost": {}}, found) == ["/lost: {} -> nothing"]


def test_builders_come_from_the_catalogue():
    """Guards against a data set that is added and never built by the benchmark, and a config that its builder has not."""
    builders = module("builders")
    datasets = {name: builders.dataset_of(name) for name in builders.names()}
    assert {d.package for d in datasets.values()} == {d.package for d in catalogue.datasets().values() if d.package}
    assert (builders.CONFIGS.keys() | builders.FRACTIONS.keys()) <= datasets.keys()
    for name, configs in builders.CONFIGS.items():
        assert set(configs or ()) <= set(datasets[name].configs), name
    assert builders.official_files(datasets["scenes"]) is None and builders.official_files(datasets["mscoco"]).SIZES["2017"]
