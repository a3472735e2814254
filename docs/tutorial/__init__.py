"""A Sphinx extension: what this tutorial's site has beyond Markdown and notebooks.

tables     directives that say what the pages' stamps and the trainings' records say
reference  the directive that shows the helper modules
cells      what readers of the site see of a notebook
places     where pages stand, and where links to other files lead
look       formulas and figures as HTML
"""

from tutorial import look, places, reference, tables


def setup(app):
    """Called by Sphinx."""
    for name in tables.SAID:
        app.add_directive(name, tables.Said)
    app.add_directive("helpers", reference.Helpers)
    app.add_html_math_renderer("mathml", (look.visit_math, None), (look.visit_math_block, None))
    app.connect("builder-inited", places.arrange)
    app.connect("doctree-read", places.lead, priority=400)  # before Sphinx collects what can be downloaded
    app.connect("html-page-context", look.finish, priority=900)  # after furo has made its sidebar
    return {"parallel_read_safe": False}
