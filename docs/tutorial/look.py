"""Formulas and figures as HTML that needs no script, does not jump and can be scrolled by keyboard."""

import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.images import get_image_size

DENSITY = 2  # pixels of a figure for each of the page, see cifar_helpers/figures.py
WIDE = 480  # pixels of the page: the labels of a wider figure would be too small on a phone if it had to fit


def visit_math(writer, node):
    """Write a formula, within a line or on lines of its own, as MathML."""
    is_block = isinstance(node, nodes.math_block)
    formula = tex2mathml(node.astext(), as_block=is_block)
    writer.body.append(f'<div class="math">{formula}</div>' if is_block else formula)
    raise nodes.SkipNode


def finish(app, pagename, templatename, context, doctree):
    """Give figures their size, so that the page does not jump, and let the keyboard scroll what is wide."""
    # A screen reader wants to know the level of what is called a heading.
    sidebar = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = sidebar.replace('role="heading"', 'role="heading" aria-level="2"')
    if body := context.get("body"):
        files = {name: Path(app.srcdir, source) for source, (_, name) in app.env.images.items()}
        body = re.sub(r'<img [^>]*?src="[^"]*?_images/([^"]+\.png)"[^>]*?/?>', lambda tag: _sized(tag, files), body)
        boxes = r'<div class="(output text_html|table-wrapper[^"]*|math-wrapper[^"]*)"'
        body = re.sub(boxes, r'<div tabindex="0" class="\1"', body)
        context["body"] = re.sub(r"<pre(?=[ >])", '<pre tabindex="0"', body)


def _sized(tag, files):
    width, height = (pixels // DENSITY for pixels in get_image_size(files[tag[1]]))
    image = re.sub(r' style="[^"]*"', "", tag[0]).removesuffix("/>").removesuffix(">").rstrip()
    scrolls = ' tabindex="0"' if width > WIDE else ""
    size = f'width="{width}" height="{height}" style="--width: {width}px" loading="lazy"'
    return f'<span class="picture"{scrolls}>{image} {size}></span>'
