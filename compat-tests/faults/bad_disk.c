/* bad_disk: a disk whose syncs fail on command, for LD_PRELOAD.
 *
 * While the file that BAD_DISK names exists, fsync and fdatasync of a file whose path contains its content fail
 * with EIO, once for each such content; as the kernel does, they succeed again afterwards. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char done[PATH_MAX];

static int fails(int fd)
{
    const char *command = getenv("BAD_DISK");
    char wanted[PATH_MAX] = "", link[64], path[PATH_MAX] = "";
    int file = command ? open(command, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    ssize_t size = read(file, wanted, sizeof wanted - 1);
    close(file);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (size <= 0 || readlink(link, path, sizeof path - 1) <= 0 || !strstr(path, wanted))
        return 0;
    pthread_mutex_lock(&lock);
    int is_first = strcmp(done, wanted) != 0;
    strcpy(done, wanted);
    pthread_mutex_unlock(&lock);
    if (is_first)
        errno = EIO;
    return is_first;
}

int fsync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return fails(fd) ? -1 : next(fd);
}

int fdatasync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails(fd) ? -1 : next(fd);
}
