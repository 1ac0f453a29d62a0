/* SPDX-License-Identifier: BSD-3-Clause */
/* What a line of the log looks like, on a standard error that is a file. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static int file;
static int saved_stderr;

static void capture(void)
{
    fflush(stderr);
    file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    g_assert_cmpint(file, >=, 0);
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    g_assert_cmpint(dup2(file, STDERR_FILENO), ==, STDERR_FILENO);
}

/* What was written since capture(). */
static char *captured(void)
{
    char *text = g_malloc0(1 << 16);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    g_assert_cmpint(pread(file, text, (1 << 16) - 1, 0), >=, 0);
    close(file);
    return text;
}

static void a_line_has_time_level_domain_and_text(void)
{
    capture();
    log_set_role("worker");
    log_notice("session", "login accepted initiator=%s", "iqn.2026-11.org.example:a");
    log_set_role(NULL);
    g_autofree char *text = captured();
    g_assert_true(g_regex_match_simple(
        "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z notice worker/session: "
        "login accepted initiator=iqn\\.2026-11\\.org\\.example:a\n$",
        text, 0, 0));
}

static void control_bytes_cannot_forge_a_line(void)
{
    capture();
    log_error("x", "name=%s", "a\nb\x1b[0m\x7f");
    g_autofree char *text = captured();
    g_assert_true(g_str_has_suffix(text, " error x: name=a\\x0ab\\x1b[0m\\x7f\n"));
    g_assert_true(strchr(text, '\n') == text + strlen(text) - 1);
}

static void long_lines_are_cut(void)
{
    g_autofree char *much = g_strnfill(5000, '\n');
    capture();
    log_error("x", "%s", much);
    g_autofree char *text = captured();
    g_assert_cmpuint(strlen(text), <=, 1100);
    g_assert_true(strchr(text, '\n') == text + strlen(text) - 1);
}

static void quiet_levels_are_not_written(void)
{
    capture();
    log_set_level(LOG_LEVEL_WARNING);
    log_info("x", "info");
    log_debug("x", "debug");
    log_warning("x", "warning");
    log_set_level(LOG_LEVEL_INFO);
    g_autofree char *text = captured();
    g_assert_null(strstr(text, "info"));
    g_assert_null(strstr(text, "debug"));
    g_assert_nonnull(strstr(text, "warning x: warning"));
}

static void errno_survives_a_line(void)
{
    capture();
    errno = EXDEV;
    log_error("x", "text");
    int after = errno;
    g_autofree char *text = captured();
    g_assert_cmpint(after, ==, EXDEV);
    g_assert_nonnull(strstr(text, "text"));
}

static void levels_have_names(void)
{
    enum log_level level = LOG_LEVEL_ERROR;
    g_assert_cmpint(log_level_parse("debug", &level), ==, 0);
    g_assert_cmpint(level, ==, LOG_LEVEL_DEBUG);
    g_assert_cmpint(log_level_parse("warning", &level), ==, 0);
    g_assert_cmpint(level, ==, LOG_LEVEL_WARNING);
    g_assert_cmpint(log_level_parse("loud", &level), ==, -EINVAL);
    g_assert_cmpint(log_level_parse("", &level), ==, -EINVAL);
}

int main(int argc, char **argv)
{
    g_unsetenv("JOURNAL_STREAM");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/log/a-line-has-time-level-domain-and-text",
                    a_line_has_time_level_domain_and_text);
    g_test_add_func("/base/log/control-bytes-cannot-forge-a-line",
                    control_bytes_cannot_forge_a_line);
    g_test_add_func("/base/log/long-lines-are-cut", long_lines_are_cut);
    g_test_add_func("/base/log/quiet-levels-are-not-written", quiet_levels_are_not_written);
    g_test_add_func("/base/log/errno-survives-a-line", errno_survives_a_line);
    g_test_add_func("/base/log/levels-have-names", levels_have_names);
    return g_test_run();
}
