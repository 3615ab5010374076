"""Tests of the comparison of runs."""
import dataclasses

import pytest

from tfxmr.evaluation.protocol import Protocol
from tfxmr.reports.tables import comparison, differences
from tfxmr.reports.tables.formats import Marked, to_csv, to_latex, to_markdown

IGNORED = ("run_dir",)


def run(model, seed, values, dataset="wikipedia", **changes):
    protocol = {"name": "standard", "cut": None, "unseen": []} | changes.pop("protocol", {})
    metrics = [
        {"task": task, "classes": "all", "metric": "mAP", "value": value, "chance": 0.1, "num_queries": 9,
         "gallery_size": 9} for task, value in zip(("image->text", "text->image"), values, strict=True)
    ]
    told = {n: changes.pop(n) for n in ("features", "data", "training_items", "stopped_by") if n in changes}
    flags = {"seed": f"--seed={seed}", "run_dir": f"--run_dir={model}_{seed}", "similarity": ""}
    flags |= {n: f"--{n}={v}" for n, v in changes.items()}
    result = {"model": model, "dataset": dataset, "seed": seed, "protocol": protocol, "metrics": metrics, "flags": flags}
    return result | told


def features(image="a", text="b", items=None, parts="s", dim=3, whole=True, **others):
    """What a run tells of its features, by digest; `whole` is what newer versions add."""
    told = {"features": {m: {"name": m, "dim": dim, "sha256": d * 8} for m, d in (("image", image), ("text", text))} | others}
    if whole:
        told["data"] = {
            m: {"rows_sha256": d * 8, "split_ids_sha256": parts} | ({"items_sha256": items * 8} if items else {})
            for m, d in (("image", image), ("text", text))
        }
        told["training_items"] = {"image": 60, "text": 60}
    return told


def marks(*results):
    rows, notes = comparison.summary(list(results), IGNORED)
    return [row["mAP image->text all"].mark for row in rows], notes


def test_means_and_deviations():
    """Guards against a deviation of the tasks in place of the runs': .2, .4 and .5, .5 average to .35 and .45."""
    rows, notes = comparison.summary(
        [run("a", 0, (0.2, 0.5)), run("a", 1, (0.4, 0.5)), run("b", 0, (0.1, 0.3))], IGNORED
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
    ], IGNORED)
    assert {label: len(runs) for label, runs in found.items()} == {
        ("a variant=full", "wikipedia"): 2, ("a variant=single", "wikipedia"): 1, ("b", "wikipedia"): 1, ("a", "pascal"): 1,
    }
    with pytest.raises(ValueError, match="a on wikipedia, seed 0, is there twice"):
        comparison.repeats([run("a", 0, (1, 1)), run("a", 0, (1, 1))], IGNORED)


def test_vocabularies_of_drawn_splits_are_repeats():
    """Guards against a row a seed, since each random split has a vocabulary of its own; and against one row for
    vocabularies of these and of all training items, or of texts and matrices of other methods."""
    def drawn(seed, text, anew=("text",)):
        split = {"name": "random", "seed": seed, **({"fitted_anew": list(anew)} if anew else {})}
        return run("a", seed, (0.2, 0.5), **features(text=text, dim=3 + seed, split=split))

    assert [len(runs) for runs in comparison.repeats([drawn(0, "b"), drawn(1, "c")], IGNORED).values()] == [2]
    assert len(comparison.repeats([drawn(0, "b"), drawn(1, "b", anew=())], IGNORED)) == 2
    assert len(comparison.repeats([drawn(0, "b", anew=()), drawn(1, "c", anew=())], IGNORED)) == 2
    assert "text features" not in differences.of_data([drawn(0, "b")], [drawn(1, "c")])
    told = differences.of_data([drawn(0, "b")], [drawn(0, "c", anew=())])
    assert "text features text (fitted on the training items of the split) instead of text (3-d, cccccccc)" in told


def test_draws_of_few_labels_are_repeats():
    """Guards against a configuration a draw; and against a test without pairs, since older runs lack the flag."""
    few = {"protocol": {"labels_per_class": 5, "labels_seed": 0}}
    drawn = [run("a", s, (0.2, 0.5), labels_per_class=5, labels_seed=s, **few) for s in (0, 1)]
    assert [len(runs) for runs in comparison.repeats(drawn, IGNORED).values()] == [2]
    older, newer = ([run(m, s, v, **flag) for s in range(2)] for m, v, flag in (
        ("a", (0.2, 0.5), {}), ("b", (0.1, 0.3), {"labels_seed": 0})))
    assert {seeds for runs in comparison.repeats(older + newer, IGNORED).values() for seeds in runs} == {
        ("", "", 0), ("", "", 1),
    }


