/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of removed LUNs: found by number alone, by nobody else's name, and given back in the end. */
#include <errno.h>
#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/memory.h"

#define BYTES 8192

static struct store store;
static struct memory memory;

static void begin(void)
{
    store = (struct store){ 0 };
    list_init(&store.queue);
    memory_init(&memory, &store);
}

static int get(unsigned generation, const char *name, int *ret_fd, uint32_t *ret_number)
{
    struct link_memfd_get ask = { .bytes = BYTES };
    bool existed;
    g_strlcpy(ask.name, name, sizeof(ask.name));
    int r = memory_get(&memory, generation, &ask, ret_fd, &existed, ret_number);
    return r < 0 ? r : existed;
}

static void a_removed_one_is_found_by_its_number_alone(void)
{
    int fd, again;
    uint32_t number, other;
    begin();
    g_assert_cmpint(get(1, "lun:a/0", &fd, &number), ==, 0);
    g_assert_cmpuint(number, ==, 0);
    memory_remove(&memory, "lun:a/0");
    g_assert_cmpint(get(1, "lun:a/0", &again, &other), ==,
                    0); /* another, and not existing before */
    g_assert_cmpuint(other, ==, 1);
    g_assert_cmpint(again, !=, fd);
    g_assert_cmpint(get(2, "number:0", &again, &other), ==, 1);
    g_assert_cmpint(again, ==, fd);
    g_assert_cmpuint(other, ==, 0);
    memory_drop(&memory, "number:1"); /* that one is in use */
    g_assert_cmpuint(memory.count, ==, 2);
    memory_drop(&memory, "number:0");
    g_assert_cmpuint(memory.count, ==, 1);
    g_assert_cmpint(get(2, "number:0", &again, &other), ==, -ENOENT);
    g_assert_cmpint(get(2, "lun:b/0", &again, &other), ==, 0);
    g_assert_cmpuint(other, ==, 0); /* free again */
    memory_deinit(&memory);
}

static void its_size_stays(void)
{
    struct stat st;
    int fd;
    uint32_t number;
    struct link_memfd_get ask = { .bytes = 1, .name = "number:0" };
    bool existed;
    begin();
    get(1, "lun:a/0", &fd, &number);
    memory_remove(&memory, "lun:a/0");
    g_assert_cmpint(memory_get(&memory, 2, &ask, &fd, &existed, &number), ==, 0);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, BYTES);
    memory_deinit(&memory);
}

/* Its worker died before it could say that the LUN was removed: the next one has all others open. */
static void what_a_worker_has_not_asked_for_by_name_is_a_removed_one(void)
{
    int fd;
    uint32_t number;
    begin();
    get(1, "lun:a/0", &fd, &number);
    get(1, "lun:a/1", &fd, &number);
    get(2, "lun:a/1", &fd, &number);
    g_assert_cmpint(get(2, "number:1", &fd, &number), ==, -ENOENT); /* it has it by name */
    g_assert_cmpint(get(2, "number:0", &fd, &number), ==, 1);
    memory_drop(&memory,
                "number:0"); /* nothing is sent from it; its LUN may be one that is absent */
    g_assert_cmpint(get(2, "number:0", &fd, &number), ==, 1);
    memory_settle(&memory, 2);                               /* it is not */
    g_assert_cmpint(get(2, "lun:a/0", &fd, &number), ==, 0); /* not that one */
    g_assert_cmpuint(number, ==, 2);
    memory_drop(&memory, "number:0");
    g_assert_cmpuint(memory.count, ==, 2);
    memory_deinit(&memory);
}

/* It could not be opened at first. */
static void a_lun_that_is_back_has_its_memory(void)
{
    int fd, again;
    uint32_t number;
    begin();
    get(1, "lun:a/0", &fd, &number);
    g_assert_cmpint(get(2, "number:0", &again, &number), ==, 1);
    g_assert_cmpint(get(2, "lun:a/0", &again, &number), ==, 1);
    g_assert_cmpint(again, ==, fd);
    memory_settle(&memory, 2);
    g_assert_cmpint(get(3, "lun:a/0", &again, &number), ==, 1);
    memory_deinit(&memory);
}

