"""The selector language by example: every accepted form with its tree, every refused one.

The numbers count the examples of the language's specification.
"""

import pytest

from lipstream.canonical.candidate import Candidate
from lipstream.errors import BadSelector
from lipstream.routing.selector import (
    Affinity,
    Arm,
    Branch,
    Leaf,
    Parallel,
    Primary,
    Selector,
    Weighted,
    parse_selector,
)


def leaf(
    name: str,
    *params: tuple[str, str],
    low: int | None = None,
    high: int | None = None,
    ttft: float | None = None,
) -> Leaf:
    """A leaf by `backend/model`; the backend of `-/model` is the default one."""
    backend, _, model = name.partition("/")
    candidate = Candidate("default" if backend == "-" else backend, model, params)
    return Leaf(candidate, low, high, ttft)


def primary(name: str, *params: tuple[str, str], **bounds: int) -> Primary:
    return Primary(leaf(name, *params, **bounds))


def race(*names: str) -> Parallel:
    return Parallel(tuple(Branch(leaf(name)) for name in names))


def weighted(*branches: Branch) -> Weighted:
    return Weighted(branches)


AX, BY, OPUS = primary("a/x"), primary("b/y"), primary("anthropic/opus")

ACCEPTED: dict[str, tuple[str, Selector | list[Arm]]] = {
    "1": ("gpt-4o", [primary("-/gpt-4o")]),
    "2": ("openai:gpt-4o", [primary("openai/gpt-4o")]),
    "3": ("openai.azure:gpt-4o", [primary("openai.azure/gpt-4o")]),
    "4": ("  openai : gpt-4o  ", [primary("openai/gpt-4o")]),
    "5": (":gpt-4o", [primary("-/gpt-4o")]),
    "6": ("ollama:llama3:8b", [primary("ollama/llama3:8b")]),
    "7": ("openrouter:meta/llama-3", [primary("openrouter/meta/llama-3")]),
    "8": (
        "openai:gpt-4o?temperature=0.2",
        [primary("openai/gpt-4o", ("temperature", "0.2"))],
    ),
    "9": ("o:m?b=2&a=1", [primary("o/m", ("b", "2"), ("a", "1"))]),
    "10": ("o:m?note=a%20b", [primary("o/m", ("note", "a b"))]),
    "11": ("o:m?", [primary("o/m")]),
    "17": ("a:x|b:y|anthropic:opus", [AX, BY, OPUS]),
    "18": ("a|b:c|anthropic:opus", [primary("-/a"), primary("b/c"), OPUS]),
    "20": (
        "[weight=3]openai:gpt-4^[weight=1]anthropic:opus",
        [weighted(Branch(leaf("openai/gpt-4"), weight=3), Branch(leaf("anthropic/opus")))],
    ),
    "21": ("a:x^b:y", [weighted(Branch(leaf("a/x")), Branch(leaf("b/y")))]),
    "22": ("[first]cheap:fast", [weighted(Branch(leaf("cheap/fast"), is_first=True))]),
    "23": (
        "[first]a:b^[weight=9]c:d|e:f",
        [
            weighted(Branch(leaf("a/b"), is_first=True), Branch(leaf("c/d"), weight=9)),
            primary("e/f"),
        ],
    ),
    "25": (
        "[first=]a:b^c:d",
        [weighted(Branch(leaf("a/b"), is_first=True), Branch(leaf("c/d")))],
    ),
    "30": ("[max_context=4096]a:m", [primary("a/m", high=4096)]),
    "31": ("[min_context=1024,max_context=8192]a:m", [primary("a/m", low=1024, high=8192)]),
    "32": ("[min_context=1024][max_context=8192]a:m", [primary("a/m", low=1024, high=8192)]),
    "33": (
        "[weight=2][max_context=4096]a:m^[weight=1][min_context=4096]b:m",
        [weighted(Branch(leaf("a/m", high=4096), weight=2), Branch(leaf("b/m", low=4096)))],
    ),
    "36": ("[max_context=128K]a:m", [primary("a/m", high=128_000)]),
    "37": ("[max_context=1m]a:m", [primary("a/m", high=1_000_000)]),
    "42": (
        "{ttft_timeout=60}[ttft_timeout=30]x:y^[weight=2,ttft_timeout=20]z:w",
        Selector(
            (weighted(Branch(leaf("x/y", ttft=30)), Branch(leaf("z/w", ttft=20), weight=2)),),
            ttft_timeout=60,
        ),
    ),
    "43": (
        "{session_sticky}a:x|b:y",
        Selector((AX, BY), affinity=Affinity.SESSION),
    ),
    "44a": ("{client_sticky}a:x", Selector((AX,), affinity=Affinity.CLIENT)),
    "44b": ("{affinity=CLIENT}a:x", Selector((AX,), affinity=Affinity.CLIENT)),
    "45": (
        "{ttft_timeout=60,affinity=session}a:x",
        Selector((AX,), ttft_timeout=60, affinity=Affinity.SESSION),
    ),
    "55": ("a:b{x}", [primary("a/b{x}")]),
    "56": ("a:m!b:m", [race("a/m", "b/m")]),
    "57": (
        "[handicap=10]a:m![handicap=5]b:m!c:m",
        [
            Parallel(
                (
                    Branch(leaf("a/m"), handicap=10),
                    Branch(leaf("b/m"), handicap=5),
                    Branch(leaf("c/m")),
                )
            )
        ],
    ),
    "58": (
        "[handicap=10,ttft_timeout=10]a:m1![ttft_timeout=5]b:m2!c:m3",
        [
            Parallel(
                (
                    Branch(leaf("a/m1", ttft=10), handicap=10),
                    Branch(leaf("b/m2", ttft=5)),
                    Branch(leaf("c/m3")),
                )
            )
        ],
    ),
    "59": ("a:m!b:m|c:m!d:m", [race("a/m", "b/m"), race("c/m", "d/m")]),
    "60": ("a:m!b:m|c:m", [race("a/m", "b/m"), primary("c/m")]),
    "68": (
        "a:m?note=hello%21world!b:m",
        [Parallel((Branch(leaf("a/m", ("note", "hello!world"))), Branch(leaf("b/m"))))],
    ),
    "69": (
        "a:m?note=hello!world",
        [Parallel((Branch(leaf("a/m", ("note", "hello"))), Branch(leaf("-/world"))))],
    ),
    "70": (
        "nv:moonshotai/kimi-k2.6!nv:minimaxai/minimax-m3",
        [race("nv/moonshotai/kimi-k2.6", "nv/minimaxai/minimax-m3")],
    ),
    "commit content": ("{commit=content}a:x", Selector((AX,), commit="content")),
    "commit text": ("{COMMIT = Text}a:x", Selector((AX,), commit="text")),
    "commit tool_call": ("{commit=tool_call}a:x", Selector((AX,), commit="tool_call")),
    "commit finish": ("{commit=finish}a:x", Selector((AX,), commit="finish")),
    "race always": ("{Race=Always}a:x", Selector((AX,), race=True)),
    "resume": ("{RESUME}a:x", Selector((AX,), resume=1)),
    "resume once": ("{resume=once}a:x", Selector((AX,), resume=1)),
    "resume twice": ("{resume = Twice}a:x", Selector((AX,), resume=2)),
    "resume by number": ("{resume=2}a:x", Selector((AX,), resume=2)),
    "no resume": ("{resume=off}a:x", Selector((AX,), resume=0)),
    "race safe": ("{race = safe}a:x", Selector((AX,), race=False)),
    "repeated parameters": ("o:m?a=1&a=2", [primary("o/m", ("a", "1"), ("a", "2"))]),
    "empty pairs": ("o:m?&a&&=b&", [primary("o/m", ("a", ""), ("", "b"))]),
    "plus is a space": ("o:m?a=b+c%2B", [primary("o/m", ("a", "b c+"))]),
    "equals sign in a value": ("o:m?a=b=c", [primary("o/m", ("a", "b=c"))]),
    "separators in brackets": ("o:m[a|b]?c=[d!e^f]", [primary("o/m[a|b]", ("c", "[d!e^f]"))]),
    "capture reference": ("a:${1}|${backend}:x", [primary("a/${1}"), primary("${backend}/x")]),
    "capture reference like a global": ("a:${commit}", [primary("a/${commit}")]),
    "plus sign and zeros": ("[max_context=+007]a:m", [primary("a/m", high=7)]),
    "white space": (
        "{ affinity = session } [ WEIGHT = 2 ] [ first ] a : m ^ b : m | c ! d ",
        Selector(
            (
                weighted(Branch(leaf("a/m"), weight=2, is_first=True), Branch(leaf("b/m"))),
                race("-/c", "-/d"),
            ),
            affinity=Affinity.SESSION,
        ),
    ),
    "16 branches": ("!".join(["a:m"] * 16), [race(*["a/m"] * 16)]),
    "largest timeout": (
        "{ttft_timeout=9223372036}a:x",
        Selector((AX,), ttft_timeout=9_223_372_036),
    ),
    "longest text": ("a:" + "m" * 65_534, [primary("a/" + "m" * 65_534)]),
}

