// C11's threads, mutexes and conditions over POSIX's, in the place of glibc's: librdkafka uses the
// former, and the thread sanitizer knows only the latter. A thread that it did not see start
// crashes at its first allocation, and what a mutex orders that it did not see is a race to it.
//
// glibc's own are such wrappers too, so the types have room for POSIX's (asserted below).

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <memory>
#include <pthread.h>
#include <threads.h>

namespace {

static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t) &&
              alignof(mtx_t) >= alignof(pthread_mutex_t));
static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t) && alignof(cnd_t) >= alignof(pthread_cond_t));

pthread_mutex_t* posix(mtx_t* mutex) {
    return reinterpret_cast<pthread_mutex_t*>(mutex);
}
pthread_cond_t* posix(cnd_t* condition) {
    return reinterpret_cast<pthread_cond_t*>(condition);
}

int outcome(int error) {
    switch (error) {
        case 0:
            return thrd_success;
        case ETIMEDOUT:
            return thrd_timedout;
        case EBUSY:
            return thrd_busy;
        case ENOMEM:
            return thrd_nomem;
        default:
            return thrd_error;
    }
}

struct Start {
    thrd_start_t run;
    void* with;
};

void* begin(void* start) {
    const std::unique_ptr<Start> mine(static_cast<Start*>(start));
    return reinterpret_cast<void*>(static_cast<std::intptr_t>(mine->run(mine->with)));
}

}  // namespace

extern "C" {

int thrd_create(thrd_t* thread, thrd_start_t run, void* with) {
    auto start = std::make_unique<Start>(run, with);
    const int error = pthread_create(thread, nullptr, begin, start.get());
    if (error == 0) start.release();  // begin() has it.
    return outcome(error);
}

int thrd_join(thrd_t thread, int* ended_with) {
    void* result = nullptr;
    const int error = pthread_join(thread, &result);
    if (error == 0 && ended_with)
        *ended_with = static_cast<int>(reinterpret_cast<std::intptr_t>(result));
    return outcome(error);
}

int mtx_init(mtx_t* mutex, int type) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(
        &attributes, (type & mtx_recursive) != 0 ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    const int error = pthread_mutex_init(posix(mutex), &attributes);
    pthread_mutexattr_destroy(&attributes);
    return outcome(error);
}
int mtx_lock(mtx_t* mutex) {
    return outcome(pthread_mutex_lock(posix(mutex)));
}
int mtx_unlock(mtx_t* mutex) {
    return outcome(pthread_mutex_unlock(posix(mutex)));
}
void mtx_destroy(mtx_t* mutex) {
    pthread_mutex_destroy(posix(mutex));
}

int cnd_init(cnd_t* condition) {
    return outcome(pthread_cond_init(posix(condition), nullptr));
}
int cnd_signal(cnd_t* condition) {
    return outcome(pthread_cond_signal(posix(condition)));
}
int cnd_broadcast(cnd_t* condition) {
    return outcome(pthread_cond_broadcast(posix(condition)));
}
int cnd_wait(cnd_t* condition, mtx_t* mutex) {
    return outcome(pthread_cond_wait(posix(condition), posix(mutex)));
}
int cnd_timedwait(cnd_t* __restrict condition, mtx_t* __restrict mutex,
                  const timespec* __restrict until) {
    return outcome(pthread_cond_timedwait(posix(condition), posix(mutex), until));
}
void cnd_destroy(cnd_t* condition) {
    pthread_cond_destroy(posix(condition));
}

}  // extern "C"
