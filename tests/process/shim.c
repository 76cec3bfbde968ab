/* Stands before the C library: fails syncs while the file named by FAIL_SYNC is there, makes each of
 * them take SLOW_SYNC_MS, and shifts the wall clock by SHIFT_CLOCK_SECS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int fails(void) {
    const char *slow = getenv("SLOW_SYNC_MS");
    if (slow != NULL)
        usleep(1000 * atol(slow));
    const char *file = getenv("FAIL_SYNC");
    return file != NULL && access(file, F_OK) == 0;
}

int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    if (fails()) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    if (fails()) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *shift = getenv("SHIFT_CLOCK_SECS");
    if (result == 0 && shift != NULL && clock == CLOCK_REALTIME)
        now->tv_sec += atol(shift);
    return result;
}
