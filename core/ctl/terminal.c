/* SPDX-License-Identifier: BSD-3-Clause */
/* See terminal.h. */
#include "ctl/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static volatile sig_atomic_t over, stop, back;

static void write_all(const char *text)
{
    size_t left = strlen(text);
    while (left) {
        ssize_t n = write(STDOUT_FILENO, text, left);
        if (n < 0 && errno != EINTR) {
            over = 1;
            return;
        }
        if (n > 0) {
            text += n;
            left -= (size_t)n;
        }
    }
}

static void on_signal(int number)
{
    if (number == SIGTSTP)
        stop = 1;
    else if (number == SIGCONT)
        back = 1;
    else if (number != SIGWINCH) /* poll() comes back, and the next picture has the new size */
        over = 1;
}

static void enter(void)
{
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    write_all("\033[?1049h\033[?25l"); /* alternate screen, no cursor */
}

bool terminal_begin(void)
{
    static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH };
    struct sigaction action = { .sa_handler = on_signal };
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0)
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(caught); i++)
        sigaction(caught[i], &action, NULL);
    enter();
    return true;
}

void terminal_end(void)
{
    write_all("\033[?25h\033[?1049l");
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

/* The shell gets its terminal back, until it lets us go on (SIGCONT). */
static void stop_here(void)
{
    struct sigaction usual = { .sa_handler = SIG_DFL }, ours;
    stop = 0;
    terminal_end();
    sigaction(SIGTSTP, &usual, &ours);
    raise(SIGTSTP);
    sigaction(SIGTSTP, &ours, NULL);
    back = 1;
}

void terminal_size(unsigned *ret_rows, unsigned *ret_columns)
{
    struct winsize size = { 0 };
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;
    *ret_rows = known ? size.ws_row : 24;
    *ret_columns = known ? size.ws_col : 80;
}

void terminal_draw(const char *text)
{
    g_autoptr(GString) out =
        g_string_new("\033[H"); /* home; clear the rest of each line, then below */
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            g_string_append(out, "\033[K\r\n");
        else
            g_string_append_c(out, *p);
    }
    g_string_append(out, "\033[J");
    write_all(out->str);
}

int terminal_key(unsigned ms)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    char key;
    int n = over || stop || back ? 0 : poll(&p, 1, (int)ms);
    if (over)
        return TERMINAL_OVER;
    if (stop)
        stop_here();
    if (back) {
        back = 0;
        enter();
        return 0;
    }
    if (n <= 0)
        return 0;
    return read(STDIN_FILENO, &key, 1) == 1 ? (unsigned char)key : TERMINAL_OVER;
}
