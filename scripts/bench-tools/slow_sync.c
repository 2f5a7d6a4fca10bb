/* slow_sync: a disk whose syncs take longer, for LD_PRELOAD.
 *
 * fsync and fdatasync sleep FSYNC_DELAY_US microseconds before they do their work. It stands under every
 * broker of a bench alike, since on a machine whose disk has a cache of its own a sync is nearly free. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_a_while(void)
{
    const char *delay = getenv("FSYNC_DELAY_US");
    if (delay)
        usleep((useconds_t)atoi(delay));
}

int fsync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_a_while();
    return next(fd);
}

int fdatasync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_a_while();
    return next(fd);
}
