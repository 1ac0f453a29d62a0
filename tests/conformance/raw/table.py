# SPDX-License-Identifier: BSD-3-Clause
"""The table rules.txt: which test checks which rule of the protocol."""
import collections
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
DIALOGUES = HERE.parents[1] / 'dialogue'
RULE = re.compile(r'^([1-9]|1[0-9]|20) ([^:]+): (\S.*)$')
TEST = re.compile(r'^    ([a-z0-9-]+): (\S.*)$')
CASE = re.compile(r'@case\(\s*((?:\'(?:[^\'\\]|\\.)*\'\s*)+|(?:"(?:[^"\\]|\\.)*"\s*)+)')
PIECE = re.compile(r'\'((?:[^\'\\]|\\.)*)\'|"((?:[^"\\]|\\.)*)"')

Rule = collections.namedtuple('Rule', 'line section subject says tests')


def path_of(subject):
    """The file of a subject: here, or among the dialogues."""
    own = HERE / ('test_%s.py' % subject.replace('-', '_'))
    return own if own.exists() else DIALOGUES / own.name


def read():
    """Returns the rules, and what is wrong with the lines of the table."""
    rules, wrong = [], []
    for number, line in enumerate((HERE / 'rules.txt').read_text(encoding='utf-8').splitlines(), 1):
        rule, test = RULE.match(line), TEST.match(line)
        if rule:
            rules.append(Rule(number, *rule.groups(), []))
        elif test and rules:
            rules[-1].tests.append(test.groups())
        elif line.strip() and not line.startswith('#'):
            wrong.append('rules.txt:%d: neither "SECTION SUBJECT: RULE" nor "    FILE: CASE"' % number)
    return rules, wrong


def cases(path):
    """Names of the cases a file of tests has."""
    text = path.read_text(encoding='utf-8')
    return [''.join(a or b for a, b in PIECE.findall(found)) for found in CASE.findall(text)]
