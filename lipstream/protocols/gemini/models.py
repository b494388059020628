"""What the name of a model says about it: its generation, and how it is told to think.

Generation 3 takes a level and wants signatures with calls; 2.5 takes a budget in tokens; what came
before does not think. A name without a number that promises the latest is taken for generation 3.
"""

from __future__ import annotations

import re

from lipstream.canonical.options import Options
from lipstream.canonical.reasoning import DYNAMIC, budget_of, effort_of
from lipstream.protocols.gemini.wire import Fields

_GENERATION = re.compile(r"gemini-(\d{1,3}(?:\.\d{1,3})?)")
_SILENT = re.compile(r"image|tts|audio|live")  # of generation 2.5: made for media, not for thought

_LEVELS = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_PRO_MINIMUM = 128  # a pro model always thinks
_FLASH_MAXIMUM = 24_576
_PRO_MAXIMUM = 32_768
_LITE_MINIMUM = 512


def generation(model: str) -> float:
    """3.0 for ``gemini-3-flash-preview``; 0 where the name does not say."""
    found = _GENERATION.search(model)
    if found is not None:
        return float(found[1])
    return 3.0 if "gemini" in model and "latest" in model else 0.0


def wants_signatures(model: str) -> bool:
    """Whether the model refuses calls of its history that are not signed."""
    return generation(model) >= 3


def takes_media_in_results(model: str) -> bool:
    """Whether images and files may stand inside a ``functionResponse``."""
    return generation(model) >= 3


def thinking_config(options: Options, model: str) -> Fields:
    """What a call of another dialect says about reasoning, for this model; empty for nothing.

    Thoughts are asked for whenever reasoning is spoken of, unless it is switched off.
    """
    budget, summary = budget_of(options), options.reasoning_summary
    if (budget is None and summary is None) or not _thinks(model):
        return {}
    config: Fields = {"includeThoughts": summary != "none" and budget != 0}
    if budget is None:
        return config
    if generation(model) >= 3:
        level = _level(effort_of(options) or "", model)
        return config | {"thinkingLevel": level} if budget != DYNAMIC and level else config
    return config | {"thinkingBudget": _budget(budget, model)}


def _thinks(model: str) -> bool:
    number = generation(model)
    if number == 2.5 and _SILENT.search(model):
        return False
    return number >= 2.5 or (number == 0 and "gemini" in model)


def _level(effort: str, model: str) -> str:
    """The nearest level that the model has: the pro models lack some."""
    level = _LEVELS.get(effort, "")
    if "pro" not in model:
        return level
    if level == "medium" and generation(model) == 3:
        return "high"
    return "low" if level == "minimal" else level


def _budget(budget: int, model: str) -> int:
    """The nearest budget that the model takes."""
    if budget == DYNAMIC:
        return budget
    if "flash" not in model:
        return min(max(budget, _PRO_MINIMUM), _PRO_MAXIMUM)
    if "lite" in model and budget:
        budget = max(budget, _LITE_MINIMUM)
    return min(budget, _FLASH_MAXIMUM)