static void what_nobody_has_asked_for_goes_when_all_luns_are_there(void)
{
    int fd;
    uint32_t number;
    begin();
    get(1, "lun:a/0", &fd, &number);
    get(1, "lun:a/1", &fd, &number);
    get(1, "lun:a/2", &fd, &number);
    get(1, "keep:pool:0", &fd, &number);
    memory_remove(&memory, "lun:a/0");
    get(2, "lun:a/1", &fd, &number);
    memory_settle(&memory, 2);
    g_assert_cmpuint(memory.count, ==, 2);
    g_assert_cmpint(get(2, "lun:a/1", &fd, &number), ==, 1);
    g_assert_cmpint(get(2, "keep:pool:0", &fd, &number), ==, 1);
    memory_deinit(&memory);
}

/* Nobody can ask for it meanwhile. */
static void that_of_an_absent_lun_is_there_when_it_comes_back(void)
{
    int fd;
    uint32_t number;
    begin();
    get(1, "lun:a/0", &fd, &number);
    get(1, "lun:a/1", &fd, &number);
    g_assert_cmpint(get(2, "number:0", &fd, &number), ==, 1);
    memory_hold(&memory, 2, "lun:a/0");
    memory_hold(&memory, 2, "lun:a/2"); /* has none */
    memory_settle(&memory, 2);
    g_assert_cmpuint(memory.count, ==, 1);
    g_assert_cmpint(get(2, "lun:a/0", &fd, &number), ==, 1);
    memory_deinit(&memory);
}

static void take_over(void *user, uint32_t slot, uint32_t number, const char *name, int fd)
{
    struct memory *to = user;
    memory_restore(to, slot, number, name, dup(fd));
}

static void another_keeper_has_it_under_its_number(void)
{
    struct memory before;
    int fd;
    uint32_t number;
    begin();
    get(1, "lun:a/0", &fd, &number);
    get(1, "lun:a/1", &fd, &number);
    memory_remove(&memory, "lun:a/0");
    before = memory;
    list_init(&before.entries);
    list_splice(&before.entries, &memory.entries);
    memory_init(&memory, &store);
    memory_each(&before, take_over, &memory);
    memory_deinit(&before);
    g_assert_cmpint(get(1, "lun:a/0", &fd, &number), ==, 0);
    g_assert_cmpuint(number, ==, 2);
    g_assert_cmpint(get(1, "number:0", &fd, &number), ==, 1);
    memory_deinit(&memory);
}

/* The worker that has asked an earlier keeper lives, and has nothing to ask again. */
static void another_keeper_lets_go_of_nothing_that_the_worker_has(void)
{
    struct memory before;
    int fd;
    uint32_t number;
    begin();
    get(3, "lun:a/0", &fd, &number);
    before = memory;
    list_init(&before.entries);
    list_splice(&before.entries, &memory.entries);
    memory_init(&memory, &store);
    memory_each(&before, take_over, &memory);
    memory_deinit(&before);
    memory_adopt(&memory, 3);
    memory_settle(&memory, 3);
    g_assert_cmpint(get(3, "lun:a/0", &fd, &number), ==, 1);
    memory_settle(&memory, 4); /* of one that has not asked */
    g_assert_cmpuint(memory.count, ==, 0);
    memory_deinit(&memory);
}

static void what_is_no_number_is_refused(void)
{
    static const char *const wrong[] = { "number:",  "number:x",  "number:0x",
                                         "number:7", "number:-1", "number:99999999999999999999" };
    int fd;
    uint32_t number;
    begin();
    get(1, "lun:a/0", &fd, &number);
    memory_remove(&memory, "lun:a/0");
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_cmpint(get(2, wrong[i], &fd, &number), ==, -ENOENT);
        memory_drop(&memory, wrong[i]);
    }
    g_assert_cmpuint(memory.count, ==, 1);
    memory_deinit(&memory);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory/by-number", a_removed_one_is_found_by_its_number_alone);
    g_test_add_func("/memory/size", its_size_stays);
    g_test_add_func("/memory/untold", what_a_worker_has_not_asked_for_by_name_is_a_removed_one);
    g_test_add_func("/memory/absent", a_lun_that_is_back_has_its_memory);
    g_test_add_func("/memory/settle", what_nobody_has_asked_for_goes_when_all_luns_are_there);
    g_test_add_func("/memory/keeper", another_keeper_has_it_under_its_number);
    g_test_add_func("/memory/wrong", what_is_no_number_is_refused);
    g_test_add_func("/memory/hold", that_of_an_absent_lun_is_there_when_it_comes_back);
    g_test_add_func("/memory/adopt", another_keeper_lets_go_of_nothing_that_the_worker_has);
    return g_test_run();
}
