# SPDX-License-Identifier: BSD-3-Clause
"""State memory that is wrong: words of one session's records are spoilt (scribble.c) while the worker stands
still, which is then killed. That session may end. Nobody else's may, and the next worker serves."""
import array
import contextlib
import fcntl
import os
import pathlib
import re
import subprocess
import termios
import time

import scsi
from cases import case
from dialogue_cases import log_in
from kill_cases import FIRST, SECOND, THIRD, loads_on, targets
from load import Load
from server import IQN, Settings, ram, serving
from tap import Skip

VICTIM = 'victim'


def state_memory(pid):
    """The file that is the state memory of this worker."""
    folder = pathlib.Path('/proc/%d/fd' % pid)
    for link in folder.iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(link).startswith('/memfd:keep:sessions:'):
                return str(link)
    raise AssertionError('the worker has no state memory')


def scribble_of(server):
    path = pathlib.Path(Settings.daemon).resolve().parent.parent / 'tests' / 'handover' / 'scribble'
    if not path.exists():
        raise Skip('no scribble program beside the daemon')
    return str(path)


def spoil_and_kill(server, what, initiator='iqn.2026-11.org.example:%s.0' % VICTIM):
    """What was spoilt. The worker is stopped first: it would trip over the words itself."""
    before = server.ready_count()
    pid = server.stop_worker()
    said = subprocess.run([scribble_of(server), state_memory(pid), initiator, str(what)],
                          stdout=subprocess.PIPE, text=True, check=False)
    server.kill_now()
    assert said.returncode == 0, 'the session was not found'
    server.wait_log(' ready generation=', before + 1)
    server.wait_serving()
    return said.stdout


def others_went_on(server, loads):
    """No worker crashed over what it found, and gave up one session at most; the others work."""
    bad = re.findall(r'.*worker: ended by (?!signal 9 ).*|.*put aside.*', server.log())
    bad += ['%r' % taken for taken in server.taken() if taken['doubtful'] > 1]
    assert not bad, '\n'.join(bad[:20])
    for load in loads:
        load.check()


@case('memory: words of one session are spoilt, then a kill: only that session may end')
def _(scale):
    went_on = rounds = 0
    with serving(targets(), daemon={'reactors': 2}) as server:
        with loads_on(server, (FIRST, dict(connections=6, depth=4)),
                      (THIRD, dict(connections=4, depth=2, block='64K'))) as loads:
            for _ in range(scale.count(15, 1000)):
                victim = Load(server, SECOND, name=VICTIM, depth=8, block='16K', amount='16M',
                              options=('--header-digest',) if scale.random.random() < 0.3 else ())
                try:
                    victim.wait_running()
                    time.sleep(scale.between(0.0, 0.1))
                    seed = scale.random.getrandbits(63)
                    spoilt = spoil_and_kill(server, seed)
                    time.sleep(0.1)
                    went_on += victim.process.poll() is None
                    rounds += 1
                    try:
                        others_went_on(server, loads)
                    except AssertionError as error:
                        error.add_note('seed %d spoilt\n%s' % (seed, spoilt))
                        raise
                finally:
                    victim.kill()
    return '%d times spoilt; %d times the session itself went on' % (rounds, went_on)


def waiting_in(socket):
    """Bytes that have come and that nobody has read."""
    count = array.array('i', [0])
    fcntl.ioctl(socket, termios.FIONREAD, count)
    return count[0]


@case('memory: a session that knows of no task any more, while its answers wait to be sent')
def _(_scale):
    with serving({IQN: {'portals': ['test'], 'luns': {0: ram('64M')}}}) as server:
        other = log_in(server, initiator='iqn.2026-11.org.example:other')
        victim = log_in(server, initiator='iqn.2026-11.org.example:' + VICTIM)
        for _ in range(32):     # more than sockets hold, and nobody reads
            victim.start(scsi.read_10(0, 2048), read=1 << 20)
        sent = 0
        while not sent or sent != waiting_in(victim.connection.socket):   # as much as goes
            sent = waiting_in(victim.connection.socket)
            time.sleep(0.3)
        spoilt = spoil_and_kill(server, 'tasks', 'iqn.2026-11.org.example:' + VICTIM)
        assert not spoilt.startswith('touched: 0 '), spoilt
        with contextlib.suppress(ConnectionError):
            while victim.connection.socket.recv(1 << 20):
                pass    # to its end, which may be within a PDU
        other.alive()
        others_went_on(server, ())
