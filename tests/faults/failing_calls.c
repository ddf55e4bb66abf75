/* System calls that fail, for LD_PRELOAD. FAIL is one of
     flock:ERRNO         no file has locks
     fsync:ERRNO         nothing reaches the disk
     write:ERRNO@N       the N-th write to a file below FAIL_BELOW fails, and all after it
     read:ERRNO@N        the same for reads
     shortwrite, shortread   every write or read below FAIL_BELOW moves only a part */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int code_of(const char *call) {
    const char *fail = getenv("FAIL");
    size_t length = strlen(call);
    return fail && !strncmp(fail, call, length) && fail[length] == ':' ? atoi(fail + length + 1) : 0;
}

static int is_below(int descriptor) {
    char link[64], path[4096];
    const char *below = getenv("FAIL_BELOW");
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!below || length < 0) return 0;
    path[length] = 0;
    return !strncmp(path, below, strlen(below));
}

static int strikes(const char *call, int descriptor, long *count) {
    int code = code_of(call);
    if (!code || !is_below(descriptor)) return 0;
    const char *number = strchr(getenv("FAIL"), '@');
    if (++*count < (number ? atol(number + 1) : 1)) return 0;
    errno = code;
    return 1;
}

static int is_short(const char *call, int descriptor) {
    const char *fail = getenv("FAIL");
    return fail && !strcmp(fail, call) && is_below(descriptor);
}

int flock(int descriptor, int operation) {
    if ((errno = code_of("flock"))) return -1;
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(descriptor, operation);
}

int fsync(int descriptor) {
    if ((errno = code_of("fsync"))) return -1;
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(descriptor);
}

ssize_t write(int descriptor, const void *data, size_t size) {
    static long count;
    ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (strikes("write", descriptor, &count)) return -1;
    return next(descriptor, data, size > 1 && is_short("shortwrite", descriptor) ? size / 2 + 1 : size);
}

ssize_t read(int descriptor, void *data, size_t size) {
    static long count;
    ssize_t (*next)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    if (strikes("read", descriptor, &count)) return -1;
    return next(descriptor, data, size > 1 && is_short("shortread", descriptor) ? size / 3 + 1 : size);
}