def test_protocols_are_compared_seed_by_seed():
    """Guards against marks on every repeat of a random class half, and against none on another protocol's figures."""
    halves = {0: {"unseen": ["art"]}, 1: {"unseen": ["sport"]}}
    rows, notes = comparison.summary(
        [run(m, s, (0.2, 0.5), protocol=halves[s]) for m in ("a", "b") for s in (0, 1)]
        + [run("c", s, (0.6, 0.5), protocol=halves[s] | {"cut": 50}) for s in (0, 1)],
        IGNORED,
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
    """All ten differences have one sign: p = 2 / 1024; one rival makes one test in each of three columns."""
    results = [run("a", s, (0.3 + s / 100, 0.4 + s / 90)) for s in range(10)]
    results += [run("b", s, (0.2, 0.3)) for s in range(10)] + [run("c", 77, (0.1, 0.1)), run("d", 0, (0.1, 0.1), "pascal")]
    rows, threshold = comparison.tests(results, IGNORED)
    assert [(r["method"], r["pairs"]) for r in rows] == [("a - b", 10)]
    assert {v for c, v in rows[0].items() if c.startswith("p ")} == {2 / 1024}
    assert threshold == "significant at .05 after Bonferroni, 1 test in a column: p <= 0.0500"
    assert comparison.tests(results[:10], IGNORED) == ([], "")


def test_marked_without_a_mark_can_win():
    """Guards against a deviation that bars a value from being the best."""
    text = to_markdown([{"x": Marked(0.2, "", 0.1)}, {"x": Marked(0.3, "a", 0.1)}], best={"x": max})
    assert "**0.200** ± 0.100" in text and "**0.300**" not in text


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("first", "changes", "note"),
    [
        ({}, {"protocol": {"normalisation": "query_zscore"}}, "normalisation query_zscore instead of not stated"),
        ({}, {"protocol": {"unseen": ["cat"]}}, "unseen cat instead of none"),
        ({}, {"protocol": {"labels_per_class": 5, "labels_seed": 0}}, "labels_per_class 5 instead of 0"),
        ({}, {"protocol": {"unseen": ["cat"], "class_split": "random, seed 1"}},
         "class_split random, seed 1 instead of not stated; unseen cat instead of none"),
        (features(), features(image="c"), "image features image (3-d, cccccccc) instead of image (3-d, aaaaaaaa)"),
        (features(), features(dim=4), "image features image (4-d, aaaaaaaa) instead of image (3-d, aaaaaaaa)"),
        (features(), features(dim=[49, 39]), "image features image (49x39-d, aaaaaaaa) instead of image (3-d, aaaaaaaa)"),
        (features(), features() | {"training_items": {"image": 54, "text": 54}}, "training items 54 instead of 60"),
        (features(), features() | {"training_items": {"image": 54, "text": 60}},
         "training items image 54, text 60 instead of 60"),
        (features(), features(parts="t"), "split by the data ("),
        (features(), features(parts="t", split={"name": "random", "seed": 1}), "split by seed 1 ("),
        (features(class_embeddings={"dim": 9, "sha256": "1" * 8}), features(class_embeddings={"dim": 9, "sha256": "2" * 8}),
         "class vectors word vectors (9-d, 22222222) instead of word vectors (9-d, 11111111)"),
        (features(whole=False), features(image="c", whole=False), "image features image (3-d, cccccccc) instead of"),
        (features(), features() | {"data": {}, "training_items": {}}, "training items not stated instead of 60"),
        (features(items="d"), features(items="d") | {"data": {}}, "items not stated instead of"),
    ],
)
def test_what_differs_is_marked_whatever_the_seeds(seed, first, changes, note):
    """Guards against marks that are lost as soon as the seeds differ, and against features, splits and training items
    that differ without a word: SM under `standard`, seed 0, beside DSCMR under `cm_gan`, seed 1, had no mark."""
    found, notes = marks(run("sm", 0, (0.2, 0.5), **first), run("dscmr", seed, (0.3, 0.5), **first | changes))
    assert found == ["", "a"] and notes.startswith(f"a  {note}"), notes
    if "items not" not in note:
        assert len(notes.splitlines()) == 1 and notes.count(" instead of ") <= 3
    assert marks(run("sm", 0, (0.2, 0.5), **first), run("dscmr", seed, (0.3, 0.5), **first)) == (["", ""], "")


def test_a_training_that_stopped_is_marked():
    """Guards against the weights of before a failure in a contest without a word."""
    found, notes = marks(run("a", 0, (0.3, 0.3)), run("b", 0, (0.4, 0.4), stopped_by="b: the loss is nan at step 7"))
    assert found == ["", "a"] and notes == "a  training stopped by numbers that are not finite instead of whole"


