"""A project: a folder with `tidemill.toml` and Python modules.

In: a folder, a profile, flags and the environment; out: a `Project` record with its settings and where each came from,
its modules, and its store.
"""

from tidemill.project.current import current_project, find_project_store, open_project_store, use_project
from tidemill.project.loading import FILE, find_project, load_project
from tidemill.project.modules import find_modules, import_modules
from tidemill.project.project import Project
from tidemill.project.secrets import redact, reveal, reveal_all
from tidemill.project.settings import SETTINGS, Setting

__all__ = [
    "FILE",
    "SETTINGS",
    "Project",
    "Setting",
    "current_project",
    "find_modules",
    "find_project",
    "find_project_store",
    "import_modules",
    "load_project",
    "open_project_store",
    "redact",
    "reveal",
    "reveal_all",
    "use_project",
]
