"""How Sphinx renders the site; `make site` calls it on the project's folder.  What is special is in docs/tutorial/."""

from pathlib import Path

from runner import exercises
from runner.chapters import all_chapters
from runner.project import Project

project = "Image classification, hands on"
project_copyright = "text and figures: CC BY 4.0; code: MIT"

extensions = ["myst_nb", "sphinx_design", "tutorial"]
include_patterns = ["docs/*.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"]
pages = all_chapters(Project(Path(__file__).parents[1]))
include_patterns += [f"notebooks/{page.name}.ipynb" for page in pages]
include_patterns += [exercises.name_of(page) for page in pages if exercises.made(page)]
exclude_patterns = [".*", "*.egg-info", "build", "tests", "**/.ipynb_checkpoints"]  # not even looked through
templates_path = ["_templates"]
primary_domain = None  # `{data}` is the tutorial's directive, not Python's

# --- pages ---

nb_execution_mode = "off"  # the published outputs are the point
nb_custom_formats = {".ipynb": ["tutorial.cells.read", {}, False]}
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
html_math_renderer = "mathml"  # every browser draws it, without a script or a font from elsewhere
html_copy_source = False
html_use_index = False  # there is the search
html_domain_indices = False
highlight_language = "none"  # of blocks that name no language; the notebooks' cells do
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0a5a8a", "color-brand-content": "#0a5a8a"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}
