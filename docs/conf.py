"""How Sphinx renders the site; `make site` prepares the sources in build/site-source/ and calls it there."""

import re
import struct
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

project = "Image classification, hands on"
author = "the tutorial's contributors"
project_copyright = "text and figures: CC BY 4.0; code: MIT"
language = "en"

extensions = ["myst_nb", "sphinx_design"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

# --- pages ---

nb_execution_mode = "off"  # the published outputs are the point
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

add_module_names = False  # the headings of the reference name the modules

# --- look ---

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["search_summary.js"]
html_favicon = "_static/icon.svg"
html_copy_source = False
html_use_index = False  # there is the search
html_show_sourcelink = False
highlight_language = "none"  # of blocks that name no language; the notebooks' cells do
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0a5a8a", "color-brand-content": "#0a5a8a"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("html-page-context", finish, priority=900)  # after furo has made its sidebar


html_math_renderer = "mathml"  # every browser draws it, without a script or a font from elsewhere


def visit_math(writer, node):
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def visit_math_block(writer, node):
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


DENSITY = 2  # pixels of a figure for each of the page, see cifar_helpers/figures.py
WIDE = 480  # pixels of the page: the labels of a wider figure would be too small on a phone if it had to fit


def finish(app, pagename, templatename, context, doctree):
    """Give figures their size, so that the page does not jump, and let the keyboard scroll what is wide."""
    # A screen reader wants to know the level of what is called a heading.
    sidebar = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = sidebar.replace('role="heading"', 'role="heading" aria-level="2"')
    body = context.get("body")
    if not body:
        return
    files = {name: Path(app.srcdir, source) for source, (_, name) in app.env.images.items()}
    body = re.sub(r'<img [^>]*?src="[^"]*?_images/([^"]+\.png)"[^>]*?/?>', lambda tag: _sized(tag, files), body)
    body = re.sub(r'<div class="(output text_html|table-wrapper[^"]*)"', r'<div tabindex="0" class="\1"', body)
    context["body"] = body.replace("<pre>", '<pre tabindex="0">')


def _sized(tag, files):
    with open(files[tag[1]], "rb") as file:
        width, height = (pixels // DENSITY for pixels in struct.unpack(">II", file.read(24)[16:]))  # where a PNG has them
    image = re.sub(r' style="[^"]*"', "", tag[0]).removesuffix("/>").removesuffix(">").rstrip()
    image += f' width="{width}" height="{height}" style="--width: {width}px" loading="lazy">'
    scrolls = ' tabindex="0"' if width > WIDE else ""
    return f'<span class="picture"{scrolls}>{image}</span>'
