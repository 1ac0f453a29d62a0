# SPDX-License-Identifier: BSD-3-Clause
"""What one session does and another is told of by a unit attention: told once, wherever the worker dies. The
one that hears asks all the time, so that what is told twice is heard twice."""
import signal
import threading
import time

from cases import case
from dialogue_cases import log_in
from point_cases import daemon_with_points, reserve_out
from server import IQN, file, ram, serving

LUNS = {IQN: {'portals': ['test'], 'luns': {number: ram('1M') for number in range(5)}}}
ANYWHERE = ('commit', 'committed', 'start', 'send', 'sent', 'note', 'noted', 'changed', 'attention', 'raised',
            'keep', 'kept', 'resume')
MINE = {'reset': ('commit', 'attention', 'raised'),     # the steps of each; the soak takes all places for all
        'modes': ('noted', 'changed', 'attention', 'raised')}
KEPT = ('keep', 'kept', 'resume')
KEY = 0x1234
RESET, MODES, REGISTRATION, RESERVATION, RELEASE = range(5)


def reset(does, _hears, _turn):
    """LOGICAL UNIT RESET, which is told to who asked for it as well."""
    assert does.task_management(5, lun=RESET).response == 0
    task = does.command(bytes(6), lun=RESET)
    assert task.status == 2 and task.sense.what() == (6, 0x2903), (task.status, task.sense)
    return 0x2903


def modes(does, _hears, turn):
    """MODE SELECT(6), control mode page: descriptor format of sense data."""
    page = does.command(b'\x1a\x08\x0a\x00\x10\x00', read=16, lun=MODES).good().data[4:]
    page = bytes([page[0] & 0x3f, page[1], page[2] & ~4 | (turn + 1) % 2 * 4]) + page[3:]
    does.command(bytes([0x15, 0x10, 0, 0, 4 + len(page), 0]), write=bytes(4) + page, lun=MODES).good()
    return 0x2a01


def register(who, lun, key=KEY):
    """REGISTER AND IGNORE EXISTING KEY."""
    who.command(lun=lun, **reserve_out(6, 0, key)).good()


def preempt_registration(does, hears, _turn):
    register(does, REGISTRATION, 1)
    register(hears, REGISTRATION, 2)
    does.command(lun=REGISTRATION, **reserve_out(4, 1, 2, kind=5)).good()
    return 0x2a05


def clear(does, hears, _turn):
    register(does, RESERVATION, 1)
    register(hears, RESERVATION, 2)
    does.command(lun=RESERVATION, **reserve_out(3, 1)).good()
    return 0x2a03


def release(does, hears, _turn):
    register(does, RELEASE, 1)
    register(hears, RELEASE, 2)
    does.command(lun=RELEASE, **reserve_out(1, 1, kind=5)).good()
    does.command(lun=RELEASE, **reserve_out(2, 1, kind=5)).good()
    return 0x2a04


KINDS = {RESET: reset, MODES: modes, REGISTRATION: preempt_registration, RESERVATION: clear, RELEASE: release}


class Listener:
    """A session that asks one unit all the time, in a thread of its own."""

    def __init__(self, server, lun):
        self.lun = lun
        self.session = log_in(server, initiator='iqn.2026-11.org.example:hears-%d' % lun)
        self.session.alive(lun=lun)
        self.heard, self.over, self.error = [], False, None
        self.lock = threading.Lock()    # the session is asked by one at a time
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self):
        try:
            while not self.over:
                with self.lock:
                    self._ask()
                time.sleep(0.001)
        except Exception as error:  # pylint: disable=broad-except  # told by expect()
            self.error = error

    def _ask(self):
        task = self.session.command(bytes(6), lun=self.lun)
        if task.status == 2 and task.sense.key == 6:
            self.heard.append(task.sense.code)
        else:
            task.good()

    def command(self, *args, **more):
        with self.lock:
            return self.session.command(*args, **more)

    def expect(self, wanted, limit=30.0):
        """All that was heard is this, as soon as there is as much, and after two more questions."""
        deadline = time.monotonic() + limit
        while len(self.heard) < len(wanted) and not self.error and time.monotonic() < deadline:
            time.sleep(0.001)
        with self.lock:
            if not self.error:
                self._ask()
                self._ask()
        assert not self.error, repr(self.error)
        assert self.heard == wanted, 'heard %s of %d, the last %s' % (
            len(self.heard), len(wanted), ['%04x' % code for code in self.heard[-4:]])

    def close(self):
        self.over = True
        self.thread.join()
        self.session.close()


