# SPDX-License-Identifier: BSD-3-Clause
"""Discovery sessions, SendTargets, and who may see and use which target."""
import wire
from peer import INITIATOR, IQN, case, main, ram

OTHER = 'iqn.2026-11.org.example:other'
TWO = {IQN: {'portals': ['test'], 'luns': {0: ram()}},
       OTHER: {'portals': ['test'], 'luns': {0: ram()}, 'alias': 'the other one'}}


def records(pairs):
    """SendTargets as a dict: target name -> addresses."""
    targets, current = {}, None
    for key, value in pairs:
        if key == 'TargetName':
            current = targets.setdefault(value, [])
        else:
            assert key == 'TargetAddress' and current is not None, pairs
            current.append(value)
    return targets


def send_targets(session, what='All'):
    response = session.text({'SendTargets': what})
    assert response.final and response.ttt == wire.NO_TAG, repr(response)
    return records(response.text())


@case('SendTargets=All names every target with its address and tag', own=dict(targets=TWO))
def _(target):
    found = send_targets(target.login(discovery=True))
    address = '127.0.0.1:%d,1' % target.address[1]
    assert found == {IQN: [address], OTHER: [address]}, found


@case('SendTargets with a name tells that target alone', own=dict(targets=TWO))
def _(target):
    session = target.login(discovery=True)
    assert list(send_targets(session, OTHER)) == [OTHER]
    assert send_targets(session, IQN + '-not-here') == {}


@case('a normal session asks for its own target with an empty SendTargets')
def _(target):
    assert list(send_targets(target.login(), '')) == [target.iqn]


@case('a discovery session ends with a logout')
def _(target):
    session = target.login(discovery=True)
    assert session.logout().response == 0
    session.connection.expect_closed()


@case('a discovery session needs no security stage')
def _(target):
    session = target.login(discovery=True, security=False)
    assert target.iqn in send_targets(session)


@case('a SCSI command in a discovery session is rejected')
def _(target):
    session = target.login(discovery=True)
    session.request(wire.SCSI_COMMAND, flags=wire.FINAL)
    reject = session.connection.expect(wire.REJECT)
    assert reject.reason in (4, 5), 'reason %02x' % reject.reason


@case('a long list is told in several PDUs, each asked for',
      own=dict(targets={'%s%03d' % (IQN, number): {'portals': ['test'], 'luns': {0: ram('1M')}}
                        for number in range(150)}))
def _(target):
    session = target.session(discovery=True)
    session.login(MaxRecvDataSegmentLength='1024')
    connection = session.connection
    response = session.text({'SendTargets': 'All'})
    text, pdus = response.data, 1
    while not response.final:
        assert response.flags & wire.CONTINUE or response.ttt != wire.NO_TAG
        request = session.request(wire.TEXT_REQUEST, ttt=response.ttt, itt=response.itt,
                                  lun_bytes=response.lun_bytes, flags=wire.FINAL)
        response = connection.expect(wire.TEXT_RESPONSE)
        assert response.itt == request.itt
        text, pdus = text + response.data, pdus + 1
    assert len(records(wire.Pdu(data=text).text())) == 150 and pdus > 5


@case('a target of another portal is neither shown nor reached',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()}},
                        OTHER: {'portals': ['elsewhere'], 'luns': {0: ram()}}},
               portals={'test': {'listen': ['127.0.0.1:$PORT']},
                        'elsewhere': {'listen': ['127.0.0.2:$PORT'], 'tag': 2}}))
def _(target):
    assert list(send_targets(target.login(discovery=True))) == [IQN]
    target.refused(0x0203, lambda: target.login(iqn=OTHER))
    target.address = ('127.0.0.2', target.address[1])
    found = send_targets(target.login(discovery=True))
    assert found == {OTHER: ['127.0.0.2:%d,2' % target.address[1]]}, found
    session = target.login(iqn=OTHER)
    assert session.answers['TargetPortalGroupTag'] == '2'


@case('a portal listens on IPv6 and tells its address in brackets',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()}}},
               portals={'test': {'listen': ['127.0.0.1:$PORT', '[::1]:$PORT'], 'tag': 7}}))
def _(target):
    port = target.address[1]
    target.address = ('::1', port)
    target.login().alive()
    found = send_targets(target.login(discovery=True))[IQN]
    assert sorted(found) == ['127.0.0.1:%d,7' % port, '[::1]:%d,7' % port], found


# --- who may log in

GUARDED = {IQN: {'portals': ['test'], 'luns': {0: ram()},
                 'initiators': ['iqn.2026-11.org.example:good*', 'eui.0123456789abcdef']},
           OTHER: {'portals': ['test'], 'luns': {
               0: ram(), 1: ram(initiators=['*:node7'])}}}


@case('an initiator that no pattern names is refused with 0202', own=dict(targets=GUARDED))
def _(target):
    target.refused(0x0202, lambda: target.login(initiator=INITIATOR))


