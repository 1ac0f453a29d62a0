# SPDX-License-Identifier: BSD-3-Clause
"""The worker dies at a place of the program that is named (core/base/crash_point.h), between two stores: before
and after what it decided became known. Whatever was under way has to come out as if executed once: additions by
COMPARE AND WRITE are counted, PRGENERATION counts registrations, copies depend on each other, and the load
generator checks every byte. The program is a build with -DHOLDFAST_CRASH_POINTS; tests/run makes one, and its path is in
HOLDFAST_CRASH_POINTS_DAEMON."""
import contextlib
import os
import struct
import tempfile
import threading
import time

from cases import case
from copy_cases import LUNS as COPY_LUNS, copies
from dialogue_cases import log_in
from kill_cases import loads_on
from server import IQN, Settings, file, ram, serving
from session_cases import count_up
from tap import Skip

PLACES = ('commit', 'committed', 'start', 'done', 'r2t', 'send', 'sent', 'compared', 'compare-noted', 'note', 'noted',
          'keep', 'kept', 'copy', 'copied', 'resume')
LOAD = IQN + '-load'
LUNS = dict(COPY_LUNS)
COUNTED = {IQN + '-counted': {'portals': ['test'], 'luns': {0: ram('1M'), 1: file('$FOLDER/counted.img', '1M'),
                                                                     2: ram('1M')}}}


class Orders:
    """The file that the worker looks into."""

    def __init__(self, path):
        self.file = open(path, 'r+b', buffering=0)  # pylint: disable=consider-using-with

    def die_at(self, place, passes):
        os.pwrite(self.file.fileno(), struct.pack('32s', place.encode()), 0)
        os.pwrite(self.file.fileno(), struct.pack('i', passes), 32)

    def died(self):
        return struct.unpack('i', os.pread(self.file.fileno(), 4, 36))[0]

    def wait_died(self, count, limit=30.0):
        deadline = time.monotonic() + limit
        while self.died() < count and time.monotonic() < deadline:
            time.sleep(0.002)
        return self.died() >= count


@contextlib.contextmanager
def daemon_with_points():
    program = os.environ.get('HOLDFAST_CRASH_POINTS_DAEMON')
    if not program:
        raise Skip('HOLDFAST_CRASH_POINTS_DAEMON names no binary with crash points')
    before = Settings.daemon
    with tempfile.NamedTemporaryFile() as orders:
        orders.write(bytes(40))
        orders.flush()
        os.environ['HOLDFAST_CRASH_POINTS'] = orders.name
        Settings.daemon = program
        try:
            yield Orders(orders.name)
        finally:
            Settings.daemon = before
            del os.environ['HOLDFAST_CRASH_POINTS']


def reserve_out(action, key, new_key=0, kind=1):
    cdb = bytes([0x5f, action, kind]) + bytes(4) + (24).to_bytes(2, 'big') + b'\0'
    assert len(cdb) == 10
    return dict(cdb=cdb, write=key.to_bytes(8, 'big') + new_key.to_bytes(8, 'big') + bytes(8))


def registrations(server, stop, failed, done):
    """A key that changes: done twice, the second REGISTER meets another key and conflicts; and each one
    counts in PRGENERATION. A reservation is taken and released between."""
    session = log_in(server, target=IQN + '-counted', initiator='iqn.2026-11.org.example:registers')
    session.alive(lun=1)
    try:
        key, count = 0, 0
        while not stop.is_set():
            session.command(lun=1, **reserve_out(0, key, key + 1)).good()
            key, count = key + 1, count + 1
            done.append(count)
            if count % 3 == 0:
                session.command(lun=1, **reserve_out(1, key)).good()
                session.command(lun=1, **reserve_out(2, key)).good()
        keys = session.command(b'\x5e\x00' + bytes(5) + b'\x00\x10\x00', read=16, lun=1).good().data
        generation, length = int.from_bytes(keys[:4], 'big'), int.from_bytes(keys[4:8], 'big')
        assert (generation, length) == (count, 8), 'PRGENERATION %d after %d REGISTERs' % (generation, count)
        assert int.from_bytes(keys[8:16], 'big') == key
    except Exception as error:  # pylint: disable=broad-except  # told by the case
        failed.append('registrations: %s %s' % (type(error).__name__, error))
    session.close()


