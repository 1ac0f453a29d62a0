/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lies where holdfastd should lie. What it does is in the file beside it with ".mode" at its end: a real
 * binary's path, that of breaking.so, and how it breaks (see there), a line each. It runs the real one
 * with breaking.so preloaded; when the last line is empty, just so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *line(FILE *f, char *to, size_t bytes)
{
    if (!fgets(to, (int)bytes, f))
        _exit(99);
    to[strcspn(to, "\n")] = '\0';
    return to;
}

int main(int argc, char **argv)
{
    static char self[4096], path[4200], real[4096], preload[4096], how[64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    self[n > 0 ? n : 0] = '\0';
    snprintf(path, sizeof(path), "%s.mode", self);
    FILE *f = fopen(path, "re");
    if (!f)
        return 98;
    line(f, real, sizeof(real));
    line(f, preload, sizeof(preload));
    line(f, how, sizeof(how));
    fclose(f);
    if (*how) {
        setenv("LD_PRELOAD", preload, 1);
        setenv("HOLDFAST_BREAK", how, 1);
    }
    execv(real, argv);
    return 97;
}
