# SPDX-License-Identifier: BSD-3-Clause
# boot JOB: boots the guest, runs the job in it and counts the cases the job prints.

boot_limit=200   # seconds

boot() {
    local job=$1 line ended=''
    mkdir -p "$box/$job"
    ip netns exec "$space" timeout -k 5 "$boot_limit" linux.uml mem=384M \
        root=/dev/root rootfstype=hostfs rootflags=/ ro init="$here/guest-init" \
        E2E_HERE="$here" E2E_BOX="$box" E2E_JOB="$job" E2E_IQN="$E2E_IQN" E2E_LUN="$E2E_LUN" \
        con=null con0=fd:0,fd:1 ssl=null vec0:transport=tap,ifname=tap0,depth=128,gro=1 \
        </dev/null >"$box/$job/console" 2>&1
    if [ ! -e "$box/$job/output" ]; then
        bad "$job: the guest boots"
        tail -n 20 "$box/$job/console"
        return
    fi
    while IFS= read -r line; do
        case $line in
        'ok - '*) good "$job: ${line#ok - }" ;;
        'not ok - '*) bad "$job: ${line#not ok - }" ;;
        'end of job') ended=yes ;;
        *) echo "  $line" ;;
        esac
    done <"$box/$job/output"
    if [ -z "$ended" ]; then
        bad "$job: the guest comes to the end of its job within $boot_limit s"
        tail -n 20 "$box/$job/console"
    fi
}
