"""The automation: a folder for every site, with its sheet and a checklist.

    sites/<chantier_id>/sheet.md       what is known of the site: written anew each time
    sites/<chantier_id>/checklist.md   what to do first: written once, then the people's
    archive/<chantier_id>/             where the folder goes when the site is deleted

Events come twice at times, and seldom out of order. Each field remembers the position of
the event that set it, and takes a later one only, so any order and any repeat end in the
same folders. `site.json` is replaced last and in one step: killed before that, the event
comes again and all of it is done again.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import hooks

FIELDS = ("nom", "adresse", "statut")
# The id becomes the name of a folder, so it must be nothing else.
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
CHECKLIST = """# Opening the site

- [ ] Declaration of opening posted at the gate
- [ ] Safety plan signed
- [ ] Water and electricity connected
- [ ] Emergency numbers at the site office
"""


def changes(event: dict[str, Any]) -> dict[str, Any]:
    """What the event says about the site's fields."""
    data = event["data"]
    if event["type"] == "chantier.deleted":
        return {"deleted": True}
    if event["type"] == "chantier.statut_changed":
        return {"statut": data["nouveau_statut"]}
    return {name: data[name] for name in FIELDS if name in data}


def merged(site: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """The site with the event's changes, where nothing later set the same field."""
    position = event["position"]
    return site | {
        name: [value, position]
        for name, value in changes(event).items()
        if position > site.get(name, ["", 0])[1]
    }


def sheet(site: dict[str, Any]) -> str:
    """The site's sheet."""
    known = {name: site[name][0] for name in FIELDS if name in site}
    lines = [f"{name}: {value}" for name, value in known.items() if name != "nom"]
    return "\n".join([f"# {known.get('nom', '?')}", "", *lines, ""])


class Folders:
    """The sites' folders, and those of sites that are no more."""

    def __init__(self, root: Path) -> None:
        self._live, self._archive = root / "sites", root / "archive"
        for folder in (self._live, self._archive):
            folder.mkdir(exist_ok=True)

    def take(self, event: dict[str, Any]) -> None:
        """Make the site's folder as it is after the event."""
        name = event["data"]["chantier_id"]
        if not NAME.fullmatch(name):
            hooks.say(f"{event['id']}: {name!r} is no name for a folder")
            return
        place = self._archive / name
        if not place.exists():
            place = self._live / name
        place.mkdir(exist_ok=True)
        before = read(place / "site.json")
        site = merged(before, event)
        write(place / "sheet.md", sheet(site))
        if not before:
            write(place / "checklist.md", CHECKLIST)
        write(place / "site.json", json.dumps(site))
        if "deleted" in site and place.parent == self._live:
            place.rename(self._archive / name)
        hooks.say(f"{event['type']}  {name}")


def read(path: Path) -> dict[str, Any]:
    """What is known of the site; nothing, for a new one."""
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def write(path: Path, text: str) -> None:
    """Replace the file in one step, on the disk."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def main() -> None:
    """Keep the folders."""
    connection = hooks.database(hooks.folder() / "automation.sqlite3")
    folders = Folders(hooks.folder())
    with hooks.client() as api:
        secret = hooks.subscribed(
            connection,
            api,
            name="automation",
            event_types=["chantier.*"],
            start="beginning",  # sites that there are already get their folders too
        )
    hooks.serve(secret, folders.take)


if __name__ == "__main__":
    main()
