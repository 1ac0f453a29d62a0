# SPDX-License-Identifier: BSD-3-Clause
"""Logout and the ways a session ends (RFC 7143 11.14, 11.15)."""
import scsi
import wire
from peer import INITIATOR, case, main, new_isid

SESSION, CONNECTION, RECOVERY = 0, 1, 2
DONE, NO_CID, NO_RECOVERY = 0, 1, 2


@case('a logout of the session is answered, then the connection is closed')
def _(target):
    session = target.login()
    answer = session.logout(SESSION)
    assert answer.response == DONE and answer.final
    session.connection.expect_closed()


@case('a logout of the only connection ends the session')
def _(target):
    session = target.login()
    assert session.logout(CONNECTION, cid=0).response == DONE
    session.connection.expect_closed()


@case('a logout that is not immediate waits for its turn')
def _(target):
    session = target.login()
    task = session.start(scsi.read_10(0, 8), read=4096)
    session.request(wire.LOGOUT_REQUEST, flags=wire.FINAL | SESSION)
    assert session.connection.expect(wire.LOGOUT_RESPONSE).response == DONE
    assert task.done, 'the logout overtook a command'
    session.connection.expect_closed()


@case('a logout of a connection that does not exist is told so and nothing is closed')
def _(target):
    session = target.login()
    assert session.logout(CONNECTION, cid=77).response == NO_CID
    session.alive()


@case('a logout for recovery is not supported at error recovery level 0')
def _(target):
    session = target.login()
    for cid in (0, 77):
        assert session.logout(RECOVERY, cid=cid).response == NO_RECOVERY, cid
    session.alive()


@case('an unknown reason is rejected')
def _(target):
    session = target.login()
    session.request(wire.LOGOUT_REQUEST, immediate=True, flags=wire.FINAL | 9)
    assert session.connection.expect(wire.REJECT).reason in (4, 9)


@case('nothing is executed after a logout')
def _(target):
    session = target.login()
    session.write(0, b'o' * 512).good()
    session.request(wire.LOGOUT_REQUEST, immediate=True, flags=wire.FINAL | SESSION)
    session.connection.send_bytes(session.connection.encode(wire.Pdu(
        wire.SCSI_COMMAND, b'n' * 512, flags=wire.FINAL | wire.WRITE, edtl=512, itt=99,
        cmd_sn=session.cmd_sn, lun=session.first_lun, cdb=scsi.write_10(0, 1).ljust(16, b'\0'))))
    seen = session.connection.expect_closed()
    assert [pdu.opcode for pdu in seen] == [wire.LOGOUT_RESPONSE], seen
    assert target.login().read(0, 1).good().data == b'o' * 512


@case('a logout with a write under way ends both')
def _(target):
    session = target.login(ImmediateData='No')
    task = session.start(scsi.write_10(0, 8), write=bytes(4096), hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    assert session.logout(SESSION).response == DONE
    session.connection.expect_closed()
    target.login().alive()


@case('after a logout the same ISID logs in anew')
def _(target):
    isid = new_isid()
    for _ in range(10):
        session = target.login(isid=isid)
        assert session.logout().response == DONE
        session.connection.expect_closed()


@case('an initiator that hangs up without logout is forgotten')
def _(target):
    for _ in range(30):
        session = target.login(initiator=INITIATOR + '-rude')
        session.start(scsi.read_10(0, 128), read=65536)
        session.connection.close()
    target.login().alive()


@case('an initiator that closes only its sending side gets its answers or an end')
def _(target):
    session = target.login()
    session.start(scsi.read_10(0, 8), read=4096)
    session.connection.half_close()
    session.connection.expect_closed()


if __name__ == '__main__':
    main(__file__)
