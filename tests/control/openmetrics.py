# SPDX-License-Identifier: BSD-3-Clause
"""A small and strict reader of OpenMetrics text 1.0.0, as far as we write it: it refuses what it does not know."""
import math
import re

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
COMMENT = re.compile(r'# (TYPE|UNIT|HELP) (%s) (.*)' % NAME)
SAMPLE = re.compile(r'(%s)(?:\{(.*)\})? ([^ ]+)' % NAME)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
SUFFIXES = {'gauge': [''], 'counter': ['_total', '_created'], 'info': ['_info'],
            'histogram': ['_bucket', '_count', '_sum', '_created']}


class Family:
    def __init__(self, name):
        self.name, self.type, self.unit, self.help = name, None, None, None
        self.samples = {}       # (suffix, ((label, value), ...)): number


def labels_of(text):
    labels, at = {}, 0
    while at < len(text):
        found = LABEL.match(text, at)
        assert found, 'labels: %r at %d' % (text, at)
        name, value, _ = found.groups()
        assert name not in labels, 'label twice: %r' % text
        labels[name] = re.sub(r'\\(.)', lambda m: {'n': '\n'}.get(m.group(1), m.group(1)), value)
        at = found.end()
    assert not text.endswith(','), text
    return tuple(sorted(labels.items()))


def number_of(text):
    if text == '+Inf':
        return math.inf
    assert re.fullmatch(r'[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?', text), 'number: %r' % text
    return float(text)


def check_histogram(family):
    series = {}
    for (suffix, labels), number in family.samples.items():
        rest = tuple(label for label in labels if label[0] != 'le')
        entry = series.setdefault(rest, {'buckets': []})
        if suffix == '_bucket':
            entry['buckets'].append((number_of(dict(labels)['le']), number))
        else:
            assert labels == rest
            entry[suffix] = number
    for labels, entry in series.items():
        bounds = [bound for bound, _ in entry['buckets']]
        counts = [count for _, count in entry['buckets']]
        assert bounds == sorted(set(bounds)) and bounds[-1] == math.inf, (family.name, labels, bounds)
        assert counts == sorted(counts) and counts[-1] == entry['_count'], (family.name, labels, entry)
        assert entry['_sum'] >= 0


def check_family(family):
    assert family.type in SUFFIXES, '%s: type %s' % (family.name, family.type)
    assert family.help, '%s: no help' % family.name
    if family.unit:
        assert family.name.endswith('_' + family.unit), family.name
    if family.type == 'counter':
        assert not family.name.endswith('_total'), family.name
        assert all(number >= 0 for number in family.samples.values())
    if family.type == 'info':
        assert all(number == 1 for number in family.samples.values())
    if family.type == 'histogram':
        check_histogram(family)


def family_of(name, families, current):
    """The sample's family, which must be the one whose comments came last, and its suffix."""
    assert current, 'a sample before any family: %s' % name
    for suffix in SUFFIXES[families[current].type]:
        if name == current + suffix:
            return families[current], suffix
    raise AssertionError('%s does not belong to %s' % (name, current))


def parse(text):
    """Families by name; AssertionError with the reason if anything is not as it must be."""
    assert text.endswith('\n# EOF\n'), text[-100:]
    families, current = {}, None
    for line in text[:-len('# EOF\n')].splitlines():
        comment = COMMENT.fullmatch(line)
        if comment:
            what, name, rest = comment.groups()
            if what == 'TYPE':
                assert name not in families, 'family twice, or in pieces: ' + name
                families[name], current = Family(name), name
            assert name == current, line
            field = what.lower()
            assert getattr(families[name], field) is None, 'twice: ' + line
            assert not families[name].samples, 'a comment after samples: ' + line
            setattr(families[name], field, rest)
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, 'line: %r' % line
        name, labels, number = sample.groups()
        family, suffix = family_of(name, families, current)
        key = suffix, labels_of(labels or '')
        assert key not in family.samples, 'sample twice: ' + line
        family.samples[key] = number_of(number)
    for family in families.values():
        check_family(family)
    return families


def value(families, name, suffix='', **labels):
    return families[name].samples[suffix, tuple(sorted(labels.items()))]
