"""The options of tables, apart from the commands that print them."""
import dataclasses
from collections.abc import Callable, Sequence

from tfxmr.core.settings import Settings, setting
from tfxmr.reports.tables.comparison import CORRECTIONS
from tfxmr.reports.tables.formats import Best, Row, to_csv, to_latex, to_markdown
from tfxmr.reports.tables.rows import show

FORMATS: dict[str, Callable[..., str]] = {"markdown": to_markdown, "latex": to_latex, "csv": to_csv}


def print_table(name: str, rows: Sequence[Row], footnotes: str = "", best: Best | None = None) -> None:
    """Prints rows in one of the formats.

    Args:
      name: "text", or one of FORMATS.
      rows, footnotes, best: see tfxmr.reports.tables.formats; csv has neither, and text no bold values.
    """
    if name == "text":
        show(rows, footnotes)
    else:
        print(FORMATS[name](rows, **({} if name == "csv" else {"footnotes": footnotes, "best": best})))


@dataclasses.dataclass(frozen=True)
class TableOptions(Settings):
    """How a table is printed."""

    format: str = setting("text", "How the table is printed.", choices=("text", *FORMATS, "json"), affects="nothing")


@dataclasses.dataclass(frozen=True)
class EvaluateOptions(TableOptions):
    """What becomes of the metrics of a run that is evaluated again."""

    out: str | None = setting(
        None, "Folder that gets a results.json with these metrics (of a series one a run, in OUT/seed_N), which "
        "`tfxmr compare` takes beside other runs'; default: they are printed alone.", affects="nothing",
    )
    by_class: bool = setting(False, "Prints mAP a class, too.", affects="nothing")
    transfer: bool = setting(
        False, "Evaluates what the run learned (RUN/encoder) on the data set that the flags name, not on its own: of "
        "the same views, with any classes. Media are described by the run's own features and vocabulary. "
        "--protocol=standard, unless another is given.", affects="nothing",
    )


@dataclasses.dataclass(frozen=True)
class CompareOptions(TableOptions):
    """How runs are compared, and where flagfiles are trained."""

    correction: str = setting(
        "bonferroni",
        "How p allows for the number of methods tested in a column. bonferroni: p is held against .05 / their number; "
        "holm: p is adjusted step by step, which finds no less.", choices=CORRECTIONS, affects="nothing",
    )
    run_dir: str | None = setting(
        None, "Folder in which flagfiles are trained, each in one of its name. All flags that are not listed here, "
        "such as --seeds=0..9, go to `tfxmr train` and override the flagfiles'.", affects="nothing",
    )
