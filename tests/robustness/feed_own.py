"""Parsers of what this program writes, and of what people write for it by hand; each with good files to be damaged."""
import contextlib
import functools
import json
import pathlib

import numpy as np
from absl import flags as absl_flags
from feed import LABELS, RNG, Parser, matrices, write
from feed_matrices import own_matrices, some_word_vectors
from feed_media import media_folder

from tfxmr.core.errors import InputError


def _doc2vec(folder):
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    from tfxmr.features.text import doc2vec

    texts = [TaggedDocument(words.split(), [n]) for n, words in enumerate(("a b c a", "a b", "b c d"))]
    doc2vec.save(folder / "doc2vec.npz", Doc2Vec(texts, vector_size=4, min_count=1, workers=1, epochs=1, dm=0, **doc2vec.TRAINING))


def _load_doc2vec(folder, name):
    from tfxmr.features.text import doc2vec

    doc2vec.load(folder / name)


def _states(folder):
    from tfxmr.data.files import states
    from tfxmr.features.image.descriptor import Descriptor
    from tfxmr.features.text import by_name
    from tfxmr.features.text.base import TextOptions

    texts = ["a cat runs", "a dog runs", "the cat and the dog sleep"]
    states.write(folder, "descriptor", *Descriptor().state())
    for name in ("bow5", "tfidf5", "sequence", "words", "word2vec"):
        feature = by_name.make(name, TextOptions(min_documents=1, min_words=1)).fit(texts)
        states.write(folder, name, *feature.state())


def _load_state(folder, name):
    from tfxmr.data.files import states
    from tfxmr.features import restored

    feature = restored(*states.Stored(folder, pathlib.Path(name).stem, "make it again").state())
    feature.transform([np.zeros((8, 8, 3), np.uint8)] if feature.name == "descriptor" else ["the cat runs"])


# What people write by hand.


def _split_file(folder):
    write(folder, "order.txt", "\n".join(map(str, RNG.permutation(12))) + "\n")


def _apply_split(folder, name):
    from tfxmr.data.multimodal import MultiModalData, Split

    data = MultiModalData("npz", {"train": Split.of_pairs(matrices(), LABELS), "test": Split.of_pairs(matrices(), LABELS)}, [])
    from tfxmr.data.splits import SplitRule

    SplitRule("pku462", file=str(folder / name)).apply(data)


def _small_split():
    from tfxmr.data import splits

    splits.PKU_TEST, splits.PKU_VALIDATION = 12, 4


def _table(folder):
    write(folder, "trials.csv", "trial,tau,mAP validation,status,message\n0001,1,0.25,finished,\n0002,2,0.5,finished,\n0003,4,,failed,no\n")
    write(folder, "runs.csv", "tau,seed,mAP image->text all,chance image->text all\n1,0,0.25,0.1\n2,0,0.5,0.1\n")


def _read_table(folder, name):
    from tfxmr.reports.tables import factors

    factors.read_table(folder / name)


def _grid(folder):
    write(folder, "grid.txt", "tau = 1, 2, 4  # a comment\nspecific_units = 256 128, 512\nlearning_rate=1e-3;alpha=0.5\nwithout=,sd adv\n")


def _read_grid(folder, name):
    from tfxmr.models.ms2gan import MS2GAN
    from tfxmr.tuning import grid

    grid.read_file(folder / name, MS2GAN.Settings)


def _flagfile(folder):
    root = pathlib.Path(__file__).parents[2] / "flags"
    for name in ("scenes/danzcr", "wikipedia/ms2gan", "xmedia/cca"):
        write(folder, f"{name.replace('/', '_')}.cfg", (root / f"{name}.cfg").read_bytes())


def _parse_flagfile(folder, name):
    from tfxmr_flags import data, declared, parsing, training

    from tfxmr.runs.options import RunOptions

    values, method = parsing.parse_run("train", [f"--flagfile={folder / name}"])
    declared.make(values, method.Settings)
    declared.make(values, RunOptions)
    training.repeats(values)
    data.split_rule(values)


# Files of our own, by the commands that read them.


def command(folder, *arguments):
    """Runs a command of tfxmr in a folder; its refusal has the status 2."""
    from tfxmr.__main__ import main

    with contextlib.chdir(folder):
        if main(list(arguments)) == 2:
            raise InputError("refused")


RUN = ("--model=cca", "--dataset=npz", "--data_dir=data", "--protocol=standard", "--run_dir=run")
SEARCH = ("tune", *RUN, "--validation_fraction=0.25", "--grid=components=1,2")
EXTRACT = (
    "extract", "--dataset=folder", "--data_dir=media", "--image_features=descriptor", "--text_features=tfidf5", "--min_documents=1",
    "--word_vectors=v.txt", "--out=features",
)


def _run(folder):
    (folder / "data").mkdir()
    own_matrices(folder / "data")
    command(folder, "train", *RUN)


def _read_run(folder, name):
    """The three commands that read a run folder, one after the other; each may refuse it."""
    refused = []
    for call in (("evaluate", "--run_dir=run"), ("train", *RUN), ("compare", "run")):
        try:
            command(folder, *call)
        except InputError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _search(folder):
    (folder / "data").mkdir()
    own_matrices(folder / "data")
    command(folder, *SEARCH)


def _features(folder):
    (folder / "media").mkdir()
    media_folder(folder / "media")
    for path in (folder / "media/train").rglob("*.*"):
        write(folder / "media/test", str(path.relative_to(folder / "media/train")), path.read_bytes())
    some_word_vectors(folder)
    command(folder, *EXTRACT)


