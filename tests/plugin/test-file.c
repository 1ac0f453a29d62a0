/* SPDX-License-Identifier: BSD-3-Clause */
/* What handlers "file" and "block" do around their I/O: making, growing, locking, refusing, a full disk. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rig rig;
static const struct plugin *file, *block;
static char *directory, *path, *path_option;

static void setup(void)
{
    directory = g_dir_make_tmp("holdfast-XXXXXX", NULL);
    path = g_build_filename(directory, "disk", NULL);
    path_option = g_strdup_printf("path=%s", path);
}

static void teardown(void)
{
    g_unlink(path);
    g_rmdir(directory);
    g_free(directory);
    g_free(path);
    g_free(path_option);
}

/* Opens with path and up to two further options; the error's text, or NULL and *ret_backend. */
static char *try_open(const struct plugin *plugin, bool read_only, const char *a, const char *b,
                      struct backend **ret_backend)
{
    const char *const options[] = { path_option, a ? a : b, a ? b : NULL, NULL };
    const struct rig_lun lun = { .plugin = plugin, .options = options, .read_only = read_only };
    struct hf_error error = PLUGIN_ERROR_INIT;
    int r = rig_open(&rig, &lun, ret_backend, &error);
    g_assert_cmpint(r < 0, ==, error.text[0] != '\0');
    return r < 0 ? g_strdup(error.text) : NULL;
}

static struct backend *open_good(const char *a, const char *b)
{
    struct backend *backend = NULL;
    char *text = try_open(file, false, a, b, &backend);
    g_assert_cmpstr(text, ==, NULL);
    return backend;
}

/* `says` comes after "PATH: ". */
static void expect_refusal(const struct plugin *plugin, bool read_only, const char *a,
                           const char *b, const char *says)
{
    struct backend *backend = NULL;
    g_autofree char *text = try_open(plugin, read_only, a, b, &backend);
    g_autofree char *expected = g_strdup_printf("%s: %s", path, says);
    g_assert_cmpstr(text, ==, expected);
    g_assert_null(backend);
}

static void make_file(off_t bytes)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    g_assert_cmpint(ftruncate(fd, bytes), ==, 0);
    close(fd);
}

static void append(const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_APPEND);
    g_assert_cmpint(write(fd, data, bytes), ==, (ssize_t)bytes);
    close(fd);
}

static void expect_end(const void *data, size_t bytes)
{
    g_autofree char *all = NULL;
    gsize length;
    g_assert_true(g_file_get_contents(path, &all, &length, NULL));
    g_assert_cmpmem(all + length - bytes, bytes, data, bytes);
}

static off_t file_bytes(void)
{
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_size;
}

static void missing_file_is_made_sparse(void)
{
    struct stat st;
    setup();
    rig_close(&rig, open_good("size=1G", NULL));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 1 << 30);
    g_assert_cmpint(st.st_blocks, <, 2048);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    teardown();
}

static void missing_file_without_size(void)
{
    setup();
    expect_refusal(file, false, NULL, NULL, "there is no such file, and no size to create it with");
    expect_refusal(file, true, "size=1M", NULL, "No such file or directory");
    expect_refusal(block, false, NULL, NULL, "No such file or directory");
    g_assert_cmpint(access(path, F_OK), ==, -1);
    teardown();
}

static void size_is_kept(void)
{
    setup();
    make_file(1 << 20);
    g_autofree char *tail = g_strnfill(700, 'z');
    append(tail, 700);
    struct backend *backend = open_good(NULL, NULL);
    g_assert_cmpuint(backend->info.bytes, ==, (1 << 20) + 512); /* whole blocks */
    rig_close(&rig, backend);
    g_assert_cmpint(file_bytes(), ==, (1 << 20) + 700);
    expect_end(tail, 700); /* also what is not served */
    expect_refusal(file, false, "size=2M", NULL,
                   "has 1049276 bytes, less than size (2097152); grow: yes makes it larger");
    expect_refusal(file, false, "size=64K", "grow=yes",
                   "has 1049276 bytes, more than size (65536); files are never shrunk: truncate it first");
    rig_close(&rig, open_good("size=2M", "grow=yes"));
    g_assert_cmpint(file_bytes(), ==, 2 << 20);
    teardown();
}

static void grows_while_it_is_open(void)
{
    setup();
    struct backend *backend = open_good("size=1M", NULL);
    const char *const larger[] = { path_option, "size=3M", "grow=yes", NULL };
    const char *const smaller[] = { path_option, "size=2M", "grow=yes", NULL };
    struct rig_lun lun = { .plugin = file, .options = larger };
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_assert_cmpint(rig_update(&rig, backend, &lun, &error), ==, 0);
    g_assert_cmpuint(rig.change_count, ==, 1);
    g_assert_cmpuint(rig.changed.bytes, ==, 3 << 20);
    storage_set_info(backend, &rig.changed);
    g_assert_cmpuint(backend->info.bytes, ==, 3 << 20);
    lun.options = smaller;
    g_assert_cmpint(rig_update(&rig, backend, &lun, &error), ==, -EINVAL);
    g_assert_cmpint(file_bytes(), ==, 3 << 20);
    rig_close(&rig, backend);
    teardown();
}

