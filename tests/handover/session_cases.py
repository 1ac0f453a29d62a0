# SPDX-License-Identifier: BSD-3-Clause
"""What a session is besides its data: several connections, unit attentions, settings, other people's
logins, discovery; each with the worker killed in between."""
import threading
import time

import scsi
import wire
from cases import case
from connection import Closed
from dialogue_cases import DATA, OTHER, holds, log_in, unalike
from server import IQN, file, ram, serving
from session import Refused, Session

LUNS = {IQN: {'portals': ['test'], 'luns': {0: ram('64M'), 1: file('$FOLDER/disk.img', '64M')},
              'session': {'max-connections': 4}}}


@case('sessions: several connections in a session, commands spread over them')
def _(scale):
    with serving(LUNS) as server:
        session = log_in(server, MaxConnections='4')
        for cid in (1, 2, 3):
            session.login(cid, MaxConnections='4', security=False)
        for turn in range(scale.count(4, 100)):
            data = [unalike(65536, turn * 16 + i) for i in range(8)]
            tasks = [session.start(scsi.write_10(i * 128, 128), write=data[i], immediate_data=4096,
                                   connection=session.connections[i % 4]) for i in range(8)]
            if turn % 2:
                server.kill_now()
            for task in tasks:
                task.good()
            server.kill()
            for i in range(8):
                found = session.command(scsi.read_10(i * 128, 128), read=65536,
                                        connection=session.connections[(i + 1) % 4]).good().data
                assert found == data[i], 'block group %d of turn %d' % (i, turn)
        server.check()
        session.close()
        return '%d kills' % server.kills


@case('sessions: connections that the initiator closes while no worker is there')
def _(scale):
    with serving(LUNS) as server:
        for turn in range(scale.count(3, 30)):
            session, single = log_in(server, MaxConnections='4'), log_in(server, 'iqn.2026-11.org.example:single')
            session.login(1, MaxConnections='4', security=False)
            one, two = session.connections
            session.command(scsi.write_10(0, 8), write=DATA[:4096], connection=one).good()
            session.command(scsi.write_10(8, 8), write=OTHER[:4096], connection=two).good()     # with the last number
            server.stop_worker()
            waiting = session.start(scsi.read_10(0, 8), read=4096, connection=one)
            for connection in (two, single.connection):
                connection.reset() if turn % 2 else connection.close()
            time.sleep(0.02)
            server.kill()
            assert waiting.good().data == DATA[:4096]
            session.command(scsi.read_10(8, 8), read=4096, connection=one).good()
            taken = server.taken()[-1]
            assert (taken['sessions'], taken['connections'], taken['doubtful']) == (1, 1, 0), taken
            session.logout(connection=one)
            session.close()
        text = server.log()
        assert 'not resumed' not in text and 'closed by the initiator' in text, server.tail()
        return '%d kills' % server.kills


@case('sessions: a command held for a number that comes on another connection')
def _(scale):
    with serving(LUNS) as server:
        session = log_in(server, MaxConnections='4')
        session.login(1, MaxConnections='4', security=False)
        one, two = session.connections
        for turn in range(scale.count(6, 200)):
            first = session.next_cmd_sn()
            held = [session.start(scsi.write_10(8, 8), write=DATA[:4096], connection=two),
                    session.start(scsi.read_10(8, 8), read=4096, connection=two)]
            if turn % 3 != 2:
                time.sleep(0.02)
                server.kill()
            missing = session.start(scsi.write_10(8, 8), write=OTHER[:4096], cmd_sn=first, connection=one)
            if turn % 3 != 0:
                server.kill()
            missing.good()
            held[0].good()
            assert held[1].good().data == DATA[:4096]
        session.close()
        return '%d kills' % server.kills


@case('sessions: one connection logged out and in again before a kill')
def _(scale):
    with serving(LUNS) as server:
        session = log_in(server, MaxConnections='4')
        for turn in range(scale.count(10, 40)):     # more than the numbers that connections have
            session.login(1, MaxConnections='4', security=False)
            one, two = session.connections
            task = session.start(scsi.write_10(0, 64), write=DATA[:32768], immediate_data=0, hold_r2ts=True)
            other = session.start(scsi.write_10(64, 64), write=OTHER[:32768], immediate_data=0,
                                  hold_r2ts=True, connection=two)
            while not task.r2ts:
                one.pump()
            while not other.r2ts:
                two.pump()
            if turn % 3 == 0:
                server.kill()
            task.answer(task.r2ts[0])
            other.answer(other.r2ts[0])
            task.good()
            other.good()
            holds(session, 0, DATA[:32768])
            holds(session, 64, OTHER[:32768])
            session.logout(1, cid=1, connection=two)
            two.expect_closed()
            session.connections.remove(two)
        session.close()
        return '%d kills' % server.kills


