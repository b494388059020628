"""Reading the objects of a request, whichever way their fields are spelt.

Clients write ``generationConfig`` or ``generation_config``. What has a canonical place is read by
its camelCase name; everything else keeps the spelling it came in.
"""

from __future__ import annotations

import re
from typing import Any

from lipstream.framing.json_fields import FieldReader

_KNOWN = (
    # request
    "systemInstruction generationConfig toolConfig serviceTier generateContentRequest "
    # parts
    "inlineData fileData functionCall functionResponse mimeType fileUri displayName "
    "thoughtSignature executableCode codeExecutionResult "
    # tools
    "functionDeclarations parametersJsonSchema functionCallingConfig allowedFunctionNames "
    # generationConfig
    "topP topK maxOutputTokens stopSequences candidateCount presencePenalty frequencyPenalty "
    "responseMimeType responseSchema responseJsonSchema _responseJsonSchema responseLogprobs "
    "thinkingConfig thinkingBudget thinkingLevel includeThoughts"
)
_CAMEL = {re.sub("[A-Z]", lambda m: f"_{m[0].lower()}", name): name for name in _KNOWN.split()}


class Reader(FieldReader):
    """An object whose known fields may be in either spelling; errors show the client's own."""

    __slots__ = ("_spelt",)

    def __init__(self, value: Any, path: str) -> None:
        super().__init__(value, path)
        self._spelt: dict[str, str] = {}
        if any("_" in name for name in self.left):
            self.left = {self._read_as(name): field for name, field in self.left.items()}

    def _read_as(self, name: str) -> str:
        camel = _CAMEL.get(name, name)
        if camel == name or camel in self.left:
            return name
        self._spelt[camel] = name
        return camel

    def at(self, name: str) -> str:
        """The path of a field, as the client spelt it."""
        return super().at(self._spelt.get(name, name))

    def inner(self, name: str) -> Reader:
        """An object that has to be there, to be read in turn."""
        return Reader(self.left.pop(name, None), self.at(name))

    def forget_null(self, name: str) -> None:
        """Leaves a null out that is written as something else."""
        if self.left.get(name, "") is None:
            del self.left[name]