REFUSED: dict[str, list[str]] = {
    "12": ["", "  ", "\u2003\n"],
    "13": ["openai:", ":", "openai: ?a=1"],
    "14": ["?temperature=1"],
    "15": ["o:m?x=%zz", "o:m?%4", "o:m?x=%ff"],
    "16": ["o:m?a=1;b=2"],
    "19": ["a:x|", "|a:x", "a:x||b:y"],
    "24": ["[first]a:b^[first]c:d"],
    "26": ["[first=yes]a:b^c:d"],
    "27": ["[weight=0]a:b", "[weight=-1]a:b", "[weight=x]a:b", "[weight]a:b", "[weight=]a:b"],
    "28": ["[weight=2][weight=3]a:b", "[weight=2,weight=3]a:b"],
    "29": ["a:b^", "^a:b", "a:b^^c:d"],
    "34": ["[min_context=10,max_context=10]a:m", "[min_context=11][max_context=10]a:m"],
    "35": [
        "[max_context=0]a:m",
        "[max_context=-1]a:m",
        "[max_context=abc]a:m",
        "[max_context]a:m",
        "[max_context=1,max_context=2]a:m",
    ],
    "36": ["[max_context=128G]a:m", "[max_context=K]a:m", "[weight=1K]a:m"],
    "38": ["[unknown=1]a:m"],
    "39": ["[]a:m", "[ ,weight=1]a:m", "[weight=1,]a:m"],
    "40": ["[weight=1 a:m"],
    "41": ["[weight=1]", "[weight=1]  "],
    "46": ["{session_sticky,client_sticky}a:m", "{affinity=client,client_sticky}a:m"],
    "47": ["{affinity=tenant}a:m", "{affinity}a:m", "{affinity=}a:m"],
    "48": ["{session_sticky=true}a:m", "{session_sticky=}a:m"],
    "49": ["[session_sticky]a:m"],
    "50": [
        "{ttft_timeout=0}a:m",
        "{ttft_timeout=-1}a:m",
        "{ttft_timeout=abc}a:m",
        "{ttft_timeout}a:m",
        "{ttft_timeout=1,ttft_timeout=2}a:m",
    ],
    "51": ["{}a:m", "{ttft_timeout=1", "{ttft_timeout=1,}a:m", "{foo=1}a:m"],
    "52": ["{ttft_timeout=1}{affinity=client}a:m"],
    "53": ["{ttft_timeout=1}", "{ttft_timeout=1} "],
    "54": ["a:b{ttft_timeout=1}", "a:b{ TTFT_TIMEOUT = 1}", "a:b|{commit=text}c:d"],
    "61": ["a:m^b:m!c:m", "a:m!b:m^c:m"],
    "62": ["[weight=2]a:m!b:m", "[first]a:m!b:m"],
    "63": ["a:m![weight=2]b:m"],
    "64": ["[handicap=1]a:b", "[handicap=1]a:b|c:d", "[handicap=1]a:b^c:d"],
    "65": [
        "[handicap=0]a:b!c:d",
        "[handicap=-1]a:b!c:d",
        "[handicap=abc]a:b!c:d",
        "[handicap]a:b!c:d",
    ],
    "66": ["a:b!!c:d", "!a:b", "a:b!"],
    "67": ["!".join(["a:m"] * 17)],
    "71": ["a:" + "m" * 65_535, "a:" + "ü" * 32_768],
    "thinker": ["[thinker]a:m^b:m", "[weight=2][thinker=TRUE]a:m^b:m", "[thinker]a:m^b:m!c:m"],
    "unpaired brackets": ["a:m[x|b:y", "a:m]|b:y", "a:m[?x=]", "a:m?x=[", "a:m?x=]["],
    "not a point of commit": ["{commit=never}a:m", "{commit}a:m"],
    "no word on races": ["{race}a:m", "{race=true}a:m", "{race=safe,race=safe}a:m", "a:m{race=x}"],
    "no number of rescues": [
        "{resume=3}a:m",
        "{resume=}a:m",
        "{resume=yes}a:m",
        "{resume,resume=2}a:m",
        "a:m{resume}",
        "[resume]a:m",
    ],
    "too large a number": ["{ttft_timeout=9223372037}a:m", "[weight=9223372036854775808]a:m"],
    "not a number": ["[weight=1_0]a:m", "[weight=\u0661]a:m", "[weight=1.5]a:m"],
    "half a surrogate pair": ["a:\ud800"],
}


@pytest.mark.parametrize(("text", "expected"), ACCEPTED.values(), ids=ACCEPTED)
def test_accepted_form_has_its_tree(text: str, expected: Selector | list[Arm]) -> None:
    """What the language allows is read as specified."""
    tree = expected if isinstance(expected, Selector) else Selector(tuple(expected))
    assert tree == parse_selector(text, default_backend="default")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=f"{row}-{number}")
        for row, texts in REFUSED.items()
        for number, text in enumerate(texts, 1)
    ],
)
def test_refused_form_raises_bad_selector(text: str) -> None:
    """What the language does not allow is an error that points into the text."""
    with pytest.raises(BadSelector) as caught:
        parse_selector(text, default_backend="default")
    assert caught.value.selector == text
    assert 0 <= caught.value.position <= len(text)


def test_keys_sort_parameters_and_leave_bounds_out() -> None:
    """A candidate is known by backend, model and parameters, whatever its annotations."""
    selector = parse_selector("o:m?b=2&a=1|[max_context=5]o:m?note=a%20b")
    assert [branch.leaf.key for arm in selector.arms for branch in arm.branches] == [
        "o:m?a=1&b=2",
        "o:m?note=a+b",
    ]
