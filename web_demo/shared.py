"""Everything that the parts of the page share: visitor, models, channels to the browser, and the handling of events."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import gradio as gr

from esg import EntityMap, EsgError, InputError
from esg.support.errors import Advice

from .message import Chosen
from .models import Models
from .visit import Visit
from .working import News, Worker

Busy = dict[str, Any]  # for the channel `busy`
Steps = Generator[News, None, tuple[Any, ...]]  # yields progress and preliminary outputs, returns the final outputs


# The selection lives in the browser, so every event reads it there at the moment when it is sent.
_WITH_SELECTION = """(...given) => {
    esg.begin(TEXT);
    return [...given.slice(0, -1), esg.chosen()];
}"""
_AND_WAIT = """(...given) => {
    if (esg.state.photo) esg.receive("busy", { text: "Waiting for its turn", part: null });
    return [...given.slice(0, -1), esg.chosen()];
}"""
# With `queue=False`, which bypasses the queue, errors would also be HTTP errors, which appear in the browser's console.
AT_ONCE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}

MOST_LETTERS = 20_000  # characters of a text; a much longer one would occupy the only worker for too long
_numbers = count()
WORDS = {  # advice for which the page has controls
    Advice.DOWNLOAD: "tick “Download it if it is missing” to download it",
    Advice.WRITER: "write a text yourself, or choose another model",
    Advice.GROUND: "ground some words first (Ground, in the tab Words)",
    Advice.MASKS: "use Your own masks if it holds masks",
}
_NO_LONGER_BUSY = '() => { esg.receive("busy", { text: "" }); }'


def over() -> Busy:
    """The last news of a job, which the page does not show.

    Without it, a next job that begins with the same words would go unnoticed: the browser ignores a value that it
    already has.
    """
    return {"over": next(_numbers)}


def begun(says: str) -> str:
    """The script of an event that is not run by `Shared`: shows the text `says` if the event takes a moment."""
    return f"(...given) => {{ esg.begin({json.dumps(says)}); return given; }}"


def ended(event: Any, says: str) -> Any:
    """Hides the text `says` when an event ends, with or without success; returns the event."""
    if says:
        for ending in (event.success, event.failure):  # `then` without a handler does not follow an error
            ending(None, None, None, js=f"() => esg.end({json.dumps(says)})")
    return event


def check_length(text: str, what: str) -> None:
    """Raises InputError if a text is too long; the message calls it `what`."""
    if len(text) > MOST_LETTERS:
        raise InputError(f"{what} has {len(text):,} characters; use {MOST_LETTERS:,} at most.")


@contextmanager
def sentences() -> Iterator[None]:
    """Turns errors that are meant for users into Gradio's, which the page shows."""
    try:
        yield
    except EsgError as error:
        raise gr.Error(error.sentence.worded(WORDS), print_exception=False) from None


