"""A Sphinx extension: what this tutorial's site has beyond Markdown and notebooks.

facts      directives that say what the pages' stamps, the trainings' records and the helper modules say
reference  the helper modules' docstrings as Markdown
cells      what readers of the site see of a notebook
places     where pages stand, and where links to other files lead
look       formulas and figures as HTML
"""

from tutorial import facts, look, places


def setup(app):
    """Called by Sphinx."""
    for template in facts.TEMPLATES.glob("*.md"):
        app.add_directive(template.stem, facts.Said)
    app.add_html_math_renderer("mathml", (look.visit_math, None), (look.visit_math, None))
    app.connect("builder-inited", places.arrange)
    app.connect("doctree-read", places.lead, priority=400)  # before Sphinx collects what can be downloaded
    app.connect("html-page-context", look.finish, priority=900)  # after furo has made its sidebar
