#!/usr/bin/python3
"""Write N expressions with contexts, one JSON object a line: input for answer.mjs and `devdep-cli expr --jsonl`.

Half come from the grammar, a third are lines of expressions.txt put together and changed by token, the rest are both with a slip of the
hand: a character too many, too few, or in the wrong place. About half have a value. What is known to differ (docs/compatibility.md) is not written: more than
one '' in a string, the final sigma, keys that JavaScript takes for numbers or finds in a prototype, half a surrogate pair.

usage: generate.py SEED COUNT"""
import json
import pathlib
import random
import re
import sys

FIXED = {
    "github": {"ref": "refs/heads/main", "Actor": "Ada", "run_id": 17, "empty": "", "nothing": None, "yes": True,
               "event": {"commits": [{"id": 1, "who": {"n": "a"}}, {"id": "2"}, 3, [4, {"id": 5}]], "labels": ["bug", "Big", 1]}},
    "matrix": {"os": "linux", "n": 1.5, "list": [1, "1", True, None, [], {}]},
    "env": {},
    "needs": {"a-b": {"outputs": {"x": "1"}, "result": "success"}, "c": {"outputs": {}, "result": "failure"}},
}
NUMBERS = ["0", "1", "-1", "1.5", "0x1F", "0o17", "0b11", "1e3", "-1E-3", ".5", "+7", "1.", "NaN", "Infinity", "-Infinity", "+Infinity", "1e400",
           "9007199254740993", "0.1", "1e21", "1e-7", "123456789012345680000", "0.30000000000000004", "-0", "0XfF", "00012", "5e-324",
           "1.7976931348623157e308", "1.7976931348623159e308", "4.35", "0.000001", "123456789.123456789", "2.5e-8", "-1e-400", "1.0000000000000002",
           "9007199254740992.5", "0xFFFFFFFFFFFFFFFFFF", "999999999999999999999", "+.5e+2", "0x8000000000000400", "0x8000000000000401"]
NO_NUMBERS = ["0x", "1..2", "5-3", "-", "0o8", "-0x1", "1e", "1e+", "1_000", "0x1p3", "NAN", "infinity", "-NaN", "1e5.5", ".", "+"]
STRINGS = ["", "a", "A", "ab", "1", " 1 ", "0x1f", "true", "it''s", "null", "NaN", "Infinity", "1e3", "äÖ", "ı", "I", "i", "İ", "{0}", "{0} {1}", "{{}}",
           "{", "}", "{0", "{x}", "{0:x}", "[1,2]", '{"a":{"B":[1,null]}}', '{"x":1,"X":2}', "[", "refs/heads/MAIN", "ß", "SS", "ﬁ", "z{1}z", "0", "-0",
           "2", "{00}", "\t1\n", "0b1", "1_0", "0x1g", "+1", "-1", ".", "1.", "bug", "日本", "😀", "\ufeff1", "\u00a0", "\u2028", "{ 0}", "{0 }", "{-1}",
           "{4294967296}", "{}}", "}}{{", "{{0}}", "{{{0}}}", "{0}}", "'' ", '"é\\u0041\\n"', '"\\ud83d\\ude00"', "1e400", "[1,]", '{"a":1,"a":2}', "01",
           '{"a":1} x', "tru", '"\t"', "-Infinity", "1 2", "0x-1", "0.1e-6", '[[[[1]]]]', '{"b":[{"c":"D"},{"C":2},7]}', "ǅ", "ŉ", "ΐ", "Ⅷ", "ⓐ", "𐐨", "Ꭰ",
           " ", "\n", "\x00", "\x1f", "\x7f", "\u0085", "success", "refs/heads/main", "linux", "LINUX", "ada"]
NAMES = ["ref", "REF", "actor", "event", "commits", "labels", "id", "who", "n", "list", "outputs", "x", "result", "a-b", "c", "missing",
         "true", "null", "empty", "nothing", "yes", "run_id", "NaN", "Infinity", "_", "a_-9", "B"]
FUNCTIONS = {"contains": [2], "startsWith": [2], "endsWith": [2], "format": [1, 2, 3, 4, 7], "join": [1, 2], "toJSON": [1], "fromJSON": [1], "case": [3, 5, 7],
             "CONTAINS": [2], "fromjson": [1], "Join": [2]}
