# SPDX-License-Identifier: BSD-3-Clause
"""Text requests in full feature phase (RFC 7143 11.10, 11.11, 6.4)."""
import wire
from peer import Closed, case, main
from wire import NO_TAG


@case('a text request without keys gets an empty answer')
def _(target):
    session = target.login()
    answer = session.text({})
    assert answer.final and answer.ttt == NO_TAG and answer.text() == []


@case('an unknown key is NotUnderstood')
def _(target):
    assert target.login().text({'X-org.example.x': '1'}).keys() == {'X-org.example.x': 'NotUnderstood'}


@case('MaxRecvDataSegmentLength can be declared anew and holds from then on')
def _(target):
    session = target.login(MaxRecvDataSegmentLength='65536')
    assert len(session.read(0, 128).good().data_ins) == 1
    answer = session.text({'MaxRecvDataSegmentLength': '4096'})
    assert answer.keys().get('MaxRecvDataSegmentLength') != 'Reject'
    session.connection.own_mrdsl = 4096
    task = session.read(0, 128).good()
    assert len(task.data_ins) == 16, 'in %d PDUs' % len(task.data_ins)


@case('keys that belong to the login are refused and change nothing')
def _(target):
    session = target.login()
    for key, value in (('MaxBurstLength', '512'), ('HeaderDigest', 'CRC32C'),
                       ('InitiatorName', 'iqn.2026-11.org.example:else'), ('MaxConnections', '8')):
        session.request(wire.TEXT_REQUEST, wire.text_segment({key: value}), flags=wire.FINAL,
                        ttt=NO_TAG)
        answer = session.connection.receive()
        if answer.opcode == wire.TEXT_RESPONSE:
            assert answer.keys().get(key) in ('Reject', 'Irrelevant', 'NotUnderstood', None), \
                answer.text()
        else:
            assert answer.opcode == wire.REJECT, repr(answer)
    session.read(0, 128).good()


@case('a request with F=0 is answered with F=0 and a tag, and goes on with it')
def _(target):
    session = target.login()
    first = session.request(wire.TEXT_REQUEST, wire.text_segment({'X-org.example.a': '1'}), flags=0,
                            ttt=NO_TAG)
    answer = session.connection.expect(wire.TEXT_RESPONSE)
    assert not answer.final and answer.ttt != NO_TAG, repr(answer)
    keys = answer.keys()
    session.request(wire.TEXT_REQUEST, wire.text_segment({'X-org.example.b': '2'}),
                    flags=wire.FINAL, itt=first.itt, ttt=answer.ttt, lun_bytes=answer.lun_bytes)
    answer = session.connection.expect(wire.TEXT_RESPONSE)
    assert answer.final and answer.ttt == NO_TAG and answer.itt == first.itt
    keys.update(answer.keys())
    assert keys == {'X-org.example.a': 'NotUnderstood', 'X-org.example.b': 'NotUnderstood'}


@case('a request with the C bit is asked for the rest')
def _(target):
    session = target.login()
    raw = wire.text_segment({'X-org.example.split': 'value'})
    first = session.request(wire.TEXT_REQUEST, raw[:9], flags=wire.CONTINUE, ttt=NO_TAG)
    answer = session.connection.expect(wire.TEXT_RESPONSE)
    assert not answer.final and not answer.data and answer.ttt != NO_TAG
    session.request(wire.TEXT_REQUEST, raw[9:], flags=wire.FINAL, itt=first.itt, ttt=answer.ttt,
                    lun_bytes=answer.lun_bytes)
    answer = session.connection.expect(wire.TEXT_RESPONSE)
    assert answer.keys() == {'X-org.example.split': 'NotUnderstood'}


@case('a transfer tag nobody gave is rejected')
def _(target):
    session = target.login()
    session.request(wire.TEXT_REQUEST, flags=wire.FINAL, ttt=0x31415)
    reject = session.connection.expect(wire.REJECT)
    assert reject.reason in (4, 9), 'reason %02x' % reject.reason
    session.alive()


@case('a new exchange with the reserved tag drops the one that was open')
def _(target):
    session = target.login()
    for _ in range(2):
        first = session.request(wire.TEXT_REQUEST, wire.text_segment({'X-org.example.a': '1'}), flags=0,
                                ttt=NO_TAG)
        answer = session.connection.expect(wire.TEXT_RESPONSE)
        assert session.text({}).final
        session.request(wire.TEXT_REQUEST, flags=wire.FINAL, itt=first.itt, ttt=answer.ttt,
                        lun_bytes=answer.lun_bytes)
        assert session.connection.expect(wire.REJECT).reason == 4, 'the dropped exchange goes on'
    session.alive()


@case('an exchange goes on with its own task tag alone')
def _(target):
    session = target.login()
    session.request(wire.TEXT_REQUEST, wire.text_segment({'X-org.example.a': '1'}), flags=0, ttt=NO_TAG)
    answer = session.connection.expect(wire.TEXT_RESPONSE)
    session.request(wire.TEXT_REQUEST, flags=wire.FINAL, ttt=answer.ttt, lun_bytes=answer.lun_bytes)
    assert session.connection.expect(wire.REJECT).reason == 4
    session.alive()


@case('F together with C is rejected')
def _(target):
    session = target.login()
    session.request(wire.TEXT_REQUEST, wire.text_segment({'X-org.example.a': '1'}),
                    flags=wire.FINAL | wire.CONTINUE, ttt=NO_TAG)
    assert session.connection.expect(wire.REJECT).reason == 4
    session.alive()


@case('I/O goes on during a text exchange')
def _(target):
    session = target.login()
    first = session.request(wire.TEXT_REQUEST, flags=0, ttt=NO_TAG)
    answer = session.connection.expect(wire.TEXT_RESPONSE)
    session.write(0, b't' * 65536).good()
    session.request(wire.TEXT_REQUEST, flags=wire.FINAL, itt=first.itt, ttt=answer.ttt,
                    lun_bytes=answer.lun_bytes)
    assert session.connection.expect(wire.TEXT_RESPONSE).final


@case('endless text is ended')
def _(target):
    session = target.login()
    first, ttt, lun = None, NO_TAG, bytes(8)
    try:
        for number in range(2000):
            raw = b'X-org.example.%d=' % number + b'v' * 200 + b'\0'
            request = session.request(
                wire.TEXT_REQUEST, raw * 20, flags=wire.CONTINUE, ttt=ttt, lun_bytes=lun,
                **({'itt': first} if first else {}))
            first = request.itt
            answer = session.connection.receive()
            if answer.opcode == wire.REJECT:
                break
            ttt, lun = answer.ttt, answer.lun_bytes
        else:
            raise AssertionError('8 MB of text and no end')
    except Closed:
        pass
    target.login().alive()


@case('a segment length between the old one and what a text reply takes holds, too')
def _(target):
    session = target.login(MaxRecvDataSegmentLength='262144', MaxBurstLength='262144')
    session.text({'MaxRecvDataSegmentLength': '65536'})
    session.connection.own_mrdsl = 65536     # every PDU is held against this
    session.read(0, 512).good()


if __name__ == '__main__':
    main(__file__)
