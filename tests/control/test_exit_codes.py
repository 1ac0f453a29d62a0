#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The exit codes of holdfastctl, verb by verb: a row each, and a column for each way it can end. No row
may be missing: the verbs are taken from the program's own help."""
import contextlib
import pathlib
import re
import socket
import subprocess

import client
from client import CHANGES, DONE, NO_DAEMON, REFUSED, USAGE, as_user, is_root, start
from peer import IQN, Skip, case, main, ram

LIMIT = 60.0
NOBODY = 65534
TARGETS = {IQN: {'portals': ['test'], 'luns': {0: {'handler': 'null', 'options': {'size': '8M'}}, 1: ram('8M')}}}
NEW, NONE = 'iqn.2026-11.org.example:new', 'iqn.2026-11.org.example:none'


class Verb:
    """`done`: words that succeed, in this order; `again`: those that then have nothing to do; `usage`: wrong
    words; `refused`: objects that are not there; `changes`: only root and the group may."""
    def __init__(self, done, again=(), usage=(), refused=(), changes=False):
        self.done, self.again, self.usage, self.refused, self.changes = done, again, usage, refused, changes


VERBS = {
    'status': Verb([()], usage=[('x',)]),
    'targets': Verb([()], usage=[('x',)]),
    'sessions': Verb([(), (IQN,), ('--advice',)], usage=[(IQN, 'x')], refused=[(NONE,), ('no name',)]),
    'luns': Verb([(), (IQN,)], usage=[(IQN, 'x')], refused=[(NONE,)]),
    'portals': Verb([()], usage=[('x',)]),
    'metrics': Verb([()], usage=[('x',)]),
    'progress': Verb([()], usage=[('x',), ('--wait',)]),
    'log': Verb([(), ('info',)], again=[('info',)], usage=[('loud',), ('info', 'x')], changes=('info',)),
    'top': Verb([('--count', '1', '--interval', '0.1')], usage=[('x',), ('--count', '0'), ('--interval', 'x')]),
    'session drop': Verb([('SESSION',)], usage=[(), ('x',), ('1', '2')], refused=[('60000',), ('0',)], changes=('1',)),
    'lun resize': Verb([(IQN, '0', '16M')], again=[(IQN, '0', '16M')],
                       usage=[(), (IQN,), (IQN, '0'), (IQN, 'x', '16M'), (IQN, '0', 'big'), (IQN, '0', '16M', 'x')],
                       refused=[(NONE, '0', '16M'), (IQN, '9', '16M'), (IQN, '0', '4M')], changes=(IQN, '0', '32M')),
    'target set': Verb([(NEW,), (NEW, 'alias=x')], again=[(NEW,), (NEW, 'alias=x')],
                       usage=[(), (NEW, 'alias')], refused=[('no name',), (NEW, 'alais=x')], changes=(NONE,)),
    'lun set': Verb([(NEW, '0', 'handler=ram', 'size=1M')], again=[(NEW, '0', 'handler=ram', 'size=1M')],
                    usage=[(), (NEW,), (NEW, 'x', 'handler=ram'), (NEW, '0', 'handler')],
                    refused=[(NONE, '0', 'handler=ram', 'size=1M'), (NEW, '5', 'handler=no'), (NEW, '5')],
                    changes=(NEW, '7', 'handler=ram', 'size=1M')),
    'lun remove': Verb([(NEW, '0')], again=[(NEW, '0'), (NONE, '0')], usage=[(), (NEW,), (NEW, 'x'), (NEW, '0', 'x')],
                       refused=[('no name', '0'), (IQN, '1')], changes=(NEW, '0')),
    'target remove': Verb([(NEW,)], again=[(NEW,), (NONE,)], usage=[(), (NEW, 'x')],
                          refused=[('no name',), (IQN,)], changes=(NEW,)),
    'plan': Verb([('FILE',)], usage=[(), ('FILE', 'x')], refused=[('/nonexistent',)], changes=('FILE',)),
    'reload': Verb([()], again=[()], usage=[('x',), ('--drain', 'x')], refused=[('--drain', '2h')], changes=()),
    'upgrade': Verb([()], usage=[('a', 'b')], refused=[('/nonexistent',)], changes=()),
    'fence raise': Verb([], usage=[('x',)], refused=[()], changes=()),
    'fence lower': Verb([], usage=[('x',)], refused=[()], changes=()),
    'fence show': Verb([()], usage=[('x',)]),
}


def exits(daemon, verb, words, expect, *options, **more):
    """Runs it; the exit code, and that a failure has its reason on standard error."""
    command = list(options) + verb.split() + list(words)
    with start(daemon, *command, **more) as process:
        out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == expect, '%s: exit code %d, expected %d\n%s%s' % (
        ' '.join(command), process.returncode, expect, out, err)
    assert (err == '') == (expect in (DONE, CHANGES)), '%s: %r' % (' '.join(command), err)


