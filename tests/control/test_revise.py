#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Verbs that change one target among many: what they leave is what the file says, and they do not read the others."""
import pathlib
import random

from client import REFUSED, kill_worker, look, run
from peer import IQN, case, main, ram

NAME = 'iqn.2026-11.org.example:t%d'
NOTHING = 'nothing to do\n'


def null(size):
    return {'handler': 'null', 'options': {'size': size}}


def many(count):
    targets = {IQN: {'portals': ['test'], 'luns': {0: ram('8M')}}}
    for i in range(count):
        targets[NAME % i] = {'luns': {0: null('1G'), 1: null('2G')}}
    return targets


def values_read(daemon):
    return look(daemon, 'status')['config-values-read']


def cost(daemon, *words):
    before = values_read(daemon)
    run(daemon, *words)
    return values_read(daemon) - before


def luns_of(daemon):
    """What runs: {target: {LUN: bytes}}."""
    found = {t['name']: {} for t in look(daemon, 'targets')}
    for lun in look(daemon, 'luns'):
        found[lun['target']][lun['lun']] = lun['bytes']
    return found


def is_as_the_file_says(daemon):
    assert run(daemon, 'plan', daemon.config_file) == NOTHING
    assert run(daemon, 'reload') == NOTHING


@case('a change reads what it is about, and not the other targets', own={'targets': many(300)})
def _(target):
    daemon, spent = target.daemon, []
    whole = cost(daemon, 'reload')
    for words in (['lun', 'set', NAME % 7, 2, 'handler=null', 'size=3G'], ['target', 'set', NAME % 900, 'alias=x'],
                  ['lun', 'resize', NAME % 7, 2, '4G'], ['lun', 'set', NAME % 900, 0, 'handler=ram', 'size=1M'],
                  ['lun', 'remove', NAME % 7, 2], ['target', 'remove', NAME % 900]):
        spent.append(cost(daemon, *words))
    assert whole > 300 * 10 and all(0 < n < 1000 for n in spent), (whole, spent)
    is_as_the_file_says(daemon)


@case('sixty changes, one after the other, leave what the file says, and another worker finds it so',
      own={'targets': many(8)})
def _(target):
    daemon, chance = target.daemon, random.Random(4)
    session = target.login()
    wanted = luns_of(daemon)
    for turn in range(60):
        name, lun = NAME % chance.randrange(14), chance.randrange(5)
        has = wanted.get(name)
        what = chance.randrange(6)
        if what == 0 and has is not None and len(wanted) > 4:
            run(daemon, 'target', 'remove', name)
            del wanted[name]
        elif has is None:
            run(daemon, 'target', 'set', name, 'alias=turn %d' % turn)
            wanted[name] = {}
        elif what == 1:
            run(daemon, 'lun', 'remove', name, lun)
            has.pop(lun, None)
        elif what == 2 and lun in has:
            has[lun] += 1 << 20
            run(daemon, 'lun', 'resize', name, lun, has[lun])
        elif what == 3 and lun in has:
            run(daemon, 'lun', 'reopen', name, lun)
        elif lun not in has:
            has[lun] = (turn + 1) << 20
            run(daemon, 'lun', 'set', name, lun, 'handler=null', 'size=%dM' % (turn + 1))
        if turn % 20 == 19:
            assert luns_of(daemon) == wanted
            is_as_the_file_says(daemon)
    kill_worker(daemon)
    assert luns_of(daemon) == wanted
    session.alive()


@case('a worker that is killed after a change has it', own={'targets': many(3)})
def _(target):
    for lun in range(2, 6):
        run(target.daemon, 'lun', 'set', NAME % 1, lun, 'handler=null', 'size=%dG' % lun)
        kill_worker(target.daemon)
        assert luns_of(target.daemon)[NAME % 1][lun] == lun << 30
    is_as_the_file_says(target.daemon)


@case('what is wrong is said as of the whole file, and changes nothing', own={'targets': many(3)})
def _(target):
    path = pathlib.Path(target.daemon.config_file)
    run(target.daemon, 'lun', 'set', NAME % 0, 0, 'serial=mine')  # a line more above the target
    before = path.read_text(encoding='utf-8')
    line = 1 + [NAME % 1 in text for text in before.splitlines()].index(True)
    for words, said in ((['lun', 'set', NAME % 1, 4, 'handler=null', 'nonsense=1'], 'nonsense'),
                        (['lun', 'set', NAME % 1, 4, 'handler=nothing'], 'nothing'),
                        (['lun', 'set', NAME % 1, 4, 'handler=ram', 'size=none'], 'size'),
                        (['target', 'set', NAME % 1, 'portals=elsewhere'], 'elsewhere'),
                        (['target', 'set', NAME % 1, 'alias=' + 'x' * 300], 'alias')):
        error = run(target.daemon, *words, expect=REFUSED)
        place = error.split('.yaml:')[1].split(':')
        assert said in error and line <= int(place[0]) <= line + 10, error
    assert path.read_text(encoding='utf-8') == before
    is_as_the_file_says(target.daemon)
    run(target.daemon, 'lun', 'set', NAME % 1, 0, 'serial=mine')
    assert 'will take both LUNs for one disk' in target.daemon.log(), target.daemon.log()


@case('a file that others have changed is refused until it is reloaded', own={'targets': many(3)})
def _(target):
    path = pathlib.Path(target.daemon.config_file)
    path.write_text('# by hand\n' + path.read_text(encoding='utf-8'), encoding='utf-8')
    words = 'lun', 'set', NAME % 1, 4, 'handler=null', 'size=1G'
    assert 'has changed since it was read' in run(target.daemon, *words, expect=REFUSED)
    run(target.daemon, 'reload')
    run(target.daemon, *words)
    assert path.read_text(encoding='utf-8').startswith('# by hand\n')
    is_as_the_file_says(target.daemon)


@case('sessions of other targets notice nothing of it', own={'targets': many(2)})
def _(target):
    session, other = target.login(), target.login(iqn=NAME % 0)
    for turn in range(20):
        run(target.daemon, 'lun', 'set', NAME % 1, turn + 2, 'handler=null', 'size=1G')
        session.alive()
        other.alive()
    error = run(target.daemon, 'lun', 'remove', NAME % 0, 1, expect=REFUSED)
    assert 'is in use' in error, error
    run(target.daemon, 'lun', 'remove', NAME % 0, 1, '--force')
    session.alive()
    assert 1 not in luns_of(target.daemon)[NAME % 0]
    late = target.login(iqn=NAME % 1)
    late.alive()
    is_as_the_file_says(target.daemon)


if __name__ == '__main__':
    main(__file__)
