/* libzookeeper_mt: sessions, watches, multi, ephemerals, and a server that is killed. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zookeeper/zookeeper.h>

enum { patience_s = 120, timeout_ms = 20000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int connected;      /* 1 when the session is at a server */
static int lost;           /* How often it was not any more, lately. */
static char told[64][128]; /* "TYPE PATH" of each event. */
static int told_count;

static void check(int holds, const char* name, long seen) {
    if (holds) {
        printf("ok %s\n", name);
    } else {
        printf("FAILED %s: saw %ld\n", name, seen);
    }
    fflush(stdout);
}

static void watch(zhandle_t* handle, int type, int state, const char* path, void* context) {
    (void)handle;
    (void)context;
    pthread_mutex_lock(&mutex);
    if (type == ZOO_SESSION_EVENT) {
        if (connected && state != ZOO_CONNECTED_STATE) ++lost;
        connected = state == ZOO_CONNECTED_STATE;
    } else if (told_count < 64) {
        snprintf(told[told_count++], sizeof told[0], "%d %s", type, path);
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* Wait until `look` is true. */
static int until(int (*look)(const char*), const char* what) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += patience_s;
    pthread_mutex_lock(&mutex);
    int late = 0;
    while (!look(what) && !late) late = pthread_cond_timedwait(&changed, &mutex, &deadline) != 0;
    const int seen = look(what);
    pthread_mutex_unlock(&mutex);
    return seen;
}

static int is_connected(const char* unused) {
    (void)unused;
    return connected;
}

static int was_lost(const char* unused) {
    (void)unused;
    return lost > 0;
}

static int was_told(const char* what) {
    for (int i = 0; i < told_count; ++i) {
        if (strcmp(told[i], what) == 0) return 1;
    }
    return 0;
}

static void nodes(zhandle_t* zk) {
    char path[128], data[16];
    int length = sizeof data;
    struct Stat stat;
    check(zoo_create(zk, "/c", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path) == ZOK, "create", 0);
    check(zoo_create(zk, "/c", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path) == ZNODEEXISTS, "create again", 0);
    check(zoo_set2(zk, "/c", "two", 3, 0, &stat) == ZOK && stat.version == 1, "set", stat.version);
    check(zoo_set(zk, "/c", "no", 2, 7) == ZBADVERSION, "set of another version", 0);
    check(zoo_get(zk, "/c", 0, data, &length, &stat) == ZOK && length == 3 && memcmp(data, "two", 3) == 0, "get", length);
    check(zoo_create(zk, "/c/s-", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, path, sizeof path) == ZOK &&
              strcmp(path, "/c/s-0000000000") == 0,
          "a sequence number", 0);
    struct String_vector names;
    check(zoo_get_children2(zk, "/c", 0, &names, &stat) == ZOK && names.count == 1 && stat.numChildren == 1,
          "children", names.count);
    deallocate_String_vector(&names);
    check(zoo_delete(zk, "/c", -1) == ZNOTEMPTY, "delete of a parent", 0);
}

static void multi(zhandle_t* zk) {
    zoo_op_t ops[3];
    zoo_op_result_t results[3];
    char path[128];
    struct Stat stat;
    zoo_create_op_init(&ops[0], "/c/m", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
    zoo_set_op_init(&ops[1], "/c/m", "2", 1, 0, &stat);
    zoo_check_op_init(&ops[2], "/c/m", 1);
    check(zoo_multi(zk, 3, ops, results) == ZOK && stat.version == 1 && strcmp(path, "/c/m") == 0, "multi", stat.version);
    zoo_delete_op_init(&ops[0], "/c/m", -1);
    zoo_check_op_init(&ops[1], "/c", 99);
    zoo_delete_op_init(&ops[2], "/c", -1);
    check(zoo_multi(zk, 3, ops, results) == ZBADVERSION && results[0].err == ZOK && results[1].err == ZBADVERSION &&
              results[2].err == ZRUNTIMEINCONSISTENCY,
          "a multi that fails says where", results[1].err);
    check(zoo_exists(zk, "/c/m", 0, NULL) == ZOK, "and leaves nothing", 0);
}

static void watches(zhandle_t* zk) {
    check(zoo_exists(zk, "/c/w", 1, NULL) == ZNONODE, "exists of what is not there", 0);
    zoo_create(zk, "/c/w", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    check(until(was_told, "1 /c/w"), "its creation is told", 0);
    zoo_get_children(zk, "/c/w", 1, &(struct String_vector){0, NULL});
    zoo_create(zk, "/c/w/a", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    check(until(was_told, "4 /c/w"), "and a child", 0);
}

static void ephemerals(zhandle_t* zk, const char* address) {
    zhandle_t* const other = zookeeper_init(address, NULL, timeout_ms, NULL, NULL, 0);
    /* Requests wait for the connection. */
    check(zoo_create(other, "/c/e", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0) == ZOK, "ephemeral", 0);
    struct Stat stat;
    check(zoo_exists(zk, "/c/e", 1, &stat) == ZOK && stat.ephemeralOwner == zoo_client_id(other)->client_id,
          "its owner is the session", 0);
    zookeeper_close(other);
    check(until(was_told, "2 /c/e"), "it goes with its session", 0);
}

static void restart(zhandle_t* zk) {
    const long long session = zoo_client_id(zk)->client_id;
    zoo_create(zk, "/c/mine", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0);
    zoo_create(zk, "/c/kept", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    char data[16];
    int length = sizeof data;
    zoo_get(zk, "/c/kept", 1, data, &length, NULL);
    pthread_mutex_lock(&mutex);
    lost = 0;
    pthread_mutex_unlock(&mutex);
    puts("RESTART");
    fflush(stdout);
    check(until(was_lost, NULL), "the connection is lost", lost);
    check(until(is_connected, NULL), "and found again", connected);
    check(zoo_client_id(zk)->client_id == session, "with the same session", 0);
    check(zoo_exists(zk, "/c/mine", 0, NULL) == ZOK, "its ephemeral is there", 0);
    check(zoo_set(zk, "/c/kept", "2", 1, 0) == ZOK, "what was written is there", 0);
    check(until(was_told, "3 /c/kept"), "its watch too", 0);
}

int main(int count, char** words) {
    if (count < 2) return 1;
    zoo_set_debug_level(0);
    zhandle_t* const zk = zookeeper_init(words[1], watch, timeout_ms, NULL, NULL, 0);
    if (!zk) return 1;
    check(until(is_connected, NULL), "a session", 0);
    nodes(zk);
    multi(zk);
    watches(zk);
    ephemerals(zk, words[1]);
    restart(zk);
    check(zookeeper_close(zk) == ZOK, "closed", 0);
    puts("END");
    return 0;
}