def filled(words, **values):
    return [str(values.get(word, word)) for word in words]


@case('output that cannot be written is a failure, and says so', own={})
def _(target):
    for words in (('status',), ('--json', 'luns'), ('metrics',), ('top', '--once', '--interval', '0.1'),
                  ('--json', 'top', '--once'), ('progress',)):
        with open('/dev/full', 'w', encoding='ascii') as full, start(target.daemon, *words, stdout=full) as process:
            _, err = process.communicate(timeout=LIMIT)
        assert process.returncode == REFUSED and err.startswith('holdfastctl: standard output: No space'), (words, err)


@case('a message does not move the cursor of a terminal', own={})
def _(target):
    for words in (('target', 'set', 'iqn.\x1b[31mx'), ('\x1b[31m',), ('lun', 'set', IQN, '\x1b[2J'),
                  ('plan', '/\x1b[2J')):
        with start(target.daemon, *words) as process:
            _, err = process.communicate(timeout=LIMIT)
        assert process.returncode in (REFUSED, USAGE) and '\x1b' not in err and '?[' in err, err


@case('the table has every verb of the help', own={'start': False})
def _(target):
    text = subprocess.run([client.program(), '--help'], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r'^  ([a-z]+)', text, re.M)) | set(re.findall(r'\| ([a-z]+ [a-z]+)', text))
    assert {name.split()[0] for name in known} == {name.split()[0] for name in VERBS}, known


@case('success is 0, and 0 again when there is nothing to do', own={'targets': TARGETS})
def _(target):
    target.daemon.killed_workers = True     # `upgrade` replaces it
    for name, verb in VERBS.items():
        for words in list(verb.done) + list(verb.again):
            session = str(client.look(target.daemon, 'sessions')[0]['id']) if 'SESSION' in words and \
                target.login() else ''
            exits(target.daemon, name, filled(words, SESSION=session, FILE=target.daemon.config_file), DONE)


@case('plan exits with 4 when there is something to do', own={'targets': TARGETS})
def _(target):
    other = target.daemon.folder / 'other.yaml'
    other.write_text(target.daemon.config_file.read_text().replace('8M', '9M'))
    exits(target.daemon, 'plan', [str(other)], CHANGES)


@case('wrong words are 2, with a daemon and without', own={'targets': TARGETS})
def _(target):
    for name, verb in VERBS.items():
        for words in verb.usage:
            exits(target.daemon, name, filled(words, FILE=target.daemon.config_file), USAGE)
    for words in (['nonsense'], ['lun'], ['lun', 'nonsense'], ['--nonsense', 'status'], ['--timeout', '0', 'status'], []):
        exits(target.daemon, ' '.join(words), [], USAGE)


@case('what is not there, or must not be, is 1', own={'targets': TARGETS})
def _(target):
    session = target.login()
    exits(target.daemon, 'target set', (NEW,), DONE)
    for name, verb in VERBS.items():
        for words in verb.refused:
            exits(target.daemon, name, words, REFUSED)
    session.alive()


@case('without a daemon every verb is 3', own={'start': False})
def _(target):
    for name, verb in VERBS.items():
        for words in (verb.done or [()])[:1]:
            exits(target.daemon, name, filled(words, SESSION='1', FILE='/etc/hostname'), NO_DAEMON, '--timeout', '0.3')


@case('who is let in but may not change anything gets 1 from the verbs that do, 0 from the others', own={
    'targets': TARGETS})
def _(target):
    if not is_root():
        raise Skip('needs root')
    daemon = target.daemon
    pathlib.Path(client.path_of(daemon)).chmod(0o666)
    daemon.folder.chmod(0o755)
    daemon.config_file.chmod(0o644)
    for name, verb in VERBS.items():
        if verb.changes is not False:
            exits(daemon, name, filled(verb.changes, FILE=daemon.config_file), REFUSED, **as_user(NOBODY, NOBODY))
        else:
            exits(daemon, name, verb.done[0], DONE, **as_user(NOBODY, NOBODY))


@case('a daemon that does not answer in time is 3', own={'start': False})
def _(target):
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as deaf:
        deaf.bind(str(client.path_of(target.daemon)))
        deaf.listen(64)
        for name, verb in VERBS.items():
            for words in (verb.done or [()])[:1]:
                exits(target.daemon, name, filled(words, SESSION='1', FILE='/etc/hostname'), NO_DAEMON,
                      '--timeout', '0.2')


if __name__ == '__main__':
    main(__file__)
