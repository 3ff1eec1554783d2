"""Visits that survive a reload: the browser's tab keeps a key, and the server keeps the visit of each key."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import gradio as gr

from .gate import HOUR
from .picture import picture_value
from .shared import AT_ONCE, Shared
from .visit import Visit

AWAY = 8  # visits that are kept after their tab was closed or reloaded; older ones are deleted


@dataclass
class _Place:
    visit: Visit
    session: str  # Gradio's session, a new one after every reload
    left: float | None = None  # when its tab was closed or reloaded; None while it is open


class Visits:
    """The current visitors, and those who left less than an hour ago and may come back."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._lock = threading.Lock()

    def enter(self, session: str, key: str | None, fresh: Visit) -> tuple[str, Visit]:
        """The key and its visit; if the key is unknown, a new key and the fresh visit.

        Args:
            session: Gradio's current name for the tab.
            key: the key that the tab received earlier, or None.
            fresh: an empty visit.
        """
        with self._lock:
            self._forget_old()
            place = self._places.get(key) if isinstance(key, str) else None
            if place is None:
                key, place = secrets.token_urlsafe(32), _Place(fresh, session)
                self._places[key] = place
            place.session, place.left = session, None
            return str(key), place.visit

    def leave(self, session: str) -> None:
        """Notes that the tab of this session was closed or reloaded."""
        with self._lock:
            for key, place in list(self._places.items()):
                if place.session != session or place.left is not None:
                    continue
                place.left = time.monotonic()
                self._places.move_to_end(key)
                if place.visit.photo is None:
                    self._forget(key)
            self._forget_old()
        timer = threading.Timer(HOUR, self._look)
        timer.daemon = True
        timer.start()

    def _look(self) -> None:
        with self._lock:
            self._forget_old()

    def _forget_old(self) -> None:
        away = [key for key, place in self._places.items() if place.left is not None]
        for number, key in enumerate(reversed(away)):
            if number >= AWAY or (self._places[key].left or 0) <= time.monotonic() - HOUR:
                self._forget(key)

    def _forget(self, key: str) -> None:
        self._places.pop(key).visit.forget()


def connect_returning(page: gr.Blocks, shared: Shared) -> None:
    """Gives a tab its visit when it loads or reloads the page, and notes when it leaves."""
    visits, key = Visits(), gr.JSON(visible=False)

    def enter(fresh: Visit, key: str | None, request: gr.Request) -> tuple[Any, ...]:
        key, visit = visits.enter(str(request.session_hash), key, fresh)
        if visit.pixels is None:
            return visit, {"key": key}, gr.skip(), gr.skip(), gr.skip()
        shown = picture_value(
            visit.pixels,
            visit.entities,
            map_number=visit.map_number,
            min_score=visit.min_score,
            before=visit.photo if visit.changes else None,
        )
        return visit, {"key": key}, shown, visit.text, visit.words

    def leave(request: gr.Request) -> None:
        visits.leave(str(request.session_hash))

    back = [shared.visit, shared.channels["visit"], shared.channels["picture"], shared.text, shared.words]
    page.load(enter, [shared.visit, key], back, js="(visit) => [visit, esg.recall('visit')]", **AT_ONCE)
    page.unload(leave)
