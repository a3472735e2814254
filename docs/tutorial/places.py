"""Where pages stand on the site, and where links lead that name files which are no pages of their own."""

from sphinx import addnodes
from sphinx.project import Project


class Places(Project):
    """Pages of docs/ stand at the site's root, everything else where it stands in the project."""

    def path2doc(self, filename):
        """The name of the page made from a file, or None; the README's is the first page."""
        name = super().path2doc(filename)
        return "index" if name == "README" else name and name.removeprefix("docs/")


def arrange(app):
    """Let Sphinx find the pages by these places."""
    app.project = app.env.project = Places(app.srcdir, app.registry.source_suffix)


def lead(app, doctree):
    """Let links to helper modules lead to the reference, those to the folder of solutions to the page about them."""
    for link in [*doctree.findall(addnodes.download_reference), *doctree.findall(addnodes.pending_xref)]:
        if link["reftype"] != "myst":
            continue
        name, _ = app.env.relfn2path(link["reftarget"])
        if name == "notebooks/solutions":
            link["refdomain"], link["reftarget"], link["reftargetid"] = "doc", "solutions", None
        elif name.startswith("cifar_helpers/"):
            module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            given = {"refdoc": link["refdoc"], "refexplicit": True, "refwarn": True}
            link.replace_self(
                addnodes.pending_xref("", *link.children, refdomain="py", reftype="mod", reftarget=module, **given)
            )
