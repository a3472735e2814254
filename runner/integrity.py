"""Whether a file that comes with the project is still the one that its page, or the record of its training, names."""

from runner.chapters import Chapter, all_chapters, read_whole, reading
from runner.digests import file_digest
from runner.ending import BadRequest
from runner.stamp import KEY


def require_as_made(project, name, root=None):
    """Return the path of ``name`` under ``root``, where a run's artefacts are; by default, those of the project.

    Raises BadRequest if it is missing, or if pages or records name it and it is not the file that they name.
    """
    root = root or project.root
    path = root / name
    if not path.exists():
        raise BadRequest(f"{name} is missing: it comes with the project; restore it from git.")
    folder = project.notebooks if root == project.root else root
    pages = [Chapter(folder / f"{chapter.name}.ipynb", project) for chapter in all_chapters(project)]
    with reading("A page or a record"):
        notes = [page.notebook["metadata"].get(KEY, {}) for page in pages if page.path.exists()]
        notes += [read_whole(record) for record in project.records]
        known = [note["writes"][name] for note in notes if name in note.get("writes", {})]
    if known and file_digest(path) not in known:
        raise BadRequest(
            f"{name} is not the file that was made with its page: restore it from git, or run `make execute`."
        )
    return path
