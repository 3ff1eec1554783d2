"""Visits that outlive a reload: the browser's tab keeps a key, and the server what belongs to it."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from .gate import HOUR
from .visit import Visit

AWAY = 8  # visits that are kept after their tab was closed or reloaded; of older ones nothing is left


@dataclass
class _Place:
    visit: Visit
    session: str  # of Gradio, a new one after every reload
    left: float | None = None  # when its tab went away; None while it is there


class Visits:
    """Who is here, and who went away less than an hour ago and may come back."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._lock = threading.Lock()

    def enter(self, session: str, key: str | None, fresh: Visit) -> tuple[str, Visit]:
        """The visit of this key and that key, or the fresh one and a new key where there is none.

        Args:
            session: as Gradio calls the tab now.
            key: what the tab was given before, if it was.
            fresh: a visit of which nothing is known yet.
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
        """The tab of this session was closed or reloaded."""
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
