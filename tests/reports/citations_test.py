"""Tests of BibTeX: of every method, data set and feature, of runs, and of CITATION.cff beside them."""
import json
import pathlib
import re

import bibtexparser
import pytest

import tfxmr
from tfxmr import extraction
from tfxmr.__main__ import main
from tfxmr.core import registry
from tfxmr.features import citations as features
from tfxmr.reports import citations
from tfxmr.runs.run_folder import RunFolder

ROOT = pathlib.Path(__file__).parents[2]
REQUIRED = {"article": {"author", "title", "journal", "year"}, "inproceedings": {"author", "title", "booktitle", "year"},
            "misc": {"author", "title"}}
OWN = [name for name, dataset in extraction.datasets().items() if not dataset.package]
RESULTS = {
    "model": "mhtn", "dataset": "wikipedia", "seed": 0, "steps": 1, "seconds": 1.0, "protocol": {"name": "standard"},
    "metrics": [], "flags": {},
    "features": {
        "image": {"name": "vgg19_fc7", "sha256": "0"}, "text": {"name": "tfidf1000"}, "split": {"name": "random"},
        "class_embeddings": {"source": "/home/me/GoogleNews-vectors-negative300.bin"},
        "source": {"dataset": "xmedia", "image": {"name": "vgg19_fc7"}, "text": {"name": "sentence_cnn"}},
    },
}


def parsed(text):
    """Key -> entry, by a parser of BibTeX that is not this project's."""
    library = bibtexparser.parse_string(text)
    assert not library.failed_blocks, library.failed_blocks
    for entry in library.entries:
        assert REQUIRED[entry.entry_type] <= entry.fields_dict.keys(), entry.key
    return {entry.key: entry for entry in library.entries}


def plain(entry, field):
    """The words of a field, without braces and breaks of lines."""
    return " ".join(re.sub(r"\{\\'a\}", "á", entry.fields_dict[field].value).replace("{", "").replace("}", "").split())


def methods():
    """Name of each method -> its papers."""
    return {name: parsed(citations.of_method(name).bibtex) for name in registry.names()}


def test_every_method_has_its_papers():
    """Guards against a method that `tfxmr cite` leaves out, or BibTeX that is not of the paper that it names."""
    for name, papers in methods().items():
        paper = registry.outline(name).paper
        assert papers and len(papers) == len(citations.entries(citations.of_method(name).bibtex)), name
        assert set(re.findall(r"\b\d{4}\b", paper)) <= {entry["year"] for entry in papers.values()}, name
        authors = " ".join(plain(entry, "author") for entry in papers.values())
        first = [part.split()[0].rstrip(",") for part in paper.split(";") if ":" not in part]
        assert all(surname in authors.split() for surname in first), name


def test_every_data_set_and_feature_can_be_parsed():
    """Guards against entries that BibTeX refuses."""
    for name in extraction.names():
        assert bool(parsed(citations.of_dataset(name).bibtex)) == (name not in OWN), name
    for pattern, text in features.PAPERS.items():
        assert len(parsed(text)) == 1 and re.compile(pattern)
    for name in ("vgg16_pool5", "VGG19", "ResNet50", "descriptor regions", "sift128", "lda10", "doc2vec", "word2vec", "sentence_cnn"):
        assert parsed(features.bibtex(name)), name
    assert not features.bibtex("tfidf3000") and not features.bibtex("MobileNetV3Small")


def test_one_key_is_one_paper():
    """Guards against two papers under one key, of which only the first would be cited, or one of two different titles."""
    found = {}
    texts = [citations.of_method(name).bibtex for name in registry.names()]
    texts += [citations.of_dataset(name).bibtex for name in extraction.names()] + [*features.PAPERS.values(), citations.SOFTWARE]
    for text in texts:
        for key, entry in parsed(text).items():
            fields = {name: plain(entry, name).lower() for name in entry.fields_dict}
            assert found.setdefault(key, fields) == fields, key
    titles = [fields["title"] for fields in found.values()]
    assert len(set(titles)) == len(titles)


