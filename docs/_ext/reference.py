"""Parts of the site that are made of the code itself, so that they cannot go stale."""
import ast
import dataclasses
import itertools
import re
import textwrap

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tfxmr.core import registry
from tfxmr.core.settings import Settings

FLAG = r"(?<![\w-])--\w[\w=@,.+-]*[\w]"  # such as --protocol=acmr@50
SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Example|Examples):$")


class MethodTable(SphinxDirective):
    """`{method-table}`: every method of the package, a row each."""

    def run(self) -> list[nodes.Node]:
        """The table."""
        rows = ["| method | paper | reads | modalities | zero-shot |", "|---|---|---|---|---|"]
        for name, method in registry.methods():
            page = f"methods/{name}"
            known = page in self.env.found_docs
            link = f"[`{name}`](/{page}.md)" if known else f"[`{name}`](/api/methods.md#{name.replace('_', '-')})"
            reads = ", ".join(f"`{view}`" for view in method.reads(method.Settings())) or "matrices"
            modalities = " and ".join(method.modalities) or ("any two" if method.most_modalities == 2 else "any")
            rows.append(f"| {link} | {method.paper} | {reads} | {modalities} | {'yes' if method.zero_shot else 'no'} |")
        return self.parse_text_to_nodes("\n".join(rows))


def _settings(settings: type[Settings]) -> str:
    rows = ["| flag | default | what it is |", "|---|---|---|"]
    for field in dataclasses.fields(settings):
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        text = " ".join(str(field.metadata["help"]).split()).replace("|", "\\|")
        rows.append(f"| `--{field.name}` | {f'`{default}`' if default not in ('', None) else ''} | {_plain(text)} |")
    return "\n".join(rows)


def _plain(text: str) -> str:
    """Help text as Markdown: flags as code; what Markdown would read as markup stands for itself."""
    parts = re.split(f"({FLAG})", text)
    parts[::2] = [re.sub(r"([*_<\[\]~`])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"`{part}`" for part in parts[1::2]]
    return "".join(parts)


class MethodReference(SphinxDirective):
    """`{method-reference}`: class and settings of every method."""

    def run(self) -> list[nodes.Node]:
        """A section a method."""
        text = []
        for name, method in registry.methods():
            text += [f"## {name}", "", "```{eval-rst}", f".. autoclass:: {method.__module__}.{method.__qualname__}",
                     "   :no-members:", "```", "", _settings(method.Settings), ""]
        return self.parse_text_to_nodes("\n".join(text), allow_section_headings=True)


def readable(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turns a docstring as it is written here into what reStructuredText and napoleon ask for.

    Code and tables are indented after an empty line, without `::`; what is returned may begin with a shape or a
    dictionary, whose colon napoleon would take for that after a type.
    """
    found: list[str] = []
    section, block = "", False
    for i, line in enumerate(lines):
        heading = SECTION.match(line)
        if heading or line and not line.startswith(" "):
            section = heading[1] if heading else ""
        block = block and (not line or line.startswith(" "))
        if line.startswith("    ") and not lines[i - 1].strip() and not section and not block:
            block = True
            found += [f".. code-block:: {_language(lines[i:])}", ""]
        if section in ("Returns", "Yields"):
            if not heading:
                found.append(f"   {_literal(line.strip())}" if line else "")
            else:
                found.append(f":{section.lower()}:")
        else:
            found.append(line if block else _literal(line))
    lines[:] = found


def _literal(line: str) -> str:
    """A line with its flags as code, but for those that stand in backquotes already."""
    parts = line.split("`")
    parts[::2] = [re.sub(FLAG, r"``\g<0>``", part) for part in parts[::2]]
    return "`".join(parts)


def _language(lines: list[str]) -> str:
    code = textwrap.dedent("\n".join(itertools.takewhile(lambda line: not line or line.startswith(" "), lines)))
    try:
        ast.parse(code)
    except SyntaxError:
        return "text"
    return "python"


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers all that."""
    app.add_directive("method-table", MethodTable)
    app.add_directive("method-reference", MethodReference)
    app.connect("autodoc-process-docstring", readable, priority=400)  # napoleon has 500
    return {"parallel_read_safe": True}
