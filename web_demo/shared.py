"""What the parts of the page share: the visitor, the models, the ways to the browser, and how events are run."""

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

from .editing import Stroke, read_strokes
from .models import Models
from .visit import Visit
from .working import News, Worker

Busy = dict[str, Any]  # for the channel `busy`
Steps = Generator[News, None, tuple[Any, ...]]  # how far it is, outputs meanwhile, outputs at the end


# The selection lives in the browser: what is sent along with an event is taken from there at that moment.
_WITH_SELECTION = """(...given) => {
    esg.begin(TEXT);
    return [...given.slice(0, -1), esg.chosen()];
}"""
_AND_WAIT = """(...given) => {
    if (esg.state.photo) esg.receive("busy", { text: "Waiting for its turn", part: null });
    return [...given.slice(0, -1), esg.chosen()];
}"""
# Past the queue altogether, with `queue=False`, an error would be one of HTTP, too, and stand in the browser's console.
AT_ONCE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}

MOST_LETTERS = 20_000  # of a text: reading a much longer one would keep the only worker from everybody else
_numbers = count()
WORDS = {Advice.DOWNLOAD: "tick “Download it if it is missing” to download it"}  # for other advice there is no control
_NO_LONGER_BUSY = '() => { esg.receive("busy", { text: "" }); }'


def over() -> Busy:
    """The last news of a job, which the page does not show: the next job may begin with the same words as this one, and
    the browser passes over a value that it has."""
    return {"over": next(_numbers)}


def begun(says: str) -> str:
    """Script of an event that is not one of `Shared`: says what is going on, where it takes a moment."""
    return f"(...given) => {{ esg.begin({json.dumps(says)}); return given; }}"


def ended(event: Any, says: str) -> Any:
    """Takes back what an event says, however it ends; gives the event."""
    if says:
        for ending in (event.success, event.failure):  # `then` without a handler does not follow an error
            ending(None, None, None, js=f"() => esg.end({json.dumps(says)})")
    return event


def check_length(text: str, what: str) -> None:
    """InputError where a text, which is called `what`, is too long."""
    if len(text) > MOST_LETTERS:
        raise InputError(f"{what} has {len(text):,} characters; use {MOST_LETTERS:,} at most.")


@contextmanager
def sentences() -> Iterator[None]:
    """Errors that are meant for users become Gradio's, which shows them in the page."""
    try:
        yield
    except EsgError as error:
        raise gr.Error(error.sentence.worded(WORDS), print_exception=False) from None


def filled(components: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """What components hold, with their first value where the browser sent none.

    It sends none for what it has never drawn, such as a field in a folded part of the page, and for an emptied number.
    """
    return [component.value if value is None else value for component, value in zip(components, values)]


@dataclass(frozen=True)
class Chosen:
    """What is selected in the browser: `ids` in rising order, and how many entities are `shown`, the best ones.

    Both speak of the map that the browser shows, `map_number` as in `Visit`. When a job's turn comes, the visitor may
    have other entities. `picture` counts the pictures that the browser has been given: an answer about an earlier one
    comes too late. `strokes` are those of the brush, which add to the mask and take away from it.
    """

    ids: tuple[int, ...]
    shown: int
    map_number: int
    picture: int
    strokes: tuple[Stroke, ...] = ()

    @classmethod
    def read(cls, data: Any) -> Chosen:
        """From what came over the network; InputError if it makes no sense."""
        try:
            ids = tuple(int(number) for number in data["selected"])
            strokes = read_strokes(data.get("strokes", ()))
            return cls(ids, int(data["shown"]), int(data["map_number"]), int(data["picture"]), strokes)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            raise InputError("The page sent something that cannot be understood; reload it.") from None


class Outdated(Exception):
    """What a job is about is not there any more; nothing of it is shown."""


def while_photo_stays(visit: Visit, work: Iterable[News]) -> Generator[News, None, None]:
    """Passes on how far a work is; Outdated once the visitor has another photo, which ends it at its next report."""
    photo = visit.photo_number
    for news in work:
        if visit.photo_number != photo:
            raise Outdated
        yield news
    if visit.photo_number != photo:
        raise Outdated


def entities_seen(visit: Visit, chosen: Chosen) -> EntityMap:
    """All entities of the map that the browser showed when it asked.

    Raises:
        Outdated: they are of an earlier photo.
        InputError: there are none yet, or others have come meanwhile.
    """
    if 0 < chosen.map_number < visit.photo_number:
        raise Outdated
    return visit.need_entities(map_number=chosen.map_number)


def best_entities(visit: Visit, chosen: Chosen) -> EntityMap:
    """Those of them that the browser showed; where it had none yet when it asked, those that it shows at first.

    Raises:
        Outdated, InputError: as of `entities_seen`.
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
        models: of all visitors.
        worker: who computes for all of them.
        max_pixels: larger photos are refused.
        visit: the visitor's own.
        chosen: what is selected in the browser; comes last with every event.
        channels: to the browser, by name: picture, edited, mask, detail, names, busy.
        words: the view of phrases.
        text: what the visitor or a model wrote about the photo.
        slider: before and after.
        jobs: all heavy work, to be cancelled.
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
        anew: bool = False,
        wrong: Sequence[Any] | None = None,
    ) -> Any:
        """Lets an event do heavy work: one at a time in the whole page, in turn, with its state in the picture.

        Args:
            trigger: such as `button.click`.
            work: `work(visit, *inputs, chosen)` yields how far it is, or outputs meanwhile, and returns the outputs; it
                may raise Outdated.
            inputs, outputs: components.
            anew: whether a trigger while it runs begins it once more afterwards, rather than counting for nothing.
            wrong: outputs after an error; None leaves them as they are.

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
            trigger_mode="always_last" if anew else "once",
        )
        # Not before Gradio has taken note of the end: until then, it would drop another press of the same button.
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
        """Lets an event do what takes no time: in a queue of its own without end, so that no model keeps it waiting.

        Args:
            trigger: such as `button.click`.
            answer: `answer(visit, *inputs, chosen)` returns the outputs.
            inputs, outputs: components.
            says: what is going on, shown where it takes a moment after all; empty: nothing.
            more: options of the event, also in place of those of `AT_ONCE`.

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