NO_FUNCTIONS = ["hashFiles", "success", "nope", "to-JSON"]
OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "&&", "||"]
NOISE = ["'", "\"", "=", "&", "|", ")", "(", "]", "[", ",", ".", "*", "!", "@", "#", "é", "\n", "\t", "-", "+", "$", "{", "}", "\\", "\x0b", "a b", "\u00a0",
         "\u2003", "\r", "\ufeff", "%", "0", "'a'", "&&", "||", "==", ".*", "[0]", "!!"]
KEYS = ["a", "B", "b", "x-y", "X_Y", "é", "É", "long key", "", "id", "ID", "n", "ref", "ß", "ı", "ǅ"]
TOKEN = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][A-Za-z0-9_-]*|[-+]?[0-9.][0-9A-Za-z.+-]*|==|!=|<=|>=|&&|\|\||\s+|.", re.S)
CORPUS = [line for line in pathlib.Path(__file__).with_name("expressions.txt").read_text().splitlines() if line and not line.startswith("#")]
TOKENS = [TOKEN.findall(line) for line in CORPUS]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.pieces = [token for line in TOKENS for token in line]
        self.names = list(FIXED)
        self.tail = None
        self.left = 0

    # Values of contexts.

    def value(self, depth):
        kind = self.r.random()
        if depth <= 0 or kind < 0.5:
            return self.r.choice([None, True, False, 0, -0.0, 1, -1.5, 1e21, 1e-7, 12345678901234567890, self.r.random(), self.r.randrange(100),
                                  *(self.r.choice(STRINGS) for _ in range(6))])
        if kind < 0.75:
            return [self.value(depth - 1) for _ in range(self.r.randrange(5))]
        return {self.r.choice(KEYS + NAMES[:19]): self.value(depth - 1) for _ in range(self.r.randrange(12))}

    def contexts(self):
        """The tail of a line. The same for some lines, because that is how callers use it."""
        if self.left == 0:
            self.left = self.r.choice([1, 5, 50])
            contexts = FIXED if self.r.random() < 0.5 else {**FIXED, "matrix": self.value(3), "github": self.value(4), "Steps": self.value(2)}
            self.names = list(contexts)
            self.tail = ', "contexts": ' + json.dumps(contexts) + "}"
        self.left -= 1
        return self.tail

    # The grammar.

    def string(self):
        return "'" + self.r.choice(STRINGS) + "'"

    def literal(self):
        kind = self.r.random()
        if kind < 0.3:
            return self.r.choice(NUMBERS if self.r.random() < 0.98 else NO_NUMBERS)
        if kind < 0.4:
            return repr(self.r.uniform(-10, 10) * 10 ** self.r.randrange(-25, 25))
        if kind < 0.85:
            return self.string()
        return self.r.choice(["true", "false", "null"] * 20 + ["True"])

    def access(self, depth):
        text = self.r.choice(["GitHub", "unknown", "steps", "NEEDS"]) if self.r.random() < 0.02 else self.r.choice(self.names)
        for _ in range(self.r.randrange(5)):
            kind = self.r.random()
            if kind < 0.5:
                text += "." + self.r.choice(NAMES)
            elif kind < 0.7:
                text += self.r.choice([".*", "[*]"])
            elif kind < 0.85:
                text += "[" + self.r.choice(["0", "1", "2.9", "-0", "'id'", "'ID'", "'1'", "null", "true", "''", "NaN", "1e9", "-1", "'é'"]) + "]"
            else:
                text += "[" + self.expression(depth - 2) + "]"
        return text

    def call(self, depth):
        name = self.r.choice(list(FUNCTIONS))
        count = self.r.choice(FUNCTIONS[name]) if self.r.random() < 0.97 else self.r.randrange(5)
        if self.r.random() < 0.01:
            name = self.r.choice(NO_FUNCTIONS)
        blank = self.r.choice(["", "", " "])
        arguments = [self.expression(depth - 1) for _ in range(count)]
        if name == "case" and self.r.random() < 0.7:
            arguments = [self.expression(1) + self.r.choice(OPERATORS[:6]) + self.literal() if i % 2 == 0 else a for i, a in enumerate(arguments)]
        return name + "(" + ("," + blank).join(arguments) + self.r.choice([")"] * 200 + [",)", " )"])

    def expression(self, depth=4):
        kind = self.r.random()
        if depth <= 0 or kind < 0.25:
            return self.literal() if self.r.random() < 0.6 else self.access(depth)
        if kind < 0.4:
            return self.access(depth)
        if kind < 0.62:
            return self.call(depth)
        if kind < 0.9:
            gap = self.r.choice([" ", "", "  "])
            return self.expression(depth - 1) + gap + self.r.choice(OPERATORS) + gap + self.expression(depth - 1)
        if kind < 0.95:
            return "!" + self.expression(depth - 1)
        return "(" + self.expression(depth - 1) + ")" + self.r.choice(["", "", ".x", "[0]", ".*"])

    def extreme(self):
        """Close to the limits of depth, length and number of arguments."""
        n = self.r.choice([10, 23, 24, 25, 46, 47, 48, 49, 50, 51, 52, 60])
        kind = self.r.randrange(8)
        if kind == 0:
            return "(" * n + self.literal() + ")" * (n if self.r.random() < 0.9 else n - 1)
        if kind == 1:
            return "!" * n + self.literal()
        if kind == 2:
            return "github" + self.r.choice([".x", "[0]", ".*", "[*]", "['a']"]) * n
        if kind == 3:
            return "format('{0}'," * (n // 2) + "1" + ")" * (n // 2)
        if kind == 4:
            return "format('{250}'" + ",1" * self.r.choice([250, 251, 253, 254, 255, 256]) + ")"
        if kind == 5:
            return self.r.choice([" && ", " || ", " == ", " < "]).join(self.literal() for _ in range(n * 3))
        if kind == 6:
            return "'" + self.r.choice("aé😀") * self.r.choice([10498, 10499, 20997, 20998, 20999, 21000]) + "'"
        return "github[" * n + "0" + "]" * n

    # Changes.

    def exchange(self, tokens):
        """One operand for another, or one operator: most stay well-formed."""
        literals = [i for i, token in enumerate(tokens) if token[0] in "'0123456789" or token in ("true", "false", "null", "NaN")]
        operators = [i for i, token in enumerate(tokens) if token in OPERATORS]
        if operators and (not literals or self.r.random() < 0.3):
            tokens[self.r.choice(operators)] = self.r.choice(OPERATORS)
        elif literals:
            tokens[self.r.choice(literals)] = self.literal() if self.r.random() < 0.7 else self.access(2)

    def mix(self):
        tokens = list(self.r.choice(TOKENS))
        for _ in range(self.r.randrange(1, 4)):
            at = self.r.randrange(len(tokens) + 1)
            kind = self.r.choice([0, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6])
            if kind == 6:
                self.exchange(tokens)
            elif kind == 0:
                tokens.insert(at, self.r.choice(self.pieces))
            elif kind == 1 and tokens:
                del tokens[min(at, len(tokens) - 1)]
            elif kind == 2 and tokens:
                tokens[min(at, len(tokens) - 1)] = self.r.choice(self.pieces)
            elif kind == 3:
                tokens[at:at] = self.r.choice(TOKENS)
            elif kind == 4 and tokens:
                tokens[min(at, len(tokens) - 1)] = self.expression(2)
            else:
                other = self.r.choice(TOKENS)
                tokens = tokens[:at] + other[self.r.randrange(len(other) + 1):]
        return "".join(tokens)

    def slip(self, text):
        at = self.r.randrange(len(text) + 1)
        return text[:at] + self.r.choice(NOISE) + text[at + self.r.randrange(2):]

    def text(self):
        kind = self.r.random()
        if kind < 0.5:
            return self.expression(self.r.randrange(6))
        if kind < 0.51:
            return self.extreme()
        if kind < 0.85:
            return self.mix()
        if kind < 0.88:
            return self.r.choice(CORPUS)
        return self.slip(self.mix() if self.r.random() < 0.5 else self.expression(self.r.randrange(6)))

    def line(self):
        contexts = self.contexts()
        text = self.text()
        while known_to_differ(text):
            text = self.text()
        return '{"expr": ' + json.dumps(text) + contexts


def has_half_of_a_pair(text):
    """An escape of JSON that is a surrogate without its other half."""
    return re.search(r"\\u[dD][89a-fA-F]", re.sub(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}", "", text))


def known_to_differ(text):
    if has_half_of_a_pair(text):
        return True
    return "''" in text and any(len(re.findall("''", string)) > 1 for string in re.findall(r"'(?:[^']|'')*'?", text) if len(string) > 2)


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    maker = Maker(seed)
    for _ in range(count):
        print(maker.line())


if __name__ == "__main__":
    main()
