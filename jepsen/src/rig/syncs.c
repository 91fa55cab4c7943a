/*
 * Loaded before a node's own libraries: lets fsync, fdatasync and sync_file_range fail or take their time.
 *
 * FAULTY_SYNCS names a file that is read at every call: "eio", or "slow LEAST MOST" in milliseconds; anything else, or
 * no file, leaves the call alone. Each call that was changed adds a byte to the file FAULTY_SYNCS_COUNT. A call that
 * fails has not synced anything, as on a disk that lost what it was given.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void count(void)
{
    const char *path = getenv("FAULTY_SYNCS_COUNT");
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (file >= 0) {
        if (write(file, ".", 1) != 1) {
            /* A count that is too low fails the run: that is the safe side. */
        }
        close(file);
    }
}

/* Whether the call must fail; waits first where it must be slow. */
static int fails(void)
{
    char text[64];
    const char *path = getenv("FAULTY_SYNCS");
    int before = errno;
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : 0;
    unsigned least, most;
    if (file >= 0) {
        close(file);
    }
    errno = before;
    text[length > 0 ? length : 0] = 0;
    if (strncmp(text, "eio", 3) == 0) {
        count();
        errno = EIO;
        return 1;
    }
    if (sscanf(text, "slow %u %u", &least, &most) == 2 && most >= least) {
        struct timespec now, wait;
        unsigned long drawn;
        clock_gettime(CLOCK_MONOTONIC, &now);
        drawn = least + ((unsigned long)now.tv_nsec / 1000) % (most - least + 1);
        wait.tv_sec = (time_t)(drawn / 1000);
        wait.tv_nsec = (long)(drawn % 1000) * 1000000L;
        nanosleep(&wait, NULL);
        count();
        errno = before;
    }
    return 0;
}

int fsync(int file)
{
    static int (*real)(int);
    if (!real) {
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    }
    return fails() ? -1 : real(file);
}

int fdatasync(int file)
{
    static int (*real)(int);
    if (!real) {
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    }
    return fails() ? -1 : real(file);
}

int sync_file_range(int file, off64_t offset, off64_t length, unsigned flags)
{
    static int (*real)(int, off64_t, off64_t, unsigned);
    if (!real) {
        real = (int (*)(int, off64_t, off64_t, unsigned))dlsym(RTLD_NEXT, "sync_file_range");
    }
    return fails() ? -1 : real(file, offset, length, flags);
}
