# SPDX-License-Identifier: BSD-3-Clause
"""Upgrades between binaries that keep the state in different layouts: by an image (core/handover/image.h).

HOLDFAST_OTHER_LAYOUT names a holdfastd built with -DHOLDFAST_OTHER_LAYOUT; tests/run builds one.
"""
import os
import time

import scsi
from cases import case
from dialogue_cases import DATA, log_in
from kill_cases import FIRST, loads_on, report, targets
from server import IQN, ram, serving
from tap import Skip
from upgrade_cases import SHARE, own_binary

WRITTEN, READ = 'state written down', 'state read from='


def other():
    path = os.environ.get('HOLDFAST_OTHER_LAYOUT')
    if not path or not os.access(path, os.X_OK):
        raise Skip('HOLDFAST_OTHER_LAYOUT names no binary of another layout')
    return path


def there_and_back(scale, rounds, wanted, kills):
    with own_binary() as binary, serving(targets(), daemon={'reactors': 2}) as server:
        layouts = [other(), binary.good]
        with loads_on(server, *wanted) as loads:
            for turn in range(rounds):
                time.sleep(scale.between(0.05, 0.4))
                binary.put(layouts[turn % 2])
                for load in loads:
                    load.mark()
                server.upgrade()
                if kills:
                    time.sleep(scale.between(0, 0.1))
                    server.kill()
                for load in loads:
                    load.check()
            time.sleep(0.3)
        server.check()
        for word in WRITTEN, READ:
            assert server.log().count(word) == rounds, server.tail()
        return report(server, loads)


@case('layout: one session, there and back')
def _(scale):
    return there_and_back(scale, scale.count(6, 1000), [(FIRST, dict(depth=16))], kills=False)


@case('layout: 100 sessions, 4k and 64k, RAM and file, with and without digests')
def _(scale):
    return there_and_back(scale, scale.count(6, 1000), SHARE, kills=False)


@case('layout: killed soon after each')
def _(scale):
    return there_and_back(scale, scale.count(4, 500), SHARE, kills=True)


BEFORE_GO = ('abort start', 'exit memory', 'abort prepared', 'lie prepared')


@case('layout: a binary of another layout that breaks before it has taken over: the old one goes on')
def _(scale):
    with own_binary() as binary, serving(targets(), daemon={'reactors': 2}) as server:
        binary.good = other()
        with loads_on(server, *SHARE) as loads:
            attempts = 0
            for _ in range(scale.count(1, 50)):
                for how in BEFORE_GO + ('abort go', 'exit go'):
                    old = server.worker()
                    before = server.log().count('back to the old one')
                    binary.put_broken(how)
                    if how in BEFORE_GO:
                        server.upgrade(good=False)
                        server.wait_only(old)
                    else:
                        server.begin_upgrade()
                        server.wait_log('back to the old one', before + 1)
                        after = server.log().rindex('back to the old one')
                        server.wait_for(lambda text, at=after: ' ready generation=' in text[at:])
                    attempts += 1
                    for load in loads:
                        load.check()
            binary.put(binary.good)
            server.upgrade()
            time.sleep(0.2)
        server.check()
        return '%d broken binaries; %s' % (attempts, report(server, loads))


@case('layout: the buffers of a unit')
def _(scale):
    luns = {IQN: {'portals': ['test'], 'luns': {0: ram('1M'), 1: ram('1M')}}}
    with own_binary() as binary, serving(luns) as server:
        layouts = [other(), binary.good]
        session = log_in(server)
        session.alive(1)

        def buffer(opcode, mode, offset, length, **more):
            return session.command(bytes([opcode, mode, 0]) + offset.to_bytes(3, 'big') + length.to_bytes(3, 'big') +
                                   b'\0', **more).good()
        buffer(0x3b, 0x02, 100, 512, write=DATA[:512])
        buffer(0x3b, 0x0a, 0, 256, write=DATA[512:768])
        for turn in range(scale.count(2, 20)):
            binary.put(layouts[turn % 2])
            server.upgrade()
            assert buffer(0x3c, 0x02, 100, 512, read=512).data == DATA[:512]
            assert buffer(0x3c, 0x0a, 0, 256, read=256).data == DATA[512:768]
            session.command(scsi.test_unit_ready(), lun=1).good()
        server.check()
        session.close()
