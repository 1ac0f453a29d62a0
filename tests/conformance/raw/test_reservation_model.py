# SPDX-License-Identifier: BSD-3-Clause
"""Persistent reservations against a model of SPC-4 5.12: random actions of four nexuses, and after each what
everybody is told, sees and may do. In between sessions leave and return, units are reset, workers die or
are replaced."""
import os
import random
import signal
import struct
import time

import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
from management import COMPLETE, LUN_RESET
from peer import IQN, LIMIT, case, main, new_isid, ram
from reservations import PREEMPT, PREEMPT_AND_ABORT, attentions, kill_worker

STEPS = int(os.environ.get('HOLDFAST_STEPS', '400'))
DAEMON = dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()}}}, daemon={'reactors': 4})
TYPES, ALL, TOLD = (1, 3, 5, 6, 7, 8), (7, 8), (5, 6, 7, 8)
GOOD, CONFLICT, BAD_CDB, BAD_LIST, BAD_RELEASE = 'good', 'conflict', (5, 0x2400), (5, 0x2600), (5, 0x2604)
PREEMPTED, RELEASED, UNREGISTERED = 0x2a03, 0x2a04, 0x2a05


class Model:
    def __init__(self):
        self.keys, self.holder, self.type, self.generation = {}, None, 0, 0
        self.told = {}

    def tell(self, code, but, whom=None):
        for nexus in self.keys if whom is None else whom:
            if nexus != but:
                self.told.setdefault(nexus, set()).add(code)

    def holds(self, nexus):
        return self.type and nexus in self.keys and (self.type in ALL or self.holder == nexus)

    def release(self):
        self.holder, self.type = None, 0

    def take(self, nexus, kind):
        self.holder, self.type = None if kind in ALL else nexus, kind

    def remove(self, nexus):
        del self.keys[nexus]
        if not self.keys:
            self.release()

    def register(self, nexus, key, new, ignore):
        if not ignore and key != self.keys.get(nexus, 0):
            return CONFLICT
        if nexus in self.keys and not new:
            if self.holder == nexus:
                if self.type in (5, 6):
                    self.tell(RELEASED, nexus)
                self.release()
            self.remove(nexus)
        elif new:
            self.keys[nexus] = new
        else:
            return GOOD
        self.generation += 1
        return GOOD

    def reserve(self, nexus, kind):
        if not self.type:
            self.take(nexus, kind)
        elif not self.holds(nexus) or kind != self.type:
            return CONFLICT
        return GOOD

    def do_release(self, nexus, kind):
        if not self.holds(nexus):
            return GOOD
        if kind != self.type:
            return BAD_RELEASE
        self.release()
        if kind in TOLD:
            self.tell(RELEASED, nexus)
        return GOOD

    def clear(self, nexus):
        self.tell(PREEMPTED, nexus)
        self.keys.clear()
        self.release()
        self.generation += 1
        return GOOD

    def preempt(self, nexus, victim_key, kind):
        everybody = self.type in ALL
        if not victim_key and not everybody:
            return BAD_LIST
        victims = [n for n, key in self.keys.items() if key == victim_key or not victim_key]
        if not victim_key or (self.holder is not None and self.keys[self.holder] == victim_key):
            self.tell(UNREGISTERED, nexus, victims)
            self.keys = {n: key for n, key in self.keys.items() if n not in victims or n == nexus}
            if kind != self.type:
                self.tell(RELEASED, nexus)
            self.take(nexus, kind)
        elif not victims:
            return CONFLICT
        else:
            self.tell(UNREGISTERED, nexus, victims)
            for each in victims:
                self.remove(each)
        self.generation += 1
        return GOOD

    def move(self, nexus, new, to, unregister):
        if not self.type:
            return BAD_CDB
        if self.holder != nexus:
            return CONFLICT
        if not new or to == nexus:
            return BAD_LIST
        self.keys[to] = new
        self.holder = to
        if unregister:
            self.remove(nexus)
        self.generation += 1
        return GOOD

    def may(self, nexus, writing):
        if not self.type or self.holds(nexus):
            return True
        if self.type in TOLD and nexus in self.keys:
            return True
        return not writing and self.type in (1, 5, 7)


def replace_worker(daemon):
    old = daemon.workers()
    daemon.killed_workers = True
    daemon.signal(signal.SIGUSR2)
    limit = time.monotonic() + LIMIT
    while set(old) & set(daemon.workers()):
        assert time.monotonic() < limit, 'the old worker stays'
        time.sleep(0.02)
    daemon.wait_for_worker(not_among=old)


