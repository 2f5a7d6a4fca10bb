/* bad_disk: a disk that fails or stalls on command, for LD_PRELOAD.
 *
 * BAD_DISK is a folder. What stands in its file `sync` is part of the paths whose next fsync or fdatasync fails
 * with EIO: once, and as the kernel does, they succeed again afterwards. While it has a file `write`, writes to
 * paths with such a part do not return, and the name of the thread that has waited for 100 ms is put into the file
 * `waits`; while it has a file `read-only`, they fail with EROFS, as on a file system that the kernel has made
 * read-only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char done[PATH_MAX];

/* Whether the file behind fd is one that a command speaks of; its words are left in `wanted`. */
static int is_meant(int fd, const char *command, char *wanted, size_t room)
{
    char link[PATH_MAX], path[PATH_MAX] = "";
    const char *folder = getenv("BAD_DISK");
    snprintf(link, sizeof link, "%s/%s", folder ? folder : "", command);
    int file = open(link, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t size = read(file, wanted, room - 1);
    close(file);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (size <= 0 || readlink(link, path, sizeof path - 1) <= 0)
        return 0;
    wanted[size] = 0;
    return strstr(path, wanted) != NULL;
}

static int fails(int fd)
{
    char wanted[PATH_MAX];
    if (!is_meant(fd, "sync", wanted, sizeof wanted))
        return 0;
    pthread_mutex_lock(&lock);
    int is_first = strcmp(done, wanted) != 0;
    strcpy(done, wanted);
    pthread_mutex_unlock(&lock);
    if (is_first)
        errno = EIO;
    return is_first;
}

static void tell_who_waits(void)
{
    char name[16] = "", fresh[PATH_MAX], place[PATH_MAX];
    const char *folder = getenv("BAD_DISK");
    snprintf(fresh, sizeof fresh, "%s/waits.new", folder ? folder : "");
    snprintf(place, sizeof place, "%s/waits", folder ? folder : "");
    prctl(PR_GET_NAME, name);
    FILE *file = fopen(fresh, "w");
    if (file == NULL)
        return;
    fputs(name, file);
    fclose(file);
    rename(fresh, place);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t at)
{
    ssize_t (*next)(int, const struct iovec *, int, off64_t) =
        (ssize_t (*)(int, const struct iovec *, int, off64_t))dlsym(RTLD_NEXT, "pwritev64");
    char wanted[PATH_MAX];
    for (int turns = 1; is_meant(fd, "write", wanted, sizeof wanted); ++turns) {
        usleep(1000);
        if (turns == 100)
            tell_who_waits();
    }
    if (is_meant(fd, "read-only", wanted, sizeof wanted)) {
        errno = EROFS;
        return -1;
    }
    return next(fd, pieces, count, at);
}

int ftruncate64(int fd, off64_t size)
{
    int (*next)(int, off64_t) = (int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64");
    char wanted[PATH_MAX];
    if (is_meant(fd, "read-only", wanted, sizeof wanted)) {
        errno = EROFS;
        return -1;
    }
    return next(fd, size);
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
