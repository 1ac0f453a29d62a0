/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whom a crash is to be blamed on, when it is a disk. The thread that crashes knows in which LUN's handler it is
 * (plugin/storage.h): a word of the memory that outlives the worker says so. The next worker counts; a LUN over which
 * workers have crashed again and again is put aside (daemon_absent.c).
 *
 * A crash while a PDU is worked on is first of all blamed on what was sent (handover/thaw.h): when that is put
 * aside and they crash still, it is the disk.
 */
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon_private.h"
#include "iscsi/state.h"
#include "scsi/keep.h"

#define CRASHES_MAX          2u
#define CRASHES_MAX_OVER_PDU 3u

static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };

static struct sigaction before[G_N_ELEMENTS(faults)];
static _Atomic uint32_t *word;

/* Its own doing: what somebody sends (the keeper, to a worker that hangs) comes to any thread, whatever that does. */
static bool is_own(const siginfo_t *info)
{
    return info->si_code > 0 || (info->si_code == SI_TKILL && info->si_pid == getpid());
}

static void fault(int signal_number, siginfo_t *info, void *context)
{
    uint32_t mark = is_own(info) ? storage_current() : 0;
    if (mark)
        atomic_store(word, mark);
    for (unsigned i = 0; i < G_N_ELEMENTS(faults); i++)
        if (faults[i] == signal_number)
            sigaction(signal_number, &before[i], NULL);
    if (info->si_code <= 0) /* not an instruction's, which is executed again */
        raise(signal_number);
}

void daemon_crash_watch(struct daemon *d)
{
    struct sigaction action = { .sa_sigaction = fault,
                                .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };
    word = scsi_keep_area_crashed(d->scsi.area);
    for (unsigned i = 0; word && i < G_N_ELEMENTS(faults); i++)
        sigaction(faults[i], &action, &before[i]);
}

static bool was_over_pdu(void)
{
    for (uint32_t i = 0; i < STATE_REACTORS_MAX; i++)
        if (*state_working(i))
            return true;
    return false;
}

void daemon_crash_blame(struct daemon *d)
{
    _Atomic uint32_t *crashed = scsi_keep_area_crashed(d->scsi.area);
    uint32_t mark = crashed ? atomic_exchange(crashed, 0) : 0;
    char target[SCSI_KEEP_TARGET_MAX];
    unsigned lun;
    struct keep_data *kept =
        mark && d->crashed ? scsi_keep_area_at(d->scsi.area, mark - 1, target, &lun) : NULL;
    if (!kept)
        return;
    unsigned limit = d->resume && was_over_pdu() ? CRASHES_MAX_OVER_PDU : CRASHES_MAX;
    uint32_t crashes = d->failures > 1 ? atomic_load(&kept->crashes) + 1 : 1;
    atomic_store(&kept->crashes, crashes);
    log_warning("daemon", "a worker crashed within the handler of a LUN target=%s lun=%u times=%u",
                target, lun, crashes);
    if (crashes >= limit)
        atomic_store(&kept->absent, KEEP_QUARANTINE);
}
