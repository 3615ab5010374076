"""The options of figures, apart from them, since flags are made of them before anything is drawn."""
import dataclasses

from tfxmr.core.settings import Settings, seed_setting, setting
from tfxmr.evaluation import curves
from tfxmr.extraction.options import PLACES

KINDS = {  # runs at most
    "convergence": 1, "tsne": 1, "precision_recall": None, "examples": 1, "attention": 1, "sensitivity": None,
    "curve": None, "captions": 1, "generated": 1,
}
FORMATS = ("png", "svg", "pdf")


@dataclasses.dataclass(frozen=True)
class FigureOptions(Settings):
    """Which figure is drawn, of what and how."""

    figure: str | None = setting(
        None,
        "convergence: losses and mAP against steps; tsne: maps of the test items before and after; precision_recall: "
        "curves of one run or several; examples: queries with their 5 best items; attention: the regions and words "
        "that carried a match, of a method that has such; sensitivity: mAP against the settings that vary between "
        "several runs; curve: mAP of methods against one flag of theirs, --x; captions, generated: test items with the "
        "sentence made from the image, or the image made from the sentence (or the training image nearest to it), of a "
        "method that generates these.", choices=tuple(KINDS),
    )
    run_dir: tuple[str, ...] = setting(
        (), "Folder of the run; of several, with commas between them or the flag again and again, for "
        "precision_recall, sensitivity and curve, which takes folders of runs, too.", repeated=True,
    )
    x: str | None = setting(
        None, "curve: the flag in which the runs differ, such as unseen_share or labels_per_class."
    )
    show_test: bool = setting(
        False, "convergence: mAP on the test items, too, where the run measured it (--eval_every). It is for the "
        "report: what is chosen by it is no result."
    )
    out: str | None = setting(
        None, "Folder of the files; default: figures/ in the (first) run's folder."
    )
    figure_formats: tuple[str, ...] = setting(
        FORMATS, "Formats of the files: png, svg, pdf, with commas between them. The same figure gives the same bytes.",
        choices=FORMATS, parts=1,
    )
    table: str | None = setting(
        None, "sensitivity: a CSV file instead of runs, a line a run, columns mAP... and one a setting."
    )
    labels: tuple[str, ...] = setting(
        (), "precision_recall: names of the runs in the legend; default: their folders' names, with those above them "
        "as far as it takes. curve: names of the lines, in the order of their first runs.",
    )
    curve: str = setting(
        "11-point", "precision_recall: interpolated at recall 0, .1, ..., 1; or as it is, at each hundredth.",
        choices=tuple(curves.RECALLS),
    )
    items: int = setting(
        1000, "tsne: items of each modality at most; of more, so many are drawn at random.", minimum=1
    )
    perplexity: float = setting(
        30.0, "tsne: about the number of neighbours that matter, below that of items.", minimum=0.0
    )
    queries: int = setting(
        3, "examples, attention: queries of each task, drawn at random, of different classes first; captions, "
        "generated: test items.", minimum=1,
    )
    query_ids: tuple[str, ...] = setting(
        (), "examples, attention, captions, generated: ids of the queries instead, or rows of the test split (from 0) "
        "without ids.",
    )
    seed: int = seed_setting(
        "tsne, examples, attention, captions, generated: seed of what is drawn at random; not the run's."
    )


# Where what a run was made of has been moved to.
MovedOptions = dataclasses.make_dataclass(
    "MovedOptions",
    [(name, str | None, setting(None, f"Where the run's --{name} is now; default: where the run had it."))
     for name in PLACES],
    bases=(Settings,), namespace={"__module__": __name__}, frozen=True,
)
