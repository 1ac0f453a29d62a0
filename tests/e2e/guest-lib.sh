# SPDX-License-Identifier: BSD-3-Clause
# What the jobs of the guest are written with.

portal=10.66.0.1:3260
node=(iscsiadm -m node -T "$E2E_IQN" -p $portal)
first_lun=$E2E_LUN second_lun=$((E2E_LUN + 1))

# check SENTENCE COMMAND…: one case; what a failed command said is shown.
check() {
    local sentence=$1 said
    shift
    if said=$("$@" 2>&1); then
        echo "ok - $sentence"
    else
        echo "not ok - $sentence"
        printf '%s\n' "$said" | tail -n 15 | sed 's/^/    /'
        return 1
    fi
}

# disk LUN: the block device of a LUN, "" when there is none.
disk() {
    local found
    for found in /sys/class/scsi_device/*:*:*:"$1"/device/block/*; do
        [ ! -e "$found" ] || { echo "/dev/${found##*/}"; return; }
    done
}

login() { "${node[@]}" --login && wait_for_disks; }
logout() { "${node[@]}" --logout; }

wait_for_disks() {
    local left
    for ((left = 100; left > 0; left--)); do
        [ -b "$(disk "$first_lun")" ] && [ -b "$(disk "$second_lun")" ] && return 0
        sleep 0.1
    done
    echo 'the disks do not appear'
    return 1
}

set_node() { "${node[@]}" -o update -n "$1" -v "$2"; }

mount_both() {
    mkdir -p /mnt/ext4 /mnt/xfs
    mount -t ext4 "$(disk "$first_lun")" /mnt/ext4 && mount -t xfs "$(disk "$second_lun")" /mnt/xfs
}
umount_both() { umount /mnt/ext4 && umount /mnt/xfs; }

# fill FOLDER: files of many sizes with content that does not compress, and their checksums.
fill() {
    local size number=0
    mkdir -p "$1/data"
    for size in 1 511 512 4095 4096 4097 65536 300000 1048576 1048577 8000000 20000000; do
        number=$((number + 1))
        head -c $size /dev/urandom >"$1/data/$number" || return 1
    done
    for number in $(seq 100 300); do
        head -c $((number * 17)) /dev/urandom >"$1/data/$number" || return 1
    done
    (cd "$1" && sha256sum data/*) >"$E2E_BOX/sums-${1##*/}" && sync
}

# verified FOLDER: reads everything from the disk again, not from memory.
verified() {
    echo 3 >/proc/sys/vm/drop_caches
    (cd "$1" && sha256sum --quiet -c "$E2E_BOX/sums-${1##*/}")
}

# fio_verified FOLDER: writes at random in mixed sizes, and reads back what it wrote with its checksums.
fio_verified() {
    fio --name=verify --directory="$1" --size=12M --rw=randwrite --bsrange=512-96k --blockalign=512 \
        --ioengine=libaio --iodepth=16 --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 \
        --randseed=7 --unlink=1 --output-format=terse --minimal
}

all_zero() { cmp -n "$2" "$1" /dev/zero; }

# The kernel's own opinion of the connection and the disks.
kernel_is_content() {
    ! dmesg | grep -E 'I/O error|conn error|timing out|Call Trace|EXT4-fs (error|warning)|XFS.*(rror|orrupt)'
}