def attentions(server, stop, failed, done):
    """One session resets a unit; the other is told so by the next command, once, and the one after is GOOD."""
    who, other = [log_in(server, target=IQN + '-counted', initiator='iqn.2026-11.org.example:' + name)
                  for name in ('resets', 'hears')]
    try:
        other.alive(lun=2)
        while not stop.is_set():
            assert who.task_management(5, lun=2).response == 0    # LOGICAL UNIT RESET
            task = other.command(bytes(6), lun=2)
            assert task.status == 2 and task.sense.key == 6, '%r' % task.sense
            other.command(bytes(6), lun=2).good()
            done.append(1)
            other.command(bytes(6), lun=2).good()
            who.alive(lun=2)
    except Exception as error:  # pylint: disable=broad-except  # told by the case
        failed.append('attentions: %s %s' % (type(error).__name__, error))
    who.close()
    other.close()


@case('points: the worker dies at every place, and everything was executed once')
def _(scale):
    targets = {**LUNS, **COUNTED, LOAD: {'portals': ['test'], 'luns': {0: ram('64M')}}}
    with daemon_with_points() as orders, serving(targets, daemon={'reactors': 2}) as server:
        server.daemon.killed_workers = True
        stop, failed, copied, added, registered, told = threading.Event(), [], [], {}, [], []
        threads = [threading.Thread(target=copies, args=(server, scale.random, stop, failed, copied)),
                   threading.Thread(target=registrations, args=(server, stop, failed, registered)),
                   threading.Thread(target=attentions, args=(server, stop, failed, told))]
        threads += [threading.Thread(target=count_up, args=(server, name, [0, 1], added, failed, stop),
                                     kwargs=dict(target=IQN + '-counted')) for name in ('a', 'b')]
        with loads_on(server, (LOAD, dict(connections=4, depth=4, block='64K', options=(
                '--initial-r2t', '--no-immediate-data', '--max-burst', '16384', '--first-burst', '16384')))):
            for thread in threads:
                thread.start()
            server.wait_for(lambda _log: failed or copied and registered and told and len({name for name, _ in added}) == 2)
            try:
                deaths = at_every_place(scale, server, orders, failed)
            finally:
                orders.die_at('', 0)
                stop.set()
                for thread in threads:
                    thread.join()
        assert not failed, '\n'.join(failed)
        session = log_in(server, target=IQN + '-counted')
        for lba in (0, 1):
            value = int.from_bytes(session.read(lba, 1, lun=0).good().data[:8], 'big')
            counted = sum(number for (_, at), number in added.items() if at == lba)
            assert value == counted, 'counter %d is %d, %d additions were answered GOOD' % (lba, value, counted)
        session.close()
        server.check()
        return '%d deaths at %d places; %d additions, %d registrations, %d unit attentions, %d copies of 20 segments' % (
            deaths, len(PLACES), sum(added.values()), registered[-1], len(told), len(copied))


def at_every_place(scale, server, orders, failed):
    deaths = 0
    for turn in range(scale.count(2, 50)):
        for place in PLACES:
            orders.die_at(place, 1 if turn % 2 == 0 else scale.random.randrange(1, 5 if place == 'resume' else 20))
            if place == 'resume':   # it is passed by those that resume
                server.kill_now()
            deaths += 1
            assert orders.wait_died(deaths) and not failed, \
                'place %s: %d deaths of %d; %s' % (place, orders.died(), deaths, failed)
            server.wait_serving()
    return deaths