class _Stopped(Exception):
    """In the place of a kill before the last file is written."""


def _half_features(folder):
    from tfxmr.extraction.store import FeatureStore

    def stop(*arguments, **more):
        raise _Stopped

    finish, FeatureStore.finish = FeatureStore.finish, stop
    with contextlib.suppress(_Stopped):
        _features(folder)
    FeatureStore.finish = finish


def _load_features(folder, name):
    from tfxmr import extraction, features

    data = extraction.load("features", features=folder / "features")
    for recipe in data.recipes.values():
        features.restored(*recipe.state())


@functools.cache
def _network():
    """A neural method, made once a process."""
    from tfxmr.data.multimodal import MultiModalData, Split
    from tfxmr.models.deep_sm import DeepSM

    data = MultiModalData("made up", {"train": Split.of_pairs(matrices(), LABELS)}, [])
    settings = DeepSM.Settings(batch_size=4, steps=2)
    method = DeepSM(data, settings)
    method.compile(steps_per_epoch=3)
    return method


def _checkpoint(folder):
    from tfxmr.runs.checkpoints import Checkpoints

    (folder / "training").mkdir()
    Checkpoints(folder, _network()).save()


def _restore(folder, name):
    from tfxmr.runs.checkpoints import Checkpoints

    if not Checkpoints(folder, _network()).restore():
        raise InputError("nothing there")


# Functions of arrays.


def _documents():
    """Calls of the functions of tfxmr.evaluation with arrays that are right, and odd ones."""
    from hypothesis import strategies as st

    entries = st.sampled_from([0, 1, 0.0, 1.0, 2, -1, 0.5, "nan", "inf", 1e300, 3])
    shapes = st.lists(st.integers(0, 4), max_size=3)
    array = st.fixed_dictionaries({
        "shape": st.one_of(st.just([4]), st.just([4, 2]), st.just([4, 4]), st.just([4, 1]), shapes),
        "dtype": st.sampled_from(["f8", "f8", "i8", "i8", "f4", "?", "c16", "U2", "O", "u1"]), "values": st.lists(entries, min_size=1, max_size=6),
    })
    scalar = st.one_of(st.none(), st.integers(-1, 5), st.floats(), st.sampled_from(
        ["cosine", "dot", "l2", "group", "index", "zero", "drop", "relevant", "hits", "11-point", "scope", "x", "P@2", "nDCG"]))
    return st.fixed_dictionaries({
        "function": st.sampled_from(_functions()), "arguments": st.lists(st.one_of(array, array, array, scalar), min_size=1, max_size=6),
    })


def _functions():
    from tfxmr import evaluation

    return sorted(set(evaluation.__all__) - {"evaluate"})


def _call(folder):
    ints = {"shape": [4], "dtype": "i8", "values": [0, 1]}
    write(folder, "call.json", json.dumps({"function": "chance_level", "arguments": [ints, ints]}))


def _call_function(folder, name):
    from tfxmr import evaluation

    try:
        call = json.loads((folder / name).read_bytes())
        function = getattr(evaluation, {f: f for f in _functions()}[call["function"]])
        arguments = [_array(a) if isinstance(a, dict) else a for a in call["arguments"]]
    except Exception as error:
        raise InputError("no call") from error
    if any(isinstance(a, (list, dict)) for a in arguments):
        raise InputError("no call")
    try:
        function(*arguments)
    except TypeError as error:  # too few or too many arguments: a mistake of the caller's program, not of its data
        if f"{function.__name__}() " not in str(error):
            raise


def _array(what):
    return np.resize(np.array([float(v) if isinstance(v, str) else v for v in what["values"]], object), what["shape"]).astype(what["dtype"])


PARSERS = (
    Parser("doc2vec", _doc2vec, _load_doc2vec, 3),
    Parser("feature states", _states, _load_state, 3),
    Parser("--split_file", _split_file, _apply_split, 2, setup=_small_split),
    Parser("--table", _table, _read_table, 2),
    Parser("evaluation", _call, _call_function, 6, refusals=(ValueError,), documents=_documents),
    Parser("--grid_file", _grid, _read_grid, 3, heavy=True),
    Parser("--flagfile", _flagfile, _parse_flagfile, 3, refusals=(InputError, absl_flags.Error), heavy=True),
    Parser("run folder", _run, _read_run, 0.6, heavy=True, rewrites=True,
           files=("run/results.json", "run/flags.cfg", "run/features_manifest.json")),
    Parser("arrays.npz", _run, _read_run, 0.2, heavy=True, rewrites=True, files=("run/checkpoints/arrays.npz",)),
    Parser("trial.json", _search, lambda folder, name: command(folder, *SEARCH), 0.6, heavy=True, rewrites=True,
           files=("run/trials/0001/trial.json", "run/trials/0002/trial.json")),
    Parser("feature folder", _features, _load_features, 4, heavy=True,
           files=("features/manifest.json", "features/class_embeddings.npy", "features/classes.txt", "features/train/ids.json",
                  "features/train/image.npy", "features/train/text.npy", "features/train/label.npy",
                  "features/preprocessing/image.json", "features/preprocessing/text.json", "features/preprocessing/text.npz")),
    Parser("progress.json", _half_features, lambda folder, name: command(folder, *EXTRACT), 0.6, heavy=True, rewrites=True,
           files=("features/progress.json",)),
    Parser("checkpoint", _checkpoint, _restore, 0.6, heavy=True, rewrites=True),
)