static void same_file_twice(void)
{
    struct backend *backend, *other;
    setup();
    backend = open_good("size=1M", NULL);
    expect_refusal(file, false, NULL, NULL, "in use: another process or LUN has locked it");
    expect_refusal(file, true, NULL, NULL, "in use: another process or LUN has locked it");
    rig_close(&rig, backend);
    g_assert_null(try_open(file, true, NULL, NULL, &backend)); /* readers share */
    g_assert_null(try_open(file, true, NULL, NULL, &other));
    rig_close(&rig, backend);
    rig_close(&rig, other);
    rig_close(&rig, open_good(NULL, NULL));
    teardown();
}

/* Another process holds the lock until its pipe closes. */
static pid_t locker(bool with_flock, int *ret_pipe)
{
    int to_child[2], from_child[2];
    char byte = 0;
    g_assert_cmpint(pipe(to_child), ==, 0);
    g_assert_cmpint(pipe(from_child), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int fd = open(path, O_RDWR);
        close(to_child[1]);
        int r = with_flock ? flock(fd, LOCK_EX) : fcntl(fd, F_SETLK, &whole);
        if (write(from_child[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 0)
            r = 1;
        _exit(r ? 1 : 0);
    }
    close(to_child[0]);
    g_assert_cmpint(read(from_child[0], &byte, 1), ==, 1);
    close(from_child[0]);
    close(from_child[1]);
    *ret_pipe = to_child[1];
    return pid;
}

static void locked_by_another_process(gconstpointer with_flock)
{
    int pipe_end, status;
    setup();
    make_file(1 << 20);
    pid_t pid = locker(with_flock != NULL, &pipe_end);
    expect_refusal(file, false, NULL, NULL, "in use: another process or LUN has locked it");
    close(pipe_end);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    rig_close(&rig, open_good(NULL, NULL));
    teardown();
}

static void each_kind_has_its_handler(void)
{
    setup();
    make_file(1 << 20);
    expect_refusal(block, false, NULL, NULL, "not a block device (files are for handler file)");
    g_unlink(path);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    expect_refusal(file, false, NULL, NULL,
                   "not a regular file (block devices are for handler block)");
    g_unlink(path);
    g_assert_cmpint(symlink("/dev/null", path), ==, 0);
    expect_refusal(block, false, NULL, NULL, "not a block device (files are for handler file)");
    g_unlink(path);
    g_assert_cmpint(symlink("/dev/no-such-file", path), ==, 0);
    expect_refusal(file, false, "size=1M", NULL, "a symbolic link to a file that is not there");
    teardown();
}

/* A file system of 4 MiB of this thread's own. */
static bool mount_small(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("small", directory, "tmpfs", 0, "size=4M") == 0;
}

static void full_disk(void)
{
    setup();
    if (!mount_small()) {
        g_test_skip("cannot mount a small file system here");
        teardown();
        return;
    }
    size_t mib = 1 << 20;
    unsigned written = 0;
    char *data = aligned_alloc(4096, mib), *back = aligned_alloc(4096, mib);
    memset(data, 0x5a, mib);
    struct storage_space before, after;
    struct backend *backend = open_good("size=16M", NULL);
    g_assert_cmpint(rig_space(&rig, backend, &before), ==, 0);
    g_assert_true(before.used_known && before.available_known && before.shared);
    g_assert_cmpuint(before.used_bytes, ==, 0);
    g_assert_cmpuint(before.available_bytes, <=, 4 * mib);
    while (written < 16 && rig_write(&rig, backend, written * mib, data, mib, 0) == 0)
        written++;
    g_assert_cmpuint(written, >=, 3);
    g_assert_cmpint(rig_write(&rig, backend, 15 * mib, data, mib, 0), ==, -ENOSPC);
    g_assert_cmpint(rig_space(&rig, backend, &after), ==, 0);
    g_assert_cmpuint(after.used_bytes, >=, written * mib);
    g_assert_cmpuint(after.available_bytes + after.used_bytes, ==, before.available_bytes);
    for (unsigned i = 0; i < written; i++) { /* what was answered is still there */
        g_assert_cmpint(rig_read(&rig, backend, i * mib, back, mib), ==, 0);
        g_assert_cmpmem(back, mib, data, mib);
    }
    g_assert_cmpint(rig_do(&rig, backend, BACKEND_UNMAP, 0, mib, 0), ==, 0);
    g_assert_cmpint(rig_write(&rig, backend, 0, data, mib / 2, 0), ==, 0); /* there is room again */
    rig_close(&rig, backend);
    free(data);
    free(back);
    g_unlink(path);
    g_assert_cmpint(umount(directory), ==, 0);
    teardown();
}

int main(int argc, char **argv)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 3);
    g_assert_cmpint(plugin_load_file(argv[1], &file, &error), ==, 0);
    g_assert_cmpint(plugin_load_file(argv[2], &block, &error), ==, 0);
    rig_init(&rig, 2);
    g_test_add_func("/file/a-missing-file-is-made-sparse", missing_file_is_made_sparse);
    g_test_add_func("/file/a-missing-file-without-size-is-an-error", missing_file_without_size);
    g_test_add_func("/file/the-size-is-kept-unless-asked", size_is_kept);
    g_test_add_func("/file/it-grows-while-it-is-open", grows_while_it_is_open);
    g_test_add_func("/file/the-same-file-twice-is-refused", same_file_twice);
    g_test_add_data_func("/file/locked-by-another-process", NULL, locked_by_another_process);
    g_test_add_data_func("/file/flocked-by-another-process", GINT_TO_POINTER(1),
                         locked_by_another_process);
    g_test_add_func("/file/each-kind-has-its-handler", each_kind_has_its_handler);
    g_test_add_func("/file/a-full-disk", full_disk);
    int r = g_test_run();
    rig_deinit(&rig);
    return r;
}