@case('sessions: unit attentions that wait outlive the worker')
def _(scale):
    with serving(LUNS) as server:
        one, two = log_in(server), log_in(server, initiator='iqn.2026-11.org.example:second')
        assert one.task_management(5, lun=0).response == 0      # LUN RESET: the other one hears of it
        server.kill()
        task = two.command(scsi.test_unit_ready(), lun=0)
        assert task.status == 2 and task.sense.what() == (6, 0x2903), \
            'the unit attention is lost: status %02x %r' % (task.status, task.sense)
        two.alive()
        one.alive()
        one.close()
        two.close()


@case('sessions: discovery, idle over a kill')
def _(scale):
    with serving(LUNS) as server:
        session = Session(server.address, None, discovery=True)
        session.login()
        server.kill()
        assert IQN in session.text({'SendTargets': 'All'}).keys()['TargetName']
        session.logout()
        session.close()


def storm(server, count, failed, seconds, cut_off):
    """Logs in again and again. cut_off: a kill may end a login that is under way."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        session = Session(server.address, IQN, initiator='iqn.2026-11.org.example:storm%d' % count)
        try:
            session.login()
            session.alive()
            holds(session, 0, DATA[:4096])
            session.logout()
        except Refused as refusal:
            failed.append('refused with %04x' % refusal.status)
        except (Closed, ConnectionError, OSError) as error:
            if session.tsih or not cut_off:
                failed.append('a %s was lost: %r' % (
                    'session in full feature phase' if session.tsih else 'login', error))
        except (AssertionError, TimeoutError) as error:
            failed.append('%s %s' % (type(error).__name__, error))
        session.close()


def logins_while(scale, event, cut_off):
    with serving(LUNS) as server:
        idle = log_in(server, initiator='iqn.2026-11.org.example:idle')
        idle.write(0, DATA[:4096]).good()
        failed, seconds = [], scale.count(4, 120)
        threads = [threading.Thread(target=storm, args=(server, i, failed, seconds, cut_off)) for i in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(scale.between(0.02, 0.3))
            event(server)
        for thread in threads:
            thread.join()
        holds(idle, 0, DATA[:4096])
        idle.close()
        assert not failed, '\n'.join(failed[:10])
        return '%d kills, %d upgrades, %d logins' % (
            server.kills, server.upgrades, server.log().count(' logged in '))


@case('sessions: logins while the worker dies: cut off at most, never refused, sessions stay')
def _(scale):
    return logins_while(scale, lambda server: server.kill(), cut_off=True)


@case('sessions: logins while the worker is replaced: not one is cut off or refused')
def _(scale):
    return logins_while(scale, lambda server: server.upgrade(), cut_off=False)


def compare_and_write(lba, old, new):
    cdb = bytes([0x89]) + bytes(1) + lba.to_bytes(8, 'big') + bytes(3) + b'\x01' + bytes(2)
    return dict(cdb=cdb, write=old + new)


def count_up(server, name, lbas, done, failed, stop, target=IQN):
    """Adds one to counters with COMPARE AND WRITE until told to stop; done[lba] says how often."""
    session = log_in(server, target=target, initiator='iqn.2026-11.org.example:' + name)
    number = 0
    try:
        while not stop.is_set():
            lba = lbas[number % len(lbas)]
            number += 1
            old = session.read(lba, 1, lun=0).good().data
            new = (int.from_bytes(old[:8], 'big') + 1).to_bytes(8, 'big') + name.encode().ljust(504, b'.')
            task = session.command(lun=0, immediate_data=1024, **compare_and_write(lba, old, new))
            if task.status == 0:
                done[name, lba] = done.get((name, lba), 0) + 1
            else:
                assert task.status == 2 and task.sense.key == 0xe, 'status %02x %r' % (task.status, task.sense)
    except Exception as error:  # pylint: disable=broad-except  # told by the case
        failed.append('%s: %s %s' % (name, type(error).__name__, error))
    session.close()


@case('sessions: counters that COMPARE AND WRITE adds to are exact')
def _(scale):
    with serving(LUNS) as server:
        done, failed, stop = {}, [], threading.Event()
        threads = [threading.Thread(target=count_up, args=(server, name, lbas, done, failed, stop))
                   for name, lbas in (('a', [0, 1]), ('b', [0, 1]), ('c', [2]), ('d', [1, 2]))]
        for thread in threads:
            thread.start()
        for _ in range(scale.count(12, 1000)):
            time.sleep(scale.between(0.02, 0.3))
            server.kill()
        stop.set()
        for thread in threads:
            thread.join()
        assert not failed, '\n'.join(failed)
        session = log_in(server)
        for lba in (0, 1, 2):
            value = int.from_bytes(session.read(lba, 1, lun=0).good().data[:8], 'big')
            counted = sum(number for (_, at), number in done.items() if at == lba)
            assert value == counted, 'counter %d is %d, %d additions were answered GOOD' % (lba, value, counted)
        session.close()
        server.check()
        return '%d kills, %d additions' % (server.kills, sum(done.values()))
