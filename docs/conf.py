"""How Sphinx makes a site of these pages and of the docstrings: `make docs`."""

from __future__ import annotations

import os
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from agentzero import __version__

project = "AgentZero"
author = "The AgentZero maintainers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"
html_title = f"AgentZero {version}"
html_copy_source = False
html_show_copyright = False

myst_heading_anchors = 4  # every heading can be linked to, by the name that it has in any viewer
myst_enable_extensions = ["colon_fence"]

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

# Docstrings put names of any kind between single backticks: those that stand in the reference
# become links.
default_role = "py:obj"
# A name of this library that leads nowhere is a warning. Those of other libraries are not looked
# up, as that would need the network.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!agentzero\.).*"),
    (r"py:class", r"agentzero\..*\.[A-Z](_co)?"),  # variables of types
    (r"py:class", r"agentzero\.security\.Anybody"),  # the type of ANY, which nobody has to name
]

# Files outside of docs/ that are pages; of others the site offers a copy.
PAGES = {
    "README.md": "index",
    "CHANGELOG.md": "changelog",
    "CODE_OF_CONDUCT.md": "code-of-conduct",
    "CONTRIBUTING.md": "contributing",
    "SECURITY.md": "reporting",
}


def link_outside(app: Sphinx, doctree: nodes.document) -> None:
    """Have links to files outside of docs/ lead to the page of the file, or to a copy of it."""
    checkout = app.srcdir.parent
    for link in list(doctree.findall(addnodes.pending_xref)):
        path = checkout / _file(link)
        if link["reftype"] != "myst" or not path.is_file():
            continue
        if path.parent == checkout and path.name in PAGES:
            link["refdomain"], link["reftarget"] = "doc", PAGES[path.name]
            link.attributes.setdefault("reftargetid", None)
        else:
            link.replace_self(_copy(link, os.path.relpath(path, app.srcdir)))


def _file(link: addnodes.pending_xref) -> str:
    """What it leads to, seen from the checkout; "" where that is a page already."""
    target: str = link["reftarget"]
    if link["refdomain"] != "doc":  # it is of a file that a page includes
        return target.partition("#")[0]
    return f"{target}.md" if os.path.isabs(target) else ""


def _copy(link: addnodes.pending_xref, file: str) -> addnodes.download_reference:
    target = {"reftarget": f"/{file}", "refdoc": link["refdoc"]}
    return addnodes.download_reference("", "", *link.children, **target)


def leave_out_signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, *signature: Any
) -> tuple[str, None] | None:
    """Leave out the signature of a Protocol, which nobody calls."""
    return ("", None) if getattr(thing, "_is_protocol", False) else None


def setup(app: Sphinx) -> None:
    """Have Sphinx call what is written here."""
    app.connect("doctree-read", link_outside, priority=400)  # before it collects what to copy
    app.connect("autodoc-process-signature", leave_out_signature)
