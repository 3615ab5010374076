"""How the site of docs/ is built, by `make docs`."""
import pathlib
import sys

import tfxmr
from tfxmr.core import quiet

quiet.install()  # so that warnings are the site's own
sys.path.insert(0, str(pathlib.Path(__file__).parent / "_ext"))

project, author = "tfxmr", "the authors of tfxmr"
project_copyright = "2026, the authors of tfxmr"
version = release = tfxmr.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "reference"]
exclude_patterns = ["_build", "_ext"]

html_theme = "furo"  # reads well on a phone, light and dark, without scripts of other hosts
html_title = f"tfxmr {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # links to headings, as GitHub has them
suppress_warnings = ["myst.header"]  # a page may begin with a heading of an included file

# Notebooks are run when they or what they were run with changed; a cell that fails fails the build.
nb_execution_mode = "cache"
nb_execution_cache_path = str(pathlib.Path(__file__).parent / "_build/notebooks")
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 1200  # a cell, on a busy machine; alone both notebooks take two minutes
nb_execution_in_temp = True
nb_output_stderr = "remove"  # progress

napoleon_use_ivar = True
default_role = "code"  # docstrings have single backquotes
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {
    "members": True,
    "exclude-members": "set_fit_request, set_transform_request",  # scikit-learn makes them
}
python_maximum_signature_line_length = 100
copybutton_exclude = ".linenos, .gp, .go"
