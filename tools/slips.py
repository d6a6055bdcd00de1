"""Draws small slips from C++ sources: what tools/mutate.py plants. Text alone, no compiler; sources are expected in the
project's format (clang-format's Google style), which makes operators and statements easy to tell.

    kinds: operator, constant, drop, swap, float, threads
"""

import dataclasses
import random
import re

FOLDERS = ["kernels", "module", "layers", "formats", "models", "inference", "data", "training"]
# Lines where a slip changes speed alone, or does harm outside the scratch copy.
LEFT_ALONE = re.compile(r"[Pp]refetch|static_assert|HWYNN_DCHECK|HWY_D?ASSERT|\bkill\(|\bremove_all\(|noexcept\(")
THREAD_LIMIT = "namespace hwynn { int CurrentThreadLimit(); }\n#line 1\n"


@dataclasses.dataclass(frozen=True)
class Slip:
    """text[begin:end] becomes `new`; `prefix` goes before the whole file."""
    kind: str
    begin: int
    end: int
    new: str
    prefix: str = ""

    def apply(self, text):
        return self.prefix + text[:self.begin] + self.new + text[self.end:]


def masked(text):
    """The text with comments, preprocessor lines and what stands between quotes as spaces; every offset stays."""
    pattern = re.compile(r"""//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'"""
                         r"""|^[ \t]*\#(?:\\\n|[^\n])*""", re.DOTALL | re.MULTILINE)

    def blank(found):
        spaces = re.sub(r"[^\n]", " ", found[0])
        return spaces if found[0][0] in "/# \t" else found[0][0] + spaces[1:-1] + found[0][-1]

    return pattern.sub(blank, text)


OPERATORS = {
    "<": ["<=", ">="], "<=": ["<"], ">": [">=", "<="], ">=": [">"], "==": ["!="], "!=": ["=="], "+": ["-"], "-": ["+"],
    "*": ["+"], "/": ["*"], "%": ["/"], "&&": ["||"], "||": ["&&"], "+=": ["-=", "="], "-=": ["+="], "*=": ["="],
    "|=": ["="], "&=": ["="],
}


def operators(code, text):
    for found in re.finditer(r"(?<=[\w)\]}] )(<=|>=|==|!=|<|>|\+|-|\*|/|%|&&|\|\||\+=|-=|\*=|\|=|&=)(?= [\w(!*&\"'-])", code):
        for new in OPERATORS[found[0]]:
            yield Slip("operator", found.start(), found.end(), new)
    for found in re.finditer(r"\bstd::(min|max)\b(?!_)", code):
        yield Slip("operator", found.start(1), found.end(1), {"min": "max", "max": "min"}[found[1]])
    for found in re.finditer(r"\bif \((?!constexpr)", code):
        close = closing(code, found.end() - 1)
        if close and ";" not in code[found.end():close]:
            yield Slip("operator", found.end(), close, f"!({text[found.end():close]})")


def constants(code, text):
    for found in re.finditer(r"(?<![\w.'\[<])(\d+)(?![\w.'\]>]|\.\d)", code):
        n = int(found[0])
        for new in {n + 1, n - 1} if n > 0 else {1}:
            yield Slip("constant", found.start(), found.end(), str(new))
    for found in re.finditer(r"(?<![\w.'])(\d+\.\d*)(?=f?\b(?!\.))", code):
        value = float(found[0])
        yield Slip("constant", found.start(), found.end(), repr(value * 2 if value else 1.0))
    for found in re.finditer(r"\b(true|false)\b", code):
        yield Slip("constant", found.start(), found.end(), {"true": "false", "false": "true"}[found[0]])


def drops(code, text):
    """Statements that may go: calls, assignments, steps, `if (…) statement;`, never a declaration."""
    begins = re.compile(r"(?<=[;{}:])[ \n]*\n +(?=((?:if \(|\*?[\w:]+(?:<[\w:]+>)?(?:\(|\.|->|\[|\+\+;|--;| [-+*/|&]?= )"
                        r"|\+\+|--|break;|continue;)))")
    for found in begins.finditer(code):
        start = found.end()
        if re.match(r"(?:return|using|static_assert|for|while|switch|else|delete|case|throw|default)\b", code[start:]):
            continue
        end = statement_end(code, start)
        if end and not re.search(r"= (default|delete);$|^\w+\([^()]*\)\s*(:|=)|\{", code[start:end]):
            yield Slip("drop", start, end, ";" + "\n" * code.count("\n", start, end))


