"""`--list cameras|styles|engines`: what there is here, a line each or as one JSON array.

Comes in: what. Goes out: lines on standard output. On the main thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from engines.select import list_engines
from realtime.source import list_cameras
from realtime.styles import PASS_THROUGH, list_styles


def list_what(what: str, as_json: bool, say: Callable[[str], None]) -> int:
    """Prints the cameras, styles or engines, a line each or as one JSON array."""
    rows: list[dict[str, object]]
    if what == "cameras":
        rows = [asdict(camera) for camera in list_cameras()]
    elif what == "engines":
        rows = [asdict(engine) for engine in list_engines()]
    else:
        from engines.import_style import KINDS
        from realtime.styles.paintings import COUNT, PAINTING, PICTURE, paintings_here

        rows = [{"name": s.name, "title": s.title, "licence": s.licence} for s in list_styles(say)]
        rows.append({"name": PASS_THROUGH, "title": "pass-through: the camera's own picture", "licence": ""})
        if paintings_here():
            title = f"{COUNT} paintings, joined by + ({PAINTING}3+12)"
            rows.append({"name": f"{PAINTING}0..{COUNT - 1}", "title": title, "licence": "Apache-2.0"})
            rows.append({"name": f"{PICTURE}PATH", "title": "as any picture is painted", "licence": "Apache-2.0"})
        if not as_json:
            say("Weights of others, if you have them: python -m engines.import_style FILE --kind KIND")
            for name, kind in KINDS.items():
                say("  " + "  ".join(word for word in (name, kind.title, kind.where, kind.licence) if word))
    if as_json:
        print(json.dumps(rows, default=str))
    elif rows:
        for row in rows:
            print("  ".join(_words(value) for value in row.values() if value not in (None, "", ())))
    else:
        say(f"There are no {what} here.")
    return 0


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
