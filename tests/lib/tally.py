#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Counts what a test stage did.

    tally.py meson TESTLOG.JSON    every TAP case of every meson test; a test without TAP counts as one
    tally.py tap   LOG             a TAP stream
    tally.py line  LOG             the last line "N passed, N failed, N skipped"

Prints "PASSED FAILED SKIPPED" on stdout and, for people, what failed and why cases were skipped on
stderr.
"""
import collections
import json
import re
import sys

CASE = re.compile(r'^\s*(not )?ok\b[^#\n]*(#\s*(skip|todo)\b.*)?', re.I)
PLAN = re.compile(r'^1\.\.(\d+)(\s*#\s*skip\b.*)?\s*$', re.I)
LINE = re.compile(r'^(\d+) passed, (\d+) failed, (\d+) skipped\s*$')
GOOD = re.compile(r'^(ok|pass|skip)\b')   # lines of a runner that tell nothing about a failure
WHY = re.compile(r'#\s*skip\S*\s*(.*)', re.I)
SHOWN_LINES = 160
SHOWN_REASONS = 12

skip_reasons = collections.Counter()


def tap_counts(text):
    """Returns [passed, failed, skipped], the number of cases planned or None, and the failed lines."""
    counts, planned, failed = [0, 0, 0], None, []
    for line in text.splitlines():
        plan = PLAN.match(line)
        if plan:
            planned = int(plan.group(1))
            if planned == 0 and plan.group(2):
                counts[2] += 1
                skip_reasons[WHY.search(line).group(1)] += 1
            continue
        case = CASE.match(line)
        if not case:
            continue
        directive = (case.group(3) or '').lower()
        if directive == 'skip':
            counts[2] += 1
            skip_reasons[WHY.search(line).group(1)] += 1
        elif case.group(1) and directive != 'todo':
            counts[1] += 1
            failed.append(line.strip())
        else:
            counts[0] += 1
    return counts, planned, failed


def tap_is_complete(counts, planned):
    return planned is not None and (planned == sum(counts) or planned == 0)


def shortened(text):
    """The beginning and the end: the first failure is often the cause, the last lines the end of it."""
    lines = text.rstrip().splitlines()
    dropped = len(lines) - SHOWN_LINES
    if dropped > 0:
        half = SHOWN_LINES // 2
        lines = lines[:half] + ['[%d lines left out]' % dropped] + lines[-half:]
    return '\n'.join('    ' + line for line in lines)


def failed_cases(text):
    """The lines of a TAP stream that tell what failed: each bad case with the comments after it."""
    kept, keep = [], False
    for line in text.splitlines():
        if CASE.match(line):
            keep = bool(CASE.match(line).group(1))
        if keep or line.startswith(('Bail out', 'tests/run:')):
            kept.append(line)
    return '\n'.join(kept)


def show(title, *texts):
    print('--- FAILED: ' + title, file=sys.stderr)
    for text in texts:
        if text:
            print(shortened(text), file=sys.stderr)


def of_meson(path):
    total = [0, 0, 0]
    with open(path, encoding='utf-8', errors='replace') as log:
        tests = [json.loads(line) for line in log if line.strip()]
    for test in tests:
        result, out = test['result'], test.get('stdout') or ''
        counts, planned, failed = tap_counts(out)
        good = result in ('OK', 'EXPECTEDFAIL', 'SKIP')
        if planned is None and sum(counts) == 0:
            counts = [0, 0, 0]
            counts[2 if result == 'SKIP' else 0 if good else 1] = 1
            if result == 'SKIP':
                skip_reasons[test['name']] += 1
        elif not good and counts[1] == 0:
            counts[1] = 1  # every case passed, then the program crashed, ran too long or stopped early
        if counts[1]:
            show('%s (%s) %s' % (test['name'], result, '; '.join(failed)), out,
                 test.get('stderr') or '')
        total = [a + b for a, b in zip(total, counts)]
    return total


def of_tap(path):
    text = open(path, encoding='utf-8', errors='replace').read()
    counts, planned, failed = tap_counts(text)
    if not tap_is_complete(counts, planned):
        counts[1] += 1
        failed.append('the stream of results is not complete')
    if failed:
        show('%d cases' % len(failed), failed_cases(text) or text)
    return counts


def of_line(path):
    text = open(path, encoding='utf-8', errors='replace').read()
    last = [LINE.match(line) for line in text.rstrip().splitlines()[-1:]]
    if not last or not last[0]:
        show('no final line "N passed, N failed, N skipped"', text)
        return [0, 1, 0]
    counts = [int(number) for number in last[0].groups()]
    if counts[2]:
        # "skip NAME: why" or "skipped: why"
        skip_reasons.update(line.split(': ', 1)[-1] for line in text.splitlines()
                            if line.startswith('skip'))
    if counts[1]:
        show('%d cases' % counts[1], '\n'.join(line for line in text.splitlines() if not GOOD.match(line)))
    return counts


if __name__ == '__main__':
    kinds = {'meson': of_meson, 'tap': of_tap, 'line': of_line}
    if len(sys.argv) != 3 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    print(*kinds[sys.argv[1]](sys.argv[2]))
    for reason, number in skip_reasons.most_common(SHOWN_REASONS):
        print('   skipped %d: %s' % (number, reason or 'no reason given'), file=sys.stderr)