@case('an initiator that a pattern names is let in', own=dict(targets=GUARDED))
def _(target):
    target.login(initiator='iqn.2026-11.org.example:good-one').alive()
    target.login(initiator='eui.0123456789ABCDEF').alive()


@case('discovery shows only targets this initiator may use', own=dict(targets=GUARDED))
def _(target):
    assert list(send_targets(target.login(discovery=True))) == [OTHER]
    session = target.login(discovery=True, initiator='iqn.2026-11.org.example:good')
    assert sorted(send_targets(session)) == [IQN, OTHER]


@case('a LUN with its own list exists for those initiators alone', own=dict(targets=GUARDED))
def _(target):
    import scsi  # pylint: disable=import-outside-toplevel
    def luns(initiator):
        session = target.login(iqn=OTHER, initiator=initiator)
        data = session.command(scsi.report_luns(), read=512).data
        return [data[8 + 8 * n + 1] for n in range(int.from_bytes(data[:4], 'big') // 8)]
    assert luns('iqn.2026-11.org.example:node7') == [0, 1]
    assert luns('iqn.2026-11.org.example:node8') == [0]
    session = target.login(iqn=OTHER, initiator='iqn.2026-11.org.example:node8')
    session.command(scsi.read_10(0, 1), read=512, lun=1).check(scsi.LUN_NOT_SUPPORTED)


def luns_of(target, initiator, iqn=IQN):
    import scsi  # pylint: disable=import-outside-toplevel
    session = target.login(iqn=iqn, initiator=initiator)
    data = session.command(scsi.report_luns(), read=512).data
    return [data[8 + 8 * n + 1] for n in range(int.from_bytes(data[:4], 'big') // 8)]


BY_ADDRESS = {IQN: {'portals': ['test'], 'luns': {
                  0: ram(), 1: ram(initiators=['192.0.2.0/24']), 2: ram(initiators=['127.0.0.0/8'])}},
              OTHER: {'portals': ['test'], 'luns': {0: ram()}, 'initiators': ['192.0.2.0/24', '::1']}}


@case('targets and LUNs may be for addresses and networks alone', own=dict(
    targets=BY_ADDRESS, portals={'test': {'listen': ['127.0.0.1:$PORT', '[::1]:$PORT'], 'tag': 1}}))
def _(target):
    port = target.address[1]
    assert luns_of(target, INITIATOR) == [0, 2]
    assert list(send_targets(target.login(discovery=True))) == [IQN]
    target.refused(0x0202, lambda: target.login(iqn=OTHER))
    target.address = ('::1', port)
    assert luns_of(target, INITIATOR) == [0]
    assert sorted(send_targets(target.login(discovery=True))) == [IQN, OTHER]
    target.login(iqn=OTHER).alive()


VIEWS = {IQN: {'portals': ['test'],
               'luns': {0: ram(), 4: ram(serial='fourth'), 9: ram(initiators=['*:node7'])},
               'views': {'nodes': {'initiators': ['*:node7', '*:node8'], 'luns': {0: 4, 7: 9}},
                         'none': {'initiators': ['*:nobody', '10.0.0.0/8'], 'luns': {}}}}}


@case('an initiator in a view sees its LUNs by other numbers, and no others', own=dict(targets=VIEWS))
def _(target):
    import scsi  # pylint: disable=import-outside-toplevel
    assert luns_of(target, INITIATOR) == [0, 4]
    assert luns_of(target, 'iqn.2026-11.org.example:node7') == [0, 7]
    assert luns_of(target, 'iqn.2026-11.org.example:node8') == [0]
    block = b'view' * 128
    session = target.login(initiator='iqn.2026-11.org.example:node7')
    session.write(3, block, lun=0).good()
    session.command(scsi.read_10(0, 1), read=512, lun=4).check(scsi.LUN_NOT_SUPPORTED)
    assert target.login().read(3, 1, lun=4).good().data == block


# --- names

@case('names are compared in normal form')
def _(target):
    target.login(iqn=target.iqn.upper().replace('IQN.', 'iqn.')).alive()
    target.login(initiator=INITIATOR.replace('example', 'EXAMPLE')).alive()


@case('a malformed initiator name is refused with 0200')
def _(target):
    for name in ('initiator', 'iqn.', 'iqn.2026-13', 'iqn.2026-11.org.example:a b', 'eui.0123',
                 'naa.xyz', 'iqn.2026-11.org.example:' + 'x' * 230, ''):
        session = target.session(initiator=name)
        status = _status_of(session)
        assert status in (0x0200, 0x0207) if not name else status == 0x0200, \
            '%r gives %04x' % (name, status)


def _status_of(session):
    connection = session.connect()
    session.login_request(connection, 0, 1, dict(session.identity(), AuthMethod='None'))
    return connection.receive().login_status


if __name__ == '__main__':
    main(__file__)
