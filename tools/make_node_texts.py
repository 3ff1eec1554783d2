"""Writes the nodes' texts into the files that ComfyUI reads: `python tools/make_node_texts.py`.

These are `locales/en`, and the inputs and outputs in the help pages (`esg_nodes/web/docs`). The other parts of the help
pages and the other languages are written by hand. Do not edit the files that this makes; edit the nodes.
"""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

from node_pack import ROOT, load_pack

LOCALES = ROOT / "locales"
PAGES = ROOT / "esg_nodes" / "web" / "docs"

# Characters with a meaning in ComfyUI's translations, which are templates.
SPECIAL = set("{}@|")


def node_texts(pack: ModuleType) -> dict[str, Any]:
    """All texts of all nodes in the form of `nodeDefs.json`: by node, input, and index of the output."""
    return {
        name: {
            "display_name": pack.NODE_DISPLAY_NAME_MAPPINGS[name],
            "description": node.DESCRIPTION,
            "inputs": _input_texts(node),
            "outputs": {
                str(place): {"name": output, "tooltip": tooltip}
                for place, (output, tooltip) in enumerate(zip(node.RETURN_NAMES, node.OUTPUT_TOOLTIPS, strict=True))
            },
        }
        for name, node in pack.NODE_CLASS_MAPPINGS.items()
    }


def _input_texts(node: Any) -> dict[str, dict[str, str]]:
    texts = {}
    for name, (_, options) in inputs_of(node).items():
        texts[name] = {"name": name, "tooltip": options["tooltip"]}
        if options.get("control_after_generate"):  # for the page, this is an input of its own
            texts["control_after_generate"] = {"name": "control after generate"}
    return texts


def inputs_of(node: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    """The inputs that a user sees: kind and options by name."""
    given = node.INPUT_TYPES()
    return {**given.get("required", {}), **given.get("optional", {})}


def main_texts(pack: ModuleType) -> dict[str, Any]:
    """The other texts in the form of `main.json`: the parts of the categories."""
    parts = [part for node in pack.NODE_CLASS_MAPPINGS.values() for part in node.CATEGORY.split("/")]
    return {"nodeCategories": {part: part for part in dict.fromkeys(parts)}}


def without_templates(texts: Any) -> Any:
    """The texts without those that cannot be templates in all releases; ComfyUI then shows the node's own text."""
    if isinstance(texts, dict):
        return {
            key: without_templates(value)
            for key, value in texts.items()
            if not (isinstance(value, str) and SPECIAL & set(value))
        }
    return texts


def explained(node: Any) -> str:
    """The inputs and outputs of a node as a part of its help page; as lists, since help is shown in a narrow column."""
    lines = ["## Inputs", ""]
    required = node.INPUT_TYPES().get("required", {})
    for name, (kind, options) in inputs_of(node).items():
        about = [_kind(name, kind, options), *_default(kind, options), *([] if name in required else ["optional"])]
        lines.append(f"- **`{name}`** ({'; '.join(about)})<br>{options['tooltip']}")
    lines += ["", "## Outputs", ""]
    lists = getattr(node, "OUTPUT_IS_LIST", (False,) * len(node.RETURN_TYPES))
    for name, kind, tooltip, listed in zip(node.RETURN_NAMES, node.RETURN_TYPES, node.OUTPUT_TOOLTIPS, lists):
        lines.append(f"- **`{name}`** ({kind}{', a list' if listed else ''})<br>{tooltip}")
    return "\n".join(lines) + "\n"


def _kind(name: str, kind: Any, options: dict[str, Any]) -> str:
    if name == "model":
        return "choice"  # the list is long, and different on every computer
    if not isinstance(kind, str):
        return ", ".join(f"`{one}`" for one in kind)
    if kind not in ("INT", "FLOAT"):
        return kind
    return f"{kind}, {options['min']} " + (f"to {options['max']}" if options["max"] < 1 << 24 else "or more")


def _default(kind: Any, options: dict[str, Any]) -> list[str]:
    default = options.get("default", "")
    if default == "" or default == kind[0]:  # the first choice is the default
        return []
    if kind == "BOOLEAN":
        return ["default on" if default else "default off"]
    return [f"default {default}" if kind in ("INT", "FLOAT") else f"default `{default}`"]


def with_explained(page: str, node: Any) -> str:
    """A help page whose inputs and outputs are those of the node."""
    before, _, rest = page.partition("## Inputs\n")
    _, heading, after = rest.partition("## Example\n")
    return f"{before}{explained(node)}\n{heading}{after}"


def to_json(texts: Any) -> str:
    return json.dumps(texts, ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    pack = load_pack()
    english = LOCALES / "en"
    english.mkdir(parents=True, exist_ok=True)
    (english / "nodeDefs.json").write_text(to_json(without_templates(node_texts(pack))), encoding="utf-8")
    (english / "main.json").write_text(to_json(main_texts(pack)), encoding="utf-8")
    for name, node in pack.NODE_CLASS_MAPPINGS.items():
        page = PAGES / f"{name}.md"
        page.write_text(with_explained(page.read_text(encoding="utf-8"), node), encoding="utf-8")


if __name__ == "__main__":
    main()