@case('points: what one session does another is told once, wherever the worker dies')
def _(scale):
    with daemon_with_points() as orders, serving(LUNS, daemon={'reactors': 2}) as server:
        server.daemon.killed_workers = True
        deaths = told = 0
        for lun, act in KINDS.items():
            does = log_in(server, initiator='iqn.2026-11.org.example:does-%d' % lun)
            does.alive(lun=lun)
            hears, wanted = Listener(server, lun), []
            try:
                places = ANYWHERE if scale.soak else MINE.get(act.__name__, KEPT)
                for turn in range(len(places) * scale.count(1, 40)):
                    place = places[turn % len(places)]
                    orders.die_at(place, scale.random.choice((1, 1, 2, 3)) if scale.soak else 1)
                    if place == 'resume':
                        server.kill_now()
                    wanted.append(act(does, hears, turn))
                    orders.die_at('', 0)
                    hears.expect(wanted)
                    if orders.died() > deaths:
                        deaths = orders.died()
                        server.wait_serving()
                        time.sleep(0.2)     # more deaths a second are a crash loop
                    told += 1
            except Exception as error:
                error.add_note('%s, a death at %s' % (act.__name__, place))
                raise
            finally:
                orders.die_at('', 0)
                hears.close()
            does.close()
        server.check()
        return '%d deaths, %d unit attentions' % (deaths, told)


CAPACITY, MODE, LUNS_CHANGED = 0x2a09, 0x2a01, 0x3f0e


def disks(size, count):
    luns = {number: ram('1M') for number in range(count)}
    luns[RESET] = file('$FOLDER/grows.img', size)
    return {IQN: {'portals': ['test'], 'luns': luns}}


def told(session, lun):
    """All that it hears there now."""
    heard = []
    while True:
        task = session.command(bytes(6), lun=lun)
        if task.status == 0:
            return heard
        assert task.sense.key == 6, (task.status, task.sense)
        heard.append(task.sense.code)


@case('sessions: other size, modes and LUNs, and a kill before anybody asked: told once, to every nexus')
def _(scale):
    with serving(disks('1M', 3), daemon={'reactors': 2}) as server:
        server.daemon.killed_workers = True
        does, *hear = [log_in(server, initiator='iqn.2026-11.org.example:' + name) for name in ('does', 'one', 'two')]
        for session in (does, *hear):
            for lun in range(3):
                session.alive(lun=lun)
        for turn in range(scale.count(4, 100)):
            server.daemon.write_config(disks('%dM' % (turn + 2), 4 + turn), daemon={'reactors': 2})
            before = server.log().count(' in effect ')
            server.daemon.signal(signal.SIGHUP)
            server.wait_log(' in effect ', before + 1)
            told(does, MODES)
            modes(does, None, turn)
            early = told(hear[0], 2) if turn % 4 > 1 else []    # one has heard of it on one unit
            server.kill()
            expected = {RESET: [CAPACITY, LUNS_CHANGED], MODES: [MODE, LUNS_CHANGED], 2: [LUNS_CHANGED]}
            for session in hear:
                heard = {lun: told(session, lun) for lun in expected}
                if session is hear[0]:
                    heard[2] = early + heard[2]
                assert heard == expected, 'turn %d: %r' % (turn, heard)
            server.kill()
            for session in hear:
                again = [told(session, lun) for lun in expected]
                assert again == [[], [], []], 'turn %d, told again: %r' % (turn, again)
        for session in (does, *hear):
            session.close()
        server.check()
        return '%d kills' % server.kills
