"""What an attempt comes to, in tokens and in dollars: the arithmetic behind the records.

The rules, in the order in which they decide:

1. What a provider refused, or broke off before it had produced anything, costs nothing.
2. Tokens that the provider reported count. What it has not reported yet is estimated: the prompt
   from the call's texts, the output from the text that has come since the last report.
3. Dollars that the provider reported count; else they are the tokens at the configured price, and
   None where no price is configured.
4. An answer that was given up may be charged beyond what was seen of it, unless cancelling is known
   to stop the billing at this provider. What is booked then is what was seen, and it is marked as a
   floor: nobody knows how long the answer would have become, and a guess would look like knowledge.

An attempt that was cancelled before the response's head is booked with its prompt, although the
request may not have got so far: most have, and a race's losers would seem free otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import attrs

from lipstream.canonical.call import Call, Tool
from lipstream.canonical.parts import Part, Text, ToolCall, ToolResult
from lipstream.canonical.price import Tariff
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind
from lipstream.lifecycle.tally import CHARACTERS_PER_TOKEN, Tally

# Faults with which we turned away, or the line went dead: the provider may have worked on.
_OURS = frozenset(
    {
        FaultKind.READ,
        FaultKind.TTFT,
        FaultKind.IDLE,
        FaultKind.TRUNCATED,
        FaultKind.PROTOCOL,
        FaultKind.DEADLINE,
        FaultKind.INTERNAL,
    }
)


@attrs.frozen(kw_only=True)
class Bill:
    """What was used, as far as it is known.

    Attributes:
        input_tokens: Of the prompt, its cached parts included.
        output_tokens: Reasoning included.
        has_reported_tokens: Both counts are the provider's; else one or both are estimates.
        dollars: None where no price is known.
        has_reported_dollars: They are the provider's figure.
        is_floor: The provider may charge more than this.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    has_reported_tokens: bool = False
    dollars: float | None = None
    has_reported_dollars: bool = False
    is_floor: bool = False

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.input_tokens + self.output_tokens


NOTHING = Bill()
_NO_REPORT = Usage()


def make_bill(
    tally: Tally,
    fault: FaultKind | None,
    prompt_tokens: Callable[[], int],
    tariff: Tariff,
    model: str,
) -> Bill:
    """The bill of an attempt that is over.

    Args:
        fault: What it failed of, if it did.
        prompt_tokens: An estimate, asked for where the provider reported no count.
    """
    was_dropped = not tally.is_whole and (fault is None or fault in _OURS)
    if not (tally.is_whole or tally.has_begun or was_dropped):
        return NOTHING
    usage = tally.usage or _NO_REPORT
    given, made, dollars = usage.input_tokens, tally.output_tokens, usage.cost
    has_input, has_cost = given is not None, dollars is not None and 0 <= dollars < math.inf
    if given is None:
        given = prompt_tokens()
    if not has_cost:
        price = tariff.price(model)
        dollars = None if price is None else price.of(_counts(usage, given, made))
    return Bill(
        input_tokens=given,
        output_tokens=made,
        has_reported_tokens=has_input and tally.has_exact_output,
        dollars=dollars,
        has_reported_dollars=has_cost,
        is_floor=was_dropped and tariff.cancel_stops_billing is not True,
    )


def _counts(usage: Usage, given: int, made: int) -> Usage:
    """The report with what it left open filled in."""
    read, write = usage.cache_read_tokens, usage.cache_write_tokens
    return Usage(
        input_tokens=given, output_tokens=made, cache_read_tokens=read, cache_write_tokens=write
    )


def total(bills: Iterable[Bill]) -> Bill:
    """Several bills as one: what is unknown in one of them makes the sum of the others a floor."""
    parts = [bill for bill in bills if bill != NOTHING]
    if not parts:
        return NOTHING
    known = [bill.dollars for bill in parts if bill.dollars is not None]
    return Bill(
        input_tokens=sum(bill.input_tokens for bill in parts),
        output_tokens=sum(bill.output_tokens for bill in parts),
        has_reported_tokens=all(bill.has_reported_tokens for bill in parts),
        dollars=sum(known) if known else None,
        has_reported_dollars=all(bill.has_reported_dollars for bill in parts),
        is_floor=any(bill.is_floor for bill in parts) or 0 < len(known) < len(parts),
    )


# ---------------------------------------------------------------- the prompt


def estimate_prompt(call: Call) -> int:
    """The tokens of a call, roughly, from its texts and tools; media are not counted."""
    messages = (_size_of(message.parts) for message in call.messages)
    return (sum(messages) + sum(map(_tool_size, call.tools))) // CHARACTERS_PER_TOKEN


def _size_of(parts: Iterable[Part]) -> int:
    """The characters of what a model reads, without looking at them."""
    size = 0
    for part in parts:
        if isinstance(part, Text):
            size += len(part.text)
        elif isinstance(part, ToolCall):
            size += len(part.name) + len(part.arguments)
        elif isinstance(part, ToolResult):
            size += _size_of(part.content)
    return size


def _tool_size(tool: Tool) -> int:
    # The text of a schema is about as long in Python's notation as in JSON, and cannot fail.
    schema = repr(tool.parameters) if tool.parameters else ""
    return len(tool.name) + len(tool.description) + len(schema)