def test_entries_as_others_write_them():
    """Guards against a plugin's BibTeX that is dropped because its braces stand elsewhere."""
    text = "x @article{a,title={A {B} c@d.e},year=2000} % @b\n@misc{ b ,\n title = {{D}}}\n@article{a,title={again}}\n@misc{cut, x={"
    assert citations.entries(text) == {"a": "@article{a,title={A {B} c@d.e},year=2000}", "b": "@misc{ b ,\n title = {{D}}}"}


@pytest.fixture
def run_dir(tmp_path):
    """A folder of two finished runs, which differ in their seed."""
    for seed in (0, 1):
        folder = tmp_path / f"seed_{seed}"
        folder.mkdir()
        (folder / "flags.cfg").write_text("--model=mhtn\n")
        RunFolder(folder).write_results(RESULTS | {"seed": seed})
    return tmp_path


def test_a_run(run_dir, capsys):
    """Guards against what a run used and is not cited: second domains, features, word vectors; and against entries twice."""
    for folder in (run_dir, run_dir / "seed_1"):
        assert main(["cite", f"--run_dir={folder}"]) == 0
        out = capsys.readouterr().out
        assert list(parsed(out)) == [
            "huang2020mhtn", "huang2017cross", "rasiwasia2010new", "simonyan2015very", "mikolov2013efficient",
            "zhai2014learning", "peng2016semi", "kim2014convolutional", "tfxmr",
        ]
        assert "% the features of text: tfidf1000 (no BibTeX is known of it)\n" in out
        assert "% the features of source image: vgg19_fc7 (see simonyan2015very)" in out
    assert parsed(out)["tfxmr"]["note"] == f"Version {tfxmr.__version__}"


def test_methods_and_data_sets_by_name(capsys, monkeypatch, tmp_path):
    """Guards against two entries of the paper that brought both, and against methods outside the package that end in an error."""
    assert main(["cite", "--model=sm", "--dataset=wikipedia"]) == 0
    out = capsys.readouterr().out
    assert list(parsed(out)) == ["rasiwasia2010new", "tfxmr"] and "(see rasiwasia2010new)" in out
    (tmp_path / "mine_to_cite.py").write_text(
        "from tfxmr.baselines.cca import CCA\nclass Mine(CCA):\n    paper = 'x@y, 2026'\n    citation = ''\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["cite", "--model=mine_to_cite:Mine"]) == 0
    assert list(parsed(capsys.readouterr().out)) == ["tfxmr"]
    assert main(["cite"]) == 0 and list(parsed(capsys.readouterr().out)) == ["tfxmr"]


@pytest.mark.parametrize("flag, words", [
    ("--model=nn", "--model=nn: no such method"), ("--dataset=wiki", "--dataset=wiki: no such dataset"),
    ("--run_dir=none", "none"),
])
def test_what_is_not_there(flag, words, capsys):
    """Guards against a typing error that cites nothing and says nothing."""
    assert main(["cite", flag]) == 2
    assert words in capsys.readouterr().err


def test_citation_cff_has_the_papers_of_the_methods():
    """Guards against a CITATION.cff that says another title, year or doi. A new method need not be in it at once."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    head, _, references = text.partition("\nreferences:")
    stated = {}
    for block in references.split("\n  - type: ")[1:]:
        fields = dict(re.findall(r"^    ([\w-]+): (.+)$", block, re.M))
        stated[json.loads(fields["title"])] = (fields["year"], json.loads(fields.get("doi", '""')))
    papers = {key: entry for found in methods().values() for key, entry in found.items()}
    doi = {key: entry.fields_dict["doi"].value if "doi" in entry.fields_dict else "" for key, entry in papers.items()}
    known = {plain(entry, "title"): (entry["year"], doi[key]) for key, entry in papers.items()}
    assert len(stated) > 20 and stated.items() <= known.items()
    software = parsed(citations.SOFTWARE)["tfxmr"]
    assert f'\ntitle: "{plain(software, "title")}"\n' in head and f"\ndate-released: {software['year']}-" in head
