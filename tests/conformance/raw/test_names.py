# SPDX-License-Identifier: BSD-3-Clause
"""Names and addresses, what the dialogues leave out (RFC 7143 4.2.7, 13.8)."""
import dialogue  # noqa: F401  pylint: disable=unused-import
from peer import IQN, case, main, ram

EUI, NAA = 'eui.02004567a425678d', 'naa.62004567ba64678d0123456789abcdef'
LONG = 'iqn.2026-11.org.example:' + 'x' * (223 - len('iqn.2026-11.org.example:'))
NAMED = dict(targets={name: {'portals': ['test'], 'luns': {0: ram()}} for name in (IQN, EUI, NAA, LONG)})


@case('targets may have names of every form, and are found by them', own=NAMED)
def _(target):
    for name in (IQN, EUI, NAA, LONG):
        target.login(iqn=name).alive()
    session = target.login(discovery=True)
    told = {value for key, value in session.text({'SendTargets': 'All'}).text() if key == 'TargetName'}
    assert told == {IQN, EUI, NAA, LONG}, told


@case('initiators may have names of every form')
def _(target):
    for name in ('eui.02004567A425678D', 'naa.52004567BA64678D', 'naa.62004567BA64678D0123456789ABCDEF', LONG,
                 'iqn.2001-04.com.example', 'iqn.2026-11.org.example:käse'):
        target.login(initiator=name).alive()


@case('a name of 224 bytes, with a space, an underscore in its authority or a bad date is none')
def _(target):
    for name in (LONG + 'x', 'iqn.2026-11.org.example: x', 'iqn.2026-00.org.example', 'iqn.26-11.org.example',
                 'eui.02004567A425678', 'eui.02004567A425678G', 'naa.5200', 'abc.2026-11.org.example'):
        session = target.session(initiator=name)
        connection = session.connect()
        session.login_request(connection, 0, 1, dict(session.identity(), AuthMethod='None'))
        status = connection.receive().login_status
        assert status == 0x0200, '%r gives %04x' % (name, status)


@case('a target name of another form in an address is not found')
def _(target):
    for name in ('eui.02004567a425678d', 'naa.52004567ba64678d', LONG):
        target.refused(0x0203, lambda: target.login(iqn=name))  # pylint: disable=cell-var-from-loop


if __name__ == '__main__':
    main(__file__)
