/* Threads claim chunks one by one, so that one whom the system has put aside holds up nothing but
   the chunk it is at. Who waits spins for a moment, then sleeps: on a busy machine the core goes
   to whoever has work. */
#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#define RELAX() __builtin_ia32_pause()
#else
#define RELAX() atomic_signal_fence(memory_order_seq_cst)
#endif

#define MOST_THREADS 256
#define SPIN_NS 100000 /* longer than what goes by between two jobs of one token */

/* A job as one number, so that it is claimed from whole: which one it is (24 bits), how many chunks
   it has (20), which is to be claimed next (20). */
#define CHUNK_BITS 20
#define MOST_CHUNKS ((1 << CHUNK_BITS) - 1)
#define NEXT(ticket) ((uint32_t)(ticket)&MOST_CHUNKS)
#define COUNT(ticket) ((uint32_t)((ticket) >> CHUNK_BITS) & MOST_CHUNKS)
#define NUMBER(ticket) ((uint32_t)((ticket) >> 2 * CHUNK_BITS))

static struct {
    _Atomic uint64_t ticket;
    _Atomic(Task) task;
    void *_Atomic context;
    _Atomic uint32_t n_done;
    _Atomic int n_sleeping, caller_sleeps, stop;
    pthread_mutex_t lock;
    pthread_cond_t job, done;
    pthread_t threads[MOST_THREADS];
    int n_workers;
    uint32_t first_job; /* the one before the first that new threads work at */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .job = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Work at job `number` until none of its chunks is left. The job's fields are read before a chunk
   is claimed: a claim that succeeds proves that they were this job's. */
static void work(uint32_t number)
{
    for (;;) {
        uint64_t ticket = atomic_load(&pool.ticket);
        Task task = atomic_load(&pool.task);
        void *context = atomic_load(&pool.context);
        if (NUMBER(ticket) != number || NEXT(ticket) >= COUNT(ticket))
            return;
        if (!atomic_compare_exchange_weak(&pool.ticket, &ticket, ticket + 1))
            continue;
        task(context, NEXT(ticket));
        uint32_t n_done = atomic_fetch_add(&pool.n_done, 1) + 1;
        if (n_done == COUNT(ticket) && atomic_load(&pool.caller_sleeps)) {
            pthread_mutex_lock(&pool.lock);
            pthread_cond_signal(&pool.done);
            pthread_mutex_unlock(&pool.lock);
        }
    }
}

static uint32_t job_number(void) { return NUMBER(atomic_load(&pool.ticket)); }

static _Thread_local int own_number;

int pool_thread(void) { return own_number; }
int pool_size(void) { return pool.n_workers + 1; }

static void *worker(void *number)
{
    own_number = (int)(intptr_t)number;
    uint32_t seen = pool.first_job;
    for (;;) {
        int64_t until = now_ns() + SPIN_NS;
        while (job_number() == seen && now_ns() < until)
            for (int i = 0; i < 32 && job_number() == seen; i++)
                RELAX();
        if (job_number() == seen) {
            pthread_mutex_lock(&pool.lock);
            atomic_fetch_add(&pool.n_sleeping, 1);
            while (job_number() == seen && !atomic_load(&pool.stop))
                pthread_cond_wait(&pool.job, &pool.lock);
            atomic_fetch_sub(&pool.n_sleeping, 1);
            pthread_mutex_unlock(&pool.lock);
        }
        if (atomic_load(&pool.stop))
            return 0;
        seen = job_number();
        work(seen);
    }
}

static int job_done(void) { return atomic_load(&pool.n_done) == COUNT(atomic_load(&pool.ticket)); }

static void wait_until_done(void)
{
    int64_t until = now_ns() + SPIN_NS;
    while (!job_done() && now_ns() < until)
        for (int i = 0; i < 32 && !job_done(); i++)
            RELAX();
    if (job_done())
        return;
    pthread_mutex_lock(&pool.lock);
    atomic_store(&pool.caller_sleeps, 1);
    while (!job_done())
        pthread_cond_wait(&pool.done, &pool.lock);
    atomic_store(&pool.caller_sleeps, 0);
    pthread_mutex_unlock(&pool.lock);
}

void pool_run(Task task, void *context, long n_chunks)
{
    if (pool.n_workers == 0 || n_chunks <= 1 || n_chunks > MOST_CHUNKS) {
        for (long chunk = 0; chunk < n_chunks; chunk++)
            task(context, chunk);
        return;
    }
    uint32_t number = (job_number() + 1) & ((1 << 24) - 1);
    atomic_store(&pool.task, task);
    atomic_store(&pool.context, context);
    atomic_store(&pool.n_done, 0);
    atomic_store(&pool.ticket, ((uint64_t)number << CHUNK_BITS | (uint64_t)n_chunks) << CHUNK_BITS);
    if (atomic_load(&pool.n_sleeping)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.job);
        pthread_mutex_unlock(&pool.lock);
    }
    work(number);
    wait_until_done();
}

static void stop_workers(void)
{
    pthread_mutex_lock(&pool.lock);
    atomic_store(&pool.stop, 1);
    pthread_cond_broadcast(&pool.job);
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; i < pool.n_workers; i++)
        pthread_join(pool.threads[i], 0);
    pool.n_workers = 0;
    atomic_store(&pool.stop, 0);
}

/* Threads do not come along into a forked process. */
static void forget_workers(void)
{
    pool.n_workers = 0;
    atomic_store(&pool.n_sleeping, 0);
}

int pool_resize(int n_threads)
{
    static int registered;
    if (!registered) {
        pthread_atfork(0, 0, forget_workers);
        registered = 1;
    }
    if (n_threads > MOST_THREADS)
        n_threads = MOST_THREADS;
    if (n_threads - 1 == pool.n_workers)
        return n_threads;
    stop_workers();
    pool.first_job = job_number();
    while (pool.n_workers < n_threads - 1) {
        if (pthread_create(&pool.threads[pool.n_workers], 0, worker,
                           (void *)(intptr_t)(pool.n_workers + 1)))
            break; /* the system gives no more */
        pool.n_workers++;
    }
    return pool.n_workers + 1;
}
