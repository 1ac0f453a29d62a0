# SPDX-License-Identifier: BSD-3-Clause
"""Plugins that fail, hang, or may too much: the daemon goes on, and says so."""
import pathlib
import re

from network import V4, connects, wait_until
from server import server

NET_ADMIN, NET_RAW = 12, 13


def odd(mode, note):
    return {'plugin': 'odd', 'options': {'mode': mode, 'note': str(note)}}


def stops_all_the_same(folder, mode, words):
    note = pathlib.Path(folder) / 'note'
    with server(odd(mode, note)) as one:
        one.start()
        assert connects(V4)
        one.stop()
        assert one.find('cannot raise it: ' + words), one.log()[-30:]
        return note.read_text(encoding='ascii') if note.exists() else ''


def a_plugin_that_fails(folder):
    stops_all_the_same(folder, 'fail', 'the helper says why above')


def a_plugin_that_hangs(folder):
    """It is killed, and so is the process that it started."""
    pids = stops_all_the_same(folder, 'hang', 'the helper hangs and was killed').split()
    assert len(pids) == 2, pids
    for pid in pids:
        wait_until('process %s is gone' % pid, lambda one=pid: not alive(one))


def alive(pid):
    try:
        status = pathlib.Path('/proc/%s/stat' % pid).read_text(encoding='ascii')
    except OSError:
        return False
    return ') Z ' not in status


def by_hand_it_says_why(folder):
    """fence raise of plugins that cannot: refused with the reason, and the daemon serves."""
    for mode, words in (('fail', 'the helper says why'), ('hang', 'hangs and was killed')):
        with server(odd(mode, pathlib.Path(folder) / 'note')) as one:
            one.start()
            error = one.control('fence', 'raise', code=1)
            assert 'the fence is down' in error and words in error, error
            shown = one.control('fence', 'show')
            assert not shown['up'] and shown['failed'] == 1 and words in shown['last-error'], shown
            assert connects(V4)
            one.process.kill()


def a_plugin_that_is_missing():
    """--check refuses it; a daemon that finds it missing at its start serves without."""
    with server({'plugin': 'nowhere'}) as one:
        done = one.check()
        assert done.returncode == 1 and "no fence plugin 'nowhere'" in done.stderr, done
        one.start()
        assert connects(V4)
        assert one.find("no fence plugin 'nowhere'"), one.log()
        one.stop()


def few_privileges(folder):
    """CAP_NET_ADMIN alone, for the plugin and for what it starts, though all of it is root's."""
    told = stops_all_the_same(folder, 'tell', 'the helper says why above')
    found = re.findall(r'^(Cap\w+|NoNewPrivs):\s*(\w+)$', told, re.M)
    assert len(found) == 12, told
    for name, value in found:
        wanted = 1 if name == 'NoNewPrivs' else 1 << NET_ADMIN
        assert int(value, 16) == wanted, (name, value)


def cases(folder):
    yield 'a plugin that fails does not hold up a stop', lambda: a_plugin_that_fails(folder)
    yield 'a plugin that hangs is killed with all it started', lambda: a_plugin_that_hangs(folder)
    yield 'fence raise by hand says why a plugin cannot', lambda: by_hand_it_says_why(folder)
    yield 'a plugin that is not there is found by --check, and no reason not to serve', \
        a_plugin_that_is_missing
    yield 'a plugin has CAP_NET_ADMIN and no other privilege', lambda: few_privileges(folder)