def test_what_a_protocol_does_by_default_needs_no_word():
    """Guards against a table of defaults beside the declared ones: an older result lacks the entry, and a newer one that
    states the default would be marked."""
    protocol = dataclasses.asdict(Protocol("standard", "test"))
    new = run("a", 0, (0.3, 0.3), protocol=protocol)
    old = run("b", 0, (0.3, 0.3), protocol={n: v for n, v in protocol.items() if n not in differences.LATER})
    assert marks(new, old) == (["", ""], "")


def test_what_older_versions_held_out():
    """Guards against a mark where an older run's flags say what a newer one's protocol does."""
    new, old = run("a", 0, (0.3, 0.3), protocol={"held_out": 0.1}), run("b", 0, (0.3, 0.3), validation_fraction=0.1)
    assert marks(new, old) == (["", ""], "")
    assert marks(new, run("b", 0, (0.3, 0.3)))[1] == "a  held_out 0.0 instead of 0.1"


def test_a_batch_that_data_cut_is_no_configuration():
    """Guards against a row for each seed, whose drawn classes leave fewer training items than the default batch."""
    cut = [run("dcca", seed, (0.2, 0.5), batch_size=size) | {"training_items": {"image": items, "text": items}}
           for seed, (size, items) in enumerate(((500, 1296), (432, 432), (144, 144)))]
    assert [len(runs) for runs in comparison.repeats(cut, IGNORED).values()] == [3]
    given = [result | {"training_items": {"image": 400}} for result in cut]
    assert len(comparison.repeats(given, IGNORED)) == 3
    assert len(comparison.repeats([result | {"model": "gone"} for result in cut], IGNORED)) == 3


def test_repeats_are_compared_as_a_whole():
    """Guards against marks on equal sets of halves, in whatever order and by whatever seeds, and none on other sets."""
    halves = [["art"], ["sport"], ["music"]]
    a = [run("a", seed, (0.2, 0.5), protocol={"unseen": halves[seed]}) for seed in range(3)]
    b = [run("b", 7 - seed, (0.2, 0.5), protocol={"unseen": halves[seed]}) for seed in range(3)]
    assert marks(*a, *b) == (["", ""], "")
    found, notes = marks(*a, *b[:2])
    assert found == ["", "a"] and notes == "a  unseen 2 values instead of 3 values (2 the same)"
    found, notes = marks(*a, b[2])
    assert found == ["", "a"] and notes == "a  unseen music instead of 3 values (1 the same)"
    # A closed-form method has one run where a network has many, by the same protocol.
    assert marks(run("cca", 0, (0.2, 0.5)), *(run("b", seed, (0.2, 0.5)) for seed in range(3))) == (["", ""], "")


def test_a_similarity_of_the_methods_own_is_named():
    """Guards against a mark that takes a method out of the contest for what it is: JRL compares posteriors by dot."""
    dot, cosine = {"protocol": {"similarity": "dot"}}, {"protocol": {"similarity": "cosine"}}
    for results in ([run("sm", 0, (0.2, 0.5), **cosine), run("jrl", 0, (0.3, 0.5), **dot)],
                    [run("jrl", 0, (0.3, 0.5), **dot), run("sm", 1, (0.2, 0.5), **cosine)]):
        rows, notes = comparison.summary(results, IGNORED)
        assert notes == "*  jrl: dot similarity, its own"
        text = to_markdown(rows, best={"mAP image->text all": max}, footnotes=notes)
        assert "| **0.300** |" in text and "\n<sup>*</sup> jrl: dot similarity, its own" in text
    asked = run("cca", 0, (0.9, 0.5), **dot)
    asked["flags"]["similarity"] = "--similarity=dot"  # is another protocol
    assert marks(run("sm", 0, (0.2, 0.5), **cosine), asked) == (["", "a"], "a  similarity dot instead of cosine")


def test_columns_are_compared_by_themselves():
    """Guards against marks on a column that nothing else stands in, and on a mean over other tasks none."""
    other = run("acmr", 0, (0.2, 0.5), protocol={"cut": 50})
    for m in other["metrics"]:
        m["metric"] = "mAP@50"
    rows, notes = comparison.summary([run("sm", 0, (0.2, 0.5)), other], IGNORED)
    assert notes == "" and rows[1]["mAP@50 image->text all"].mark == ""
    more = run("ms2gan", 0, (0.2, 0.5))
    more["metrics"].append(more["metrics"][0] | {"task": "image->audio"})
    rows, notes = comparison.summary([run("sm", 0, (0.2, 0.5)), more], IGNORED)
    assert rows[1]["mAP image->text all"].mark == "" and rows[1]["mAP average all"].mark == "a"
    assert notes == "a  tasks image->text, text->image, image->audio instead of image->text, text->image"