def statement_end(code, start):
    depth = 0
    for i in range(start, len(code)):
        if code[i] in "([":
            depth += 1
        elif code[i] in ")]":
            depth -= 1
        elif code[i] in "{}" and depth == 0:
            return None
        elif code[i] == ";" and depth == 0:
            return i + 1
        if depth < 0:
            return None
    return None


def closing(code, opening):
    """The offset of the bracket that closes the one at `opening`."""
    depth = 0
    for i in range(opening, len(code)):
        depth += (code[i] in "([{") - (code[i] in ")]}")
        if depth == 0:
            return i
    return None


def arguments(code, opening, close):
    """(begin, end) of each argument between the brackets, without the spaces around it."""
    depth, begin, found = 0, opening + 1, []
    for i in range(opening + 1, close + 1):
        if i == close or (code[i] == "," and depth == 0):
            piece = code[begin:i]
            found.append((begin + len(piece) - len(piece.lstrip()), begin + len(piece.rstrip())))
            begin = i + 1
        depth += (code[i] in "([{") - (code[i] in ")]}")
    return found


NOT_SWAPPED = ["if", "for", "while", "switch", "Check", "CheckData", "StrCat", "sizeof", "static_assert", "decltype",
               "min", "max", "Add", "Mul"]
NO_ARGUMENT = re.compile(r"^[\w:<>, ]+[&*]* [*&]?\w+$|[{};]|\bconst\b")  # a declaration's parameter, or a lambda


def swaps(code, text):
    for found in re.finditer(r"\b(\w+)(?:<[\w:, ]*>)?\(", code):
        if found[1] in NOT_SWAPPED:
            continue
        close = closing(code, found.end() - 1)
        if close is None:
            continue
        pieces = arguments(code, found.end() - 1, close)
        if any(begin >= end or NO_ARGUMENT.search(code[begin:end]) for begin, end in pieces):
            continue
        for (b0, e0), (b1, e1) in zip(pieces, pieces[1:]):
            if text[b0:e0] != text[b1:e1]:
                yield Slip("swap", b0, e1, text[b1:e1] + text[e0:b1] + text[b0:e0])


def floats(code, text):
    for found in re.finditer(r"static_cast<(double)>|(?<=[ (])(double)(?= \w+ [-+*/]?=)", code):
        group = 1 if found[1] else 2
        yield Slip("float", found.start(group), found.end(group), "float")
    for found in re.finditer(r"(?<![\w.'])(?!0\.0;)\d+\.\d+(?=[ );,])", code):
        yield Slip("float", found.start(), found.end(), found[0] + "f")


def threads(code, text):
    """A size by which work is cut becomes one that knows the number of threads."""
    for found in re.finditer(r"(?<=[ (])k[A-Z]\w+(?<!Bits)(?=[,;) ])", code):
        line = code[code.rfind("\n", 0, found.start()) + 1:found.start()]
        if re.search(r"\bconstexpr\b|\bcase\b|template", line):
            continue
        context = line + code[found.start():code.find(";", found.start())]
        if re.search(r"EvenSplit|CeilDiv|std::(min|max|clamp)|[sS]plit|[cC]hunk|[bB]lock|/ $", context):
            yield Slip("threads", found.start(), found.end(), f"(hwynn::CurrentThreadLimit() * {found[0]})", THREAD_LIMIT)


KINDS = {"operator": operators, "constant": constants, "drop": drops, "swap": swaps, "float": floats, "threads": threads}


def slips_of(text):
    """All slips that the text has room for, in the order of KINDS and of the text."""
    code = masked(text)
    lines = text.split("\n")
    found = [slip for kind in KINDS.values() for slip in kind(code, text)]
    return [slip for slip in found if not LEFT_ALONE.search(lines[text.count("\n", 0, slip.begin)])]


def draw(sources, seed):
    """Slips of `sources` ({name: text}) without end or repetition: (name, Slip), a kind first, then a folder, then a place."""
    places = {}  # kind → folder → [(name, slip)]
    for name, text in sorted(sources.items()):
        for slip in slips_of(text):
            places.setdefault(slip.kind, {}).setdefault(name.split("/")[0], []).append((name, slip))
    rng = random.Random(seed)
    while places:
        kind = rng.choice(sorted(places))
        folder = rng.choice(sorted(places[kind]))
        found = places[kind][folder]
        yield found.pop(rng.randrange(len(found)))
        if not found:
            del places[kind][folder]
        if not places[kind]:
            del places[kind]
