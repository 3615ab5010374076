"""Tests of the comparison of runs."""
import pytest

from tfxmr.evaluation import comparison
from tfxmr.evaluation.tables import Marked, to_csv, to_latex, to_markdown

HARMLESS = ("run_dir",)


def run(model, seed, values, dataset="wikipedia", **changes):
    protocol = {"name": "standard", "cut": None, "unseen": []} | changes.pop("protocol", {})
    metrics = [
        {"task": task, "classes": "all", "metric": "mAP", "value": value, "chance": 0.1, "num_queries": 9,
         "gallery_size": 9} for task, value in zip(("image->text", "text->image"), values, strict=True)
    ]
    flags = {"seed": f"--seed={seed}", "run_dir": f"--run_dir={model}_{seed}"} | {n: f"--{n}={v}" for n, v in changes.items()}
    return {"model": model, "dataset": dataset, "seed": seed, "protocol": protocol, "metrics": metrics, "flags": flags}


def test_means_and_deviations():
    """Guards against a deviation of the tasks in place of the runs': .2, .4 and .5, .5 average to .35 and .45."""
    rows, notes = comparison.summary(
        [run("a", 0, (0.2, 0.5)), run("a", 1, (0.4, 0.5)), run("b", 0, (0.1, 0.3))], HARMLESS
    )
    assert notes == "" and [(r["method"], r["dataset"], r["runs"]) for r in rows] == [("a", "wikipedia", 2), ("b", "wikipedia", 1)]
    assert rows[0]["mAP image->text all"] == (pytest.approx(0.3), "", pytest.approx(0.1 * 2**0.5))
    assert rows[0]["mAP text->image all"] == (0.5, "", 0)
    assert rows[0]["mAP average all"] == (pytest.approx(0.4), "", pytest.approx(0.05 * 2**0.5))
    assert rows[1]["mAP average all"] == (pytest.approx(0.2), "", None)


def test_labels_name_what_differs():
    """Guards against two variants in one mean, and labels that repeat what all have in common."""
    found = comparison.repeats([
        run("a", 0, (0.2, 0.5), variant="full", steps=5), run("a", 1, (0.2, 0.5), variant="full", steps=5),
        run("a", 0, (0.2, 0.5), variant="single", steps=5), run("b", 0, (0.2, 0.5), steps=7),
        run("a", 0, (0.2, 0.5), "pascal", variant="full", steps=9),
    ], HARMLESS)
    assert {label: len(runs) for label, runs in found.items()} == {
        ("a variant=full", "wikipedia"): 2, ("a variant=single", "wikipedia"): 1, ("b", "wikipedia"): 1, ("a", "pascal"): 1,
    }
    with pytest.raises(ValueError, match="a on wikipedia, seed 0, is there twice"):
        comparison.repeats([run("a", 0, (1, 1)), run("a", 0, (1, 1))], HARMLESS)


def test_protocols_are_compared_seed_by_seed():
    """Guards against marks on every repeat of a random class half, and against none on another protocol's figures."""
    halves = {0: {"unseen": ["art"]}, 1: {"unseen": ["sport"]}}
    rows, notes = comparison.summary(
        [run(m, s, (0.2, 0.5), protocol=halves[s]) for m in ("a", "b") for s in (0, 1)]
        + [run("c", s, (0.6, 0.5), protocol=halves[s] | {"cut": 50}) for s in (0, 1)],
        HARMLESS,
    )
    assert [r["mAP average all"].mark for r in rows] == ["", "", "a"]
    assert notes == "a  cut 50 instead of none"
    best = {"mAP image->text all": max}
    text = to_markdown(rows, best=best, footnotes=notes)
    assert "| **0.200** ± 0.000 |" in text and "0.600 ± 0.000<sup>a</sup>" in text
    assert r"0.600 $\pm$ 0.000\textsuperscript{a}" in to_latex(rows, best=best, footnotes=notes)
    assert to_csv(rows, ["mAP image->text all"]).splitlines() == [
        "mAP image->text all,mAP image->text all deviation,mAP image->text all mark", "0.2,0.0,", "0.2,0.0,", "0.6,0.0,a"
    ]


def test_exact_tests():
    """All ten differences have one sign: p = 2 / 1024; three columns and one rival make three tests."""
    results = [run("a", s, (0.3 + s / 100, 0.4 + s / 90)) for s in range(10)]
    results += [run("b", s, (0.2, 0.3)) for s in range(10)] + [run("c", 77, (0.1, 0.1)), run("d", 0, (0.1, 0.1), "pascal")]
    rows, threshold = comparison.tests(results, HARMLESS)
    assert [(r["method"], r["pairs"]) for r in rows] == [("a - b", 10)]
    assert {v for c, v in rows[0].items() if c.startswith("p ")} == {2 / 1024}
    assert threshold == "significant at .05 after Bonferroni, 3 tests: p <= 0.0167"
    assert comparison.tests(results[:10], HARMLESS) == ([], "")


def test_marked_without_a_mark_can_win():
    """Guards against a deviation that bars a value from being the best."""
    text = to_markdown([{"x": Marked(0.2, "", 0.1)}, {"x": Marked(0.3, "a", 0.1)}], best={"x": max})
    assert "**0.200** ± 0.100" in text and "**0.300**" not in text