def test_a_value_of_some_repeats_says_so():
    """Guards against a mean over one run in a row of two."""
    short = run("a", 1, (0.2, 0.5))
    short["metrics"] = short["metrics"][:1]
    rows, notes = comparison.summary([run("a", 0, (0.2, 0.5)), short], IGNORED)
    assert rows[0]["mAP text->image all"] == (0.5, "a", None) and "a  1 of 2 runs" in notes


def test_data_sets_of_ones_own():
    """Guards against two data sets of one's own in one group of rows, marked or not, and against an error over them:
    their names, the folders', may be equal."""
    one, two = features(items="d"), features("c", "e", items="f")
    rows, notes = comparison.summary(
        [run("jrl", 0, (0.2, 0.5), "mine", **one), run("jrl", 0, (0.3, 0.5), "mine", **two),
         run("sm", 0, (0.3, 0.5), "mine", **two), run("jrl", 0, (0.3, 0.5), "other", **two)], IGNORED,
    )
    assert [(r["method"], r["dataset"], r["runs"]) for r in rows] == [
        ("jrl", "mine (dddddddd)", 1), ("jrl", "mine (ffffffff)", 1), ("sm", "mine (ffffffff)", 1), ("jrl", "other", 1)
    ]
    assert notes == ""
    # By the same items and other features it is one data set.
    found = comparison.repeats([run("jrl", 0, (0.2, 0.5), "mine", **one),
                                run("jrl", 0, (0.3, 0.5), "mine", **features("c", "e", items="d"))], IGNORED)
    assert list(found) == [("jrl image=image:aaaaaaaa text=text:bbbbbbbb", "mine"),
                           ("jrl image=image:cccccccc text=text:eeeeeeee", "mine")]


def test_data_sets_of_older_versions():
    """Guards against one's own data of older versions in one row: they were all called npz."""
    ignored = (*IGNORED, "data_dir")
    results = [run("jrl", 0, (0.2, 0.5), "npz", data_dir=place, **features(image, whole=False))
               for place, image in (("a/news", "a"), ("b/news", "c"), ("c/cars", "d"))]
    assert [label for label in comparison.repeats(results, ignored)] == [
        ("jrl", "news (a/news)"), ("jrl", "news (b/news)"), ("jrl", "cars")
    ]


def test_comparisons_count_within_a_column():
    """Guards against a threshold that no number of pairs in use can reach: nine rivals of ten runs in three columns asked
    for p <= .05 / 27, and ten pairs cannot give less than 2 / 1024."""
    results = [run("a", s, (0.3 + s / 100, 0.4 + s / 90)) for s in range(10)]
    results += [run(f"b{i}", s, (0.2, 0.3)) for i in range(9) for s in range(10)]
    rows, notes = comparison.tests(results, IGNORED)
    assert len(rows) == 9 and notes == "significant at .05 after Bonferroni, 9 tests in a column: p <= 0.0056"
    rows, notes = comparison.tests([r for r in results if r["seed"] < 7], IGNORED)
    assert notes.splitlines() == [
        "significant at .05 after Bonferroni, 9 tests in a column: p <= 0.0056",
        "7 pairs cannot give p below 2^(1-7) = 0.0156: 9 runs of both methods are needed for 0.0056",
    ]


def test_holm():
    """Two rivals: p = 2 / 32 and, with one of five differences the other way, 4 / 32; doubled, and the larger alone."""
    a = [run("a", s, (0.3 + s / 100, 0.5)) for s in range(5)]
    b = [run("b", s, (0.2, 0.4)) for s in range(5)]
    c = [run("c", s, (0.301 if s == 0 else 0.2, 0.4)) for s in range(5)]
    rows, notes = comparison.tests([*a, *b, *c], IGNORED, "holm")
    assert [row["p mAP image->text all"] for row in rows] == [2 * 2 / 32, 4 / 32]
    assert notes.splitlines()[0] == "p adjusted by Holm, 2 tests in a column; significant at .05: p <= .05"
    with pytest.raises(ValueError, match="correction='fdr': choose one of bonferroni, holm"):
        comparison.tests(a, IGNORED, "fdr")


def test_a_test_across_protocols_is_marked():
    """Guards against a p between two protocols that looks like one between two methods."""
    results = [run("a", s, (0.3 + s / 100, 0.4)) for s in range(3)]
    results += [run("b", s, (0.2, 0.3), protocol={"ties": "index"}) for s in range(3)]
    rows, _ = comparison.tests(results, IGNORED)
    assert rows[0]["p mAP image->text all"] == (0.25, "a", None)
