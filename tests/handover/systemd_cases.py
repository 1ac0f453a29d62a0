# SPDX-License-Identifier: BSD-3-Clause
"""The unit that is installed, under systemd as process 1: what manager.py does in its place elsewhere."""
import contextlib
import os
import time

from cases import case
from kill_cases import FIRST, loads_on, report, targets
from server import IQN
from service_cases import login
from systemd_box import UNIT, systemd
from upgrade_cases import SHARE


def kill_both(server, random):
    victims = [server.keeper()] + server.workers()
    random.shuffle(victims)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


def stored(server):
    return int(server.box.show('NFileDescriptorStore'))


def starts(server):
    """The word of the unit's own state: it has told READY=1."""
    assert server.box.ctl('is-active', UNIT).strip() == 'active'
    assert server.box.show('Type') == 'notify' and server.box.show('NotifyAccess') == 'main'
    assert stored(server) >= 8, stored(server)
    assert not server.box.show('StatusErrno').strip('0')


def reload(server):
    before = server.log().count('reload')
    keeper, workers = server.keeper(), server.workers()
    server.box.ctl('reload', UNIT)
    server.wait_for(lambda log: log.count('reload') > before)
    assert (server.keeper(), server.workers()) == (keeper, workers)


def refused_reload(server):
    """Who reloads by the unit is told that nothing came of it."""
    path = server.daemon.config_file
    before = path.read_text(encoding='utf-8')
    path.write_text(before + 'nonsense: 1\n', encoding='utf-8')
    try:
        server.box.ctl('reload', UNIT)
    except AssertionError:
        server.wait_for(lambda log: "holdfastctl: %s:" % path in log and "'nonsense'" in log)
    else:
        raise AssertionError('systemctl reload: well done, with a file that has a mistake')
    path.write_text(before, encoding='utf-8')
    assert server.box.ctl('is-active', UNIT).strip() == 'active'


def stand_still(server):
    """The watchdog: a keeper that says nothing is ended by systemd, and everything with it."""
    os.kill(server.keeper(), 19)


@case('systemd: the unit under load: reloads, restarts, kills, the watchdog, a stop')
def _(scale):
    wanted = SHARE if scale.soak else [(FIRST, dict(connections=20, depth=4))]
    acts = [('restart', lambda: server.box.ctl('restart', UNIT), scale.count(1, 50)),
            ('kill', lambda: kill_both(server, scale.random), scale.count(1, 50)),
            ('watchdog', lambda: stand_still(server), scale.count(1, 5))]
    with systemd(targets('64M' if scale.soak else '8M'), daemon={'reactors': 2}, drop_in={'WatchdogSec': '2s'}) as server:
        starts(server)
        with loads_on(server, *wanted) as loads:
            reload(server)
            refused_reload(server)
            kept = stored(server)
            assert kept >= (100 if scale.soak else 20), kept    # a descriptor each connection
            for name, act, times in acts:
                for _ in range(times):
                    time.sleep(scale.between(0.05, 0.4))
                    for load in loads:
                        load.mark()
                    server.again(act)
                    for load in loads:
                        load.check()
                    assert server.box.show('ActiveState') == 'active', name
            time.sleep(0.2)
        server.check()
        result = report(server, loads)
        one = login(server, IQN + '-a')
        server.box.ctl('stop', '--no-block', UNIT)
        one.connection.expect(0x32)         # it is told, and not kept
        one.close()
        server.box.ctl('stop', UNIT)
        assert server.box.show('Result') == 'success', server.box.show('Result')
        assert server.box.show('ActiveState') == 'inactive'
        server.box.ctl('start', UNIT)
        login(server, IQN + '-a').alive()
        server.box.ctl('stop', UNIT)
        return '%s; %d descriptors kept; %s' % (
            ', '.join('%d times %s' % (times, name) for name, _, times in acts), kept, result)