def filled(components: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """The values of components, with their initial value where the browser sent None.

    It sends None for a component that it has never drawn, such as a field in a closed accordion, and for an emptied
    number.
    """
    return [component.value if value is None else value for component, value in zip(components, values)]


class Outdated(Exception):
    """The photo or the entities that a job works on no longer exist, so its result is not shown."""


def while_photo_stays(visit: Visit, work: Iterable[News]) -> Generator[News, None, None]:
    """Passes on the progress of some work; raises Outdated once the visitor has another photo, which stops the work."""
    photo = visit.photo_number
    for news in work:
        if visit.photo_number != photo:
            raise Outdated
        yield news
    if visit.photo_number != photo:
        raise Outdated


def entities_seen(visit: Visit, chosen: Chosen) -> EntityMap:
    """All entities of the map that the browser showed when it sent the event.

    Raises:
        Outdated: they belong to an earlier photo.
        InputError: the photo has not been segmented yet, or its entities have changed since.
    """
    if 0 < chosen.map_number < visit.photo_number:
        raise Outdated
    return visit.need_entities(map_number=chosen.map_number)


def best_entities(visit: Visit, chosen: Chosen) -> EntityMap:
    """The entities that the browser showed; if it did not have any yet, those that it will show at first.

    Raises:
        Outdated, InputError: as for `entities_seen`.
    """
    if chosen.map_number:
        entities, shown = entities_seen(visit, chosen), chosen.shown
    else:
        entities = visit.need_entities()
        shown = int((entities.scores >= visit.min_score).sum())
    return entities.keep(range(1, shown + 1))


@dataclass(eq=False)
class Shared:
    """Everything that more than one part needs.

    Attributes:
        models: the models, shared by all visitors.
        worker: the thread that computes for all visitors.
        max_pixels: larger photos are refused.
        visit: the visitor's own state.
        chosen: what is selected in the browser; the last input of every event.
        channels: channels to the browser, by name: picture, edited, mask, detail, names, busy.
        words: the view of phrases.
        text: the text that the visitor or a model wrote about the photo.
        slider: the comparison before and after.
        jobs: all events with heavy work, so that they can be cancelled.
    """

    models: Models
    worker: Worker
    max_pixels: int
    visit: gr.State
    chosen: gr.JSON
    channels: dict[str, gr.HTML]
    words: gr.HTML
    text: gr.Textbox
    slider: gr.ImageSlider
    jobs: list[Any] = field(default_factory=list)

    def job(
        self,
        trigger: Callable[..., Any],
        work: Callable[..., Steps],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        *,
        restart: bool = False,
        wrong: Sequence[Any] | None = None,
    ) -> Any:
        """Lets an event do heavy work: one at a time on the whole page, in turn, with its progress over the picture.

        Args:
            trigger: a trigger such as `button.click`.
            work: `work(visit, *inputs, chosen)` yields its progress or preliminary outputs, and returns the outputs; it
                may raise Outdated.
            inputs, outputs: components.
            restart: whether a trigger during the work starts it again afterwards; otherwise such a trigger is ignored.
            wrong: outputs after an error; None leaves them unchanged.

        Returns:
            The event, for `then` and `success`.
        """
        nothing = (gr.skip(),) * len(outputs)

        def run(visit: Visit, *given: Any) -> Any:
            *values, chosen = given
            try:
                steps = work(visit, *filled(inputs, values), Chosen.read(chosen))
                try:
                    while True:
                        step = next(steps)
                        yield (step, gr.skip(), *nothing) if isinstance(step, dict) else (gr.skip(), gr.skip(), *step)
                except StopIteration as end:
                    result = end.value
                finally:
                    steps.close()
            except Outdated:
                result = nothing
            except EsgError as error:
                yield (over(), gr.skip(), *(nothing if wrong is None else wrong))
                raise gr.Error(error.sentence.worded(WORDS), print_exception=False) from None
            yield (over(), visit, *result)

        event = trigger(
            run,
            [self.visit, *inputs, self.chosen],
            [self.channels["busy"], self.visit, *outputs],
            js=_AND_WAIT,
            show_progress="hidden",
            api_visibility="private",
            concurrency_id="model",
            concurrency_limit=1,
            trigger_mode="always_last" if restart else "once",
        )
        # Only after Gradio has registered the end: until then, it would ignore another press of the same button.
        for ending in (event.success, event.failure):
            ending(None, None, None, js=_NO_LONGER_BUSY)
        self.jobs.append(event)
        return event

    def quick(
        self,
        trigger: Callable[..., Any],
        answer: Callable[..., Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        says: str = "",
        **more: Any,
    ) -> Any:
        """Lets an event do quick work, which does not wait for models: its concurrency is not limited.

        Args:
            trigger: a trigger such as `button.click`.
            answer: `answer(visit, *inputs, chosen)` returns the outputs.
            inputs, outputs: components.
            says: the text to show if it takes a moment after all; empty: none.
            more: further options of the event, which override those of `AT_ONCE`.

        Returns:
            The event, for `then` and `success`.
        """

        def run(visit: Visit, *given: Any) -> Any:
            *values, chosen = given
            with sentences():
                return answer(visit, *filled(inputs, values), Chosen.read(chosen))

        event = trigger(
            run,
            [self.visit, *inputs, self.chosen],
            outputs,
            js=_WITH_SELECTION.replace("TEXT", json.dumps(says)),
            **{**AT_ONCE, **more},
        )
        return ended(event, says)
