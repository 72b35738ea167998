/* A pool of threads that share the chunks of one job at a time; the caller works along.

   It knows nothing of what a chunk is. One caller at a time: Python's lock sees to that. */
#ifndef LLMCLI_POOL_H
#define LLMCLI_POOL_H

typedef void (*Task)(void *context, long chunk);

/* Use `n_threads`, the caller's included. Returns how many there really are. */
int pool_resize(int n_threads);

/* How many there are, and which of them, from 0 on, asks: for memory of its own. */
int pool_size(void);
int pool_thread(void);

/* Run task(context, 0 .. n_chunks - 1), in any order and on any thread; returns when all is done. */
void pool_run(Task task, void *context, long n_chunks);

#endif
