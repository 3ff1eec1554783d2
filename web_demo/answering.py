"""How endpoints answer: their invisible components, their place in the queue, and errors in the caller's words.

Inputs are components, since Gradio verifies only for components that a file was uploaded by the caller. They pass
values on unchecked: the messages of Gradio's own checks are about a page that the caller does not see.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from esg import EsgError
from esg.support.errors import Advice

from .gate import Callers
from .shared import filled
from .working import News, Work, Worker


class Abandoned(Exception):
    """Raised when the caller no longer waits for the answer."""


class Answering:
    """Adds endpoints to the page that is being built.

    Args:
        worker: does the work, in turn with that of visitors.
        callers: knows which of them have left.
    """

    def __init__(self, worker: Worker, callers: Callers) -> None:
        self._worker, self._callers = worker, callers

    def add(
        self,
        name: str,
        function: Callable[..., Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        *,
        grows: bool = False,
    ) -> None:
        """Adds one.

        Args:
            name: of the endpoint, without "/".
            function: called with a `Report` and the values of the inputs; callers read its docstring.
            inputs, outputs: components.
            grows: whether the caller also gets what the function reports before it has finished.
        """

        def begin(given: Sequence[Any]) -> Work[Any]:
            values = filled(inputs, given)
            return self._worker.work(lambda report: function(report, *values), "")

        def run(*given: Any) -> Any:
            with _sentences(given):
                work = begin(given)
                for _ in self._watched(work):
                    pass
                return work.result

        def run_growing(*given: Any) -> Iterator[Any]:
            with _sentences(given):
                said, work = None, begin(given)
                for news in self._watched(work):
                    if isinstance(news, tuple) and news[0] != said:  # work repeats its last news
                        yield (said := news[0])
                if work.result != said:
                    yield work.result

        answer = wraps(function)(run_growing if grows else run)
        # Callers see the function's parameter names; `report` is not one of them.
        own = inspect.signature(function)
        answer.__signature__ = own.replace(parameters=[*own.parameters.values()][1:])  # type: ignore[attr-defined]
        # An event needs a trigger; nobody can press this one.
        trigger = gr.Button(visible=False).click
        trigger(answer, inputs, outputs, api_name=name, concurrency_id="model", concurrency_limit=1)

    def _watched(self, work: Work[Any]) -> Iterator[News]:
        """The news of some work, until the caller disconnects, which ends the work at its next report."""
        request = LocalContext.request.get(None)
        session = str(request.session_hash) if request else ""
        times = self._callers.left(session)
        steps = iter(work)
        try:
            for news in steps:
                if self._callers.left(session) > times:
                    raise Abandoned
                yield news
        finally:
            steps.close()  # type: ignore[attr-defined]


def unchecked(component: Any) -> Any:
    """The component, which now passes its value on unchecked: the endpoint reports problems in its own words."""
    component.preprocess = lambda value: value
    return component


def file_field(label: str) -> gr.File:
    return gr.File(type="filepath", visible=False, label=label)


def text_field(label: str, value: str | None = None) -> gr.Textbox:
    return unchecked(gr.Textbox(value, visible=False, label=label))


def same_menu(menu: gr.Dropdown) -> gr.Dropdown:
    choices = [(str(label), str(value)) for label, value in menu.choices]
    return unchecked(
        gr.Dropdown(
            choices, value=menu.value, allow_custom_value=menu.allow_custom_value, visible=False, label=menu.label
        )
    )


def number_field(label: str, value: float | None) -> gr.Number:
    return unchecked(gr.Number(value, visible=False, label=label))


def json_field(label: str) -> gr.JSON:
    return gr.JSON(visible=False, label=label)


_WORDS = {  # advice that a caller of the endpoints can follow
    Advice.WRITER: "give a text, or choose another model",
    Advice.GROUND: "call /ground with the same masks, and pass the entity_ids that it returns",
    Advice.MASKS: "pass it as masks if it holds masks",
}


@contextmanager
def _sentences(given: Sequence[Any]) -> Iterator[None]:
    """Turns errors for users into Gradio's, without the paths of files on this machine."""
    try:
        yield
    except EsgError as error:
        sentence = error.sentence.worded(_WORDS)
        for path in given:
            if isinstance(path, str) and Path(path).is_absolute():
                sentence = sentence.replace(path, Path(path).name)
        raise gr.Error(sentence, print_exception=False) from None
    except Abandoned:
        raise gr.Error("The caller did not wait for the answer.", print_exception=False) from None