class Play:
    def __init__(self, target, seed):
        self.target, self.chance, self.model = target, random.Random(seed), Model()
        self.names = ['iqn.2026-11.org.example:host%d' % (i // 2) for i in range(4)]
        self.isids = [new_isid() for _ in self.names]
        self.sessions = [None] * 4
        for nexus in range(4):
            self.login(nexus)

    def login(self, nexus):
        self.sessions[nexus] = self.target.login(initiator=self.names[nexus], isid=self.isids[nexus])

    def send(self, nexus, action, key, new, kind=0, tail=b'', flags=0):
        if action == 7:
            data = struct.pack('>QQBBHI', key, new, 0, flags, 1, len(tail)) + tail
        else:
            data = struct.pack('>QQ8x', key, new)
        cdb = struct.pack('>BBBxxIx', 0x5f, action, kind, len(data))
        task = self.sessions[nexus].command(cdb, write=data)
        return GOOD if task.status == scsi.GOOD else CONFLICT \
            if task.status == scsi.RESERVATION_CONFLICT else task.sense.what()

    def transport_id(self, nexus):
        name = ('%s,i,0x%s' % (self.names[nexus], self.isids[nexus].hex())).encode() + b'\0'
        name = name.ljust((len(name) + 3) & ~3, b'\0')
        return struct.pack('>BxH', 0x45, len(name)) + name

    def action(self):
        chance, model = self.chance, self.model
        nexus, kind, new = chance.randrange(4), chance.choice(TYPES), chance.randrange(4)
        right = chance.random() < .85
        key = model.keys.get(nexus, 0) if right else chance.randrange(4)
        action = chance.choice((0, 0, 0, 6, 6, 1, 1, 1, 2, 3, 4, 4, 5, 7, 7))
        if action in (2, 4, 5) and model.type and chance.random() < .5:
            kind = model.type
        to, flags = chance.randrange(4), 2 * chance.randrange(2)
        found = self.send(nexus, action, key, new, kind, flags=flags,
                          tail=self.transport_id(to) if action == 7 else b'')
        if action not in (0, 6) and (nexus not in model.keys or key != model.keys[nexus]):
            expected = CONFLICT
        else:
            expected = {0: lambda: model.register(nexus, key, new, False),
                        6: lambda: model.register(nexus, key, new, True),
                        1: lambda: model.reserve(nexus, kind),
                        2: lambda: model.do_release(nexus, kind),
                        3: lambda: model.clear(nexus),
                        PREEMPT: lambda: model.preempt(nexus, new, kind),
                        PREEMPT_AND_ABORT: lambda: model.preempt(nexus, new, kind),
                        7: lambda: model.move(nexus, new, to, flags & 2)}[action]()
        assert found == expected, 'action %d of %d: %r, expected %r' % (action, nexus, found, expected)

    def event(self):
        """Something that changes nothing of reservations."""
        what = self.chance.randrange(12)
        nexus = self.chance.randrange(4)
        if what == 0:
            kill_worker(self.target)
        elif what == 1:
            replace_worker(self.target.daemon)
        elif what < 4:
            assert self.sessions[nexus].task_management(LUN_RESET).response == COMPLETE
            for session in self.sessions:
                assert attentions(session) == [0x2903]
        else:
            if what < 8:
                self.sessions[nexus].logout()
            self.login(nexus)

    def look(self):
        model, session = self.model, self.chance.choice(self.sessions)
        for nexus, each in enumerate(self.sessions):
            told = attentions(each)
            assert len(told) == len(set(told)) and set(told) == model.told.get(nexus, set()), \
                '%d was told %r, expected %r' % (nexus, told, model.told.get(nexus))
            for writing in (False, True):
                task = each.write(0, bytes(512)) if writing else each.read(0, 1)
                assert (task.status == scsi.GOOD) == model.may(nexus, writing), (nexus, writing, task.status)
        model.told.clear()
        data = session.command(bytes([0x5e, 0, 0, 0, 0, 0, 0, 16, 0, 0]), read=4096).data
        assert struct.unpack_from('>II', data) == (model.generation, 8 * len(model.keys))
        assert sorted(k for k, in struct.iter_unpack('>Q', data[8:])) == sorted(model.keys.values())
        data = session.command(bytes([0x5e, 1, 0, 0, 0, 0, 0, 16, 0, 0]), read=4096).data
        if model.type:
            assert len(data) == 24 and data[21] == model.type
            assert int.from_bytes(data[8:16], 'big') == model.keys.get(model.holder, 0)
        else:
            assert len(data) == 8

    def step(self):
        if self.chance.random() < .08:
            self.event()
        else:
            self.action()
        self.look()


@case('what a model of SPC-4 says is done, told and allowed', own=DAEMON)
def _(target):
    seed = int(os.environ.get('HOLDFAST_SEED', random.randrange(1 << 32)))
    play = Play(target, seed)
    for number in range(STEPS):
        try:
            play.step()
        except AssertionError as error:
            error.add_note('step %d of HOLDFAST_SEED=%d; keys %r, type %d, holder %r' % (
                number, seed, play.model.keys, play.model.type, play.model.holder))
            raise


if __name__ == '__main__':
    main(__file__)
