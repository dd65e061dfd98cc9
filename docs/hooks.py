"""What mkdocs does beside its own: links out of docs/ lead to the repository, and all data pages are in the menu."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

REPOSITORY = "https://github.com/spikereel/spikereel/blob/main"


def on_config(config: Any) -> Any:
    """Put the pages of data/ where the menu says `data/`."""
    folder = Path(config["docs_dir"]) / "data"
    pages = ["data/README.md", *sorted(f"data/{page.name}" for page in folder.glob("*.md") if page.name != "README.md")]
    config["nav"] = [{"Data": pages} if entry == {"Data": "data/"} else entry for entry in config["nav"]]
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links to files of the repository that are no pages."""
    here = PurePosixPath(page.file.src_uri).parent

    def leads(match: re.Match[str]) -> str:
        target = normpath(f"docs/{here}/{match[1]}")
        return match[0] if target.startswith("docs/") else f"]({REPOSITORY}/{target})"

    return re.sub(r"\]\((\.\./[^)\s]*)\)", leads, markdown)


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """The one script that the theme would fetch from another host lies beside the pages."""
    up = "../" * page.file.dest_uri.count("/")
    return output.replace("https://unpkg.com/iframe-worker/shim", f"{up}assets/iframe-worker.js")


def on_post_template(output: str, **_: Any) -> str:
    """The same for the page of what is not found."""
    return output.replace("https://unpkg.com/iframe-worker/shim", "assets/iframe-worker.js")
