#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The plugin ABI does not move: every member of every public struct has the offset and size, and every
constant the value, that the file `layout` says. What is new has to be added there, at the end of its struct.

    layout.py INCLUDE-DIR LAYOUT [--print]      CC: the compiler; TAP; 77 on other machines than x86-64
"""
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

HEADERS = ["plugin", "handler", "auth", "fence"]


def strip(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def members(body):
    """Names in the order of declaration: `int32_t (*open)(…)`, `uint64_t min, max`, `char x[256]`."""
    for statement in re.sub(r"\{[^{}]*\}", "", body).split(";"):
        statement = re.sub(r"\s+", " ", statement).strip()
        if not statement:
            continue
        function = re.match(r"[^()]*\(\s*\*\s*(\w+)\s*\)", statement)
        if function:
            yield function.group(1)
            continue
        for part in statement.split(","):
            yield re.search(r"(\w+)\s*(\[[^\]]*\])*$", part.strip()).group(1)


def public(include):
    """(struct, member) pairs and names of constants, in the order of the headers."""
    pairs, constants = [], []
    for header in HEADERS:
        text = strip((include / "holdfast" / f"{header}.h").read_text())
        for name, body in re.findall(r"^struct (\w+) \{(.*?)^\};", text, flags=re.S | re.M):
            pairs += [(name, member) for member in members(body)]
        constants += re.findall(r"^#define (HF_\w+)[ \t]+\(?[0-9-]", text, flags=re.M)
    return pairs, constants


def measure(include, pairs, constants):
    lines = [f"#include <holdfast/{h}.h>" for h in HEADERS] + ["#include <stdio.h>", "int main(void) {"]
    for name, member in pairs:
        lines.append(f'printf("struct {name} {member} %zu %zu\\n", offsetof(struct {name}, {member}), '
                     f"sizeof(((struct {name} *)0)->{member}));")
    for constant in constants:
        lines.append(f'printf("const {constant} %llu\\n", (unsigned long long){constant});')
    lines.append("return 0; }")
    with tempfile.TemporaryDirectory() as place:
        source, program = pathlib.Path(place, "abi.c"), pathlib.Path(place, "abi")
        source.write_text("\n".join(lines))
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run(compiler + [f"-I{include}", str(source), "-o", str(program)], check=True)
        return subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()


def compare(now, pinned):
    """One line a difference."""
    key = lambda line: tuple(line.split()[:3 if line.startswith("struct") else 2])
    there, was = {key(l): l for l in now}, {key(l): l for l in pinned}
    for k, line in was.items():
        if k not in there:
            yield f"gone: {line}"
        elif there[k] != line and k != ("const", "HF_API_MINOR"):
            yield f"was: {line}; is: {there[k]}"
    for k, line in there.items():
        if k not in was:
            yield f"new, add it to the file layout: {line}"


def main():
    if platform.machine() != "x86_64":
        print("1..0 # SKIP the layout of x86-64 is pinned")
        return 0
    include, layout = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    now = measure(include, *public(include))
    if "--print" in sys.argv:
        print("\n".join(now))
        return 0
    pinned = [l for l in layout.read_text().splitlines() if l and not l.startswith("#")]
    wrong = list(compare(now, pinned))
    for line in wrong:
        print(f"# {line}")
    print(f"{'not ' if wrong else ''}ok 1 {len(pinned)} members and constants are where they were\n1..1")
    return 1 if wrong else 0


sys.exit(main())
