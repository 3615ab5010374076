"""Flags of `tfxmr plot`."""
import pathlib

from absl import flags

from tfxmr.core.errors import InputError
from tfxmr.evaluation import curves
from tfxmr.extraction.options import PLACES

KINDS = {  # runs at most
    "convergence": 1, "tsne": 1, "precision_recall": None, "examples": 1, "attention": 1, "sensitivity": None,
    "curve": None, "captions": 1, "generated": 1,
}


def define(values):
    """Defines the flags of all figures in a FlagValues."""
    def text(name, help_text):
        flags.DEFINE_string(name, None, help_text, flag_values=values)

    def several(name, help_text):
        flags.DEFINE_list(name, [], help_text, flag_values=values)

    flags.DEFINE_enum(
        "figure", None, tuple(KINDS),
        "convergence: losses and mAP against steps; tsne: maps of the test items before and after; precision_recall: "
        "curves of one run or several; examples: queries with their 5 best items; attention: the regions and words "
        "that carried a match, of a method that has such; sensitivity: mAP against the settings that vary between "
        "several runs; curve: mAP of methods against one flag of theirs, --x; captions, generated: test items with the "
        "sentence made from the image, or the image made from the sentence (or the training image nearest to it), of a "
        "method that generates these.", flag_values=values,
    )
    flags.DEFINE_multi_string(
        "run_dir", [], "Folder of the run; of several, with commas between them or the flag again and again, for "
        "precision_recall, sensitivity and curve, which takes folders of runs, too.", flag_values=values,
    )
    text("x", "curve: the flag in which the runs differ, such as unseen_share or labels_per_class.")
    text("out", "Folder of the files, a PNG and an SVG each; default: figures/ in the (first) run's folder.")
    text("table", "sensitivity: a CSV file instead of runs, a line a run, columns mAP... and one a setting.")
    several("labels", "precision_recall: names of the runs in the legend; default: their folders' names. curve: names "
            "of the lines, in the order of their first runs.")
    flags.DEFINE_enum("curve", "11-point", tuple(curves.RECALLS),
                      "precision_recall: interpolated at recall 0, .1, ..., 1; or as it is, at each hundredth.",
                      flag_values=values)
    flags.DEFINE_integer("items", 1000, "tsne: items of each modality at most; more are thinned out at random.",
                         lower_bound=1, flag_values=values)
    flags.DEFINE_float("perplexity", 30.0, "tsne: about the number of neighbours that matter, below that of items.",
                       lower_bound=0.0, flag_values=values)
    flags.DEFINE_integer(
        "queries", 3, "examples, attention: queries of each task, drawn at random, of different classes first; "
        "captions, generated: test items.",
        lower_bound=1, flag_values=values,
    )
    several(
        "query_ids", "examples, attention, captions, generated: ids of the queries instead, or rows of the test split "
        "(from 0) without ids.",
    )
    flags.DEFINE_integer(
        "seed", 0, "tsne, examples, attention, captions, generated: seed of what is drawn at random; not the run's.",
        lower_bound=0, flag_values=values,
    )
    for name in PLACES:
        text(name, f"Where the run's --{name} is now; default: where the run had it.")


def folders(texts):
    """The folders that --run_dir names.

    Args:
      texts: list of str, each a folder, or several with commas between them. A comma belongs to a folder's name where
        a folder of that name exists.

    Returns:
      list of str.
    """
    found = []
    for text in texts:
        parts = text.split(",")
        while parts:
            lengths = range(len(parts), 1, -1)
            length = next((n for n in lengths if pathlib.Path(",".join(parts[:n])).is_dir()), 1)
            found.append(",".join(parts[:length]))
            parts = parts[length:]
    return [folder for folder in found if folder]


def check(values):
    """Raises InputError if --figure is missing, or --run_dir and --table do not fit it."""
    if not values.figure:
        raise InputError(f"--figure is missing; there are {', '.join(KINDS)}")
    if values.table and values.figure != "sensitivity":
        raise InputError(f"--table={values.table} goes with --figure=sensitivity, not with {values.figure}")
    if bool(values.x) != (values.figure == "curve"):
        raise InputError(
            f"--x={values.x} goes with --figure=curve, not with {values.figure}" if values.x
            else "--x is missing: name the flag in which the runs differ, such as --x=unseen_share"
        )
    if values.table and values.run_dir:
        raise InputError(f"--table={values.table}: takes the place of runs; leave out --run_dir or --table")
    if not values.table and not values.run_dir:
        raise InputError("--run_dir=RUN is missing: name the folder of the run to draw")
    if len(values.run_dir) > (KINDS[values.figure] or len(values.run_dir)):
        raise InputError(f"--run_dir={','.join(values.run_dir)}: --figure={values.figure} shows one run; name one")
