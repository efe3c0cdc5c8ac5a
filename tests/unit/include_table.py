#!/usr/bin/env python3
"""usage: include_table.py [ROOT]

Hold src/ to the table "who may include whom" of ARCHITECTURE.md: every folder has a row, the table has no cycle, every
#include "folder/file.h" names an existing file of a folder that the row allows, headers are reached by their path from
src/, and only the folders and files named below the table include Linux headers."""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def read_table(text):
    """{folder: allowed names}; a name is a folder or folder/file without suffix."""
    table = {}
    section = text.split("| folder | what | may include |", 1)[1]
    for line in section.splitlines()[2:]:
        if not line.startswith("|"):
            break
        folder, _, allowed = (cell.strip() for cell in line.strip("|").split("|"))
        table[folder] = set() if allowed == "-" else set(allowed.split())
    return table


def read_linux_rule(text):
    """(who may, patterns of headers) of the sentence that begins "Only ... include Linux headers"."""
    sentence = re.search(r"^Only (.*?) include Linux headers \((.*?)\)", text, re.MULTILINE | re.DOTALL)
    who = set(re.findall(r"`([^`]+)`", sentence.group(1)))
    headers = [h.strip("<>") for h in re.findall(r"`(<[^`]+>)`", sentence.group(2))]
    return who, [re.compile(re.escape(h).replace(r"\.\.\.", ".*")) for h in headers]


def cycle_in(table):
    done, path = set(), []

    def visit(folder):
        if folder in path:
            return path[path.index(folder):] + [folder]
        if folder in done:
            return None
        path.append(folder)
        for name in sorted(table.get(folder, ())):
            found = visit(name.split("/")[0])
            if found:
                return found
        done.add(path.pop())
        return None

    return next(filter(None, map(visit, sorted(table))), None)


def check_project_include(folder, name, table, src):
    if "/" not in name:
        return f'include "{folder}/{name}", not "{name}"'
    if not (src / name).is_file():
        return f'there is no src/{name}'
    other = name.split("/")[0]
    stem = name.rsplit(".", 1)[0]
    if other == folder or other in table[folder] or stem in table[folder]:
        return None
    return f"{folder} may not include {other} (it may: {' '.join(sorted(table[folder])) or 'nothing'})"


def check_file(path, src, table, linux):
    who, headers = linux
    relative = path.relative_to(src)
    folder = relative.parts[0]
    stem = str(relative).rsplit(".", 1)[0]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        kind, name = match.groups()
        wrong = None
        if kind == '"':
            wrong = check_project_include(folder, name, table, src)
        elif any(h.fullmatch(name) for h in headers) and folder not in who and stem not in who:
            wrong = f"<{name}> is a Linux header; only {', '.join(sorted(who))} include those"
        if wrong:
            yield f"src/{relative}:{number}: {wrong}"


def problems(root):
    text = (root / "ARCHITECTURE.md").read_text()
    src = root / "src"
    table = read_table(text)
    linux = read_linux_rule(text)
    folders = {p.name for p in src.iterdir() if p.is_dir()}
    yield from (f"src/{f} has no row in ARCHITECTURE.md" for f in sorted(folders - table.keys()))
    yield from (f"ARCHITECTURE.md has a row for {f}, which is no folder" for f in sorted(table.keys() - folders))
    cycle = cycle_in(table)
    if cycle:
        yield "the table has a cycle: " + " -> ".join(cycle)
    for path in sorted(src.rglob("*.[ch]")):
        if path.relative_to(src).parts[0] in table:
            yield from check_file(path, src, table, linux)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2])
    found = list(problems(root))
    print("\n".join(found) or "every #include is allowed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
