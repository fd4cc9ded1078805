/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WAITING_MS 1000 /* how often what waits too long is looked for */

int worker_init(struct worker *w, struct plane *plane, unsigned number, int queue, const struct udp *udp)
{
	int r;

	w->plane = plane;
	w->number = number;
	w->queue = queue;
	w->udp = *udp;
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake < 0)
		return -errno;
	r = stash_init(&w->stash);
	return r != 0 ? r : aead_new(&w->aead);
}

void worker_fini(struct worker *w)
{
	if (!w->plane)
		return;
	stash_fini(&w->stash);
	aead_free(w->aead);
	if (w->wake >= 0)
		close(w->wake);
}

void worker_wake(const struct worker *w)
{
	plane_signal(w->wake);
}

void worker_loop(struct worker *w, struct pollfd *fds, nfds_t n, const uint16_t *mtu,
		 void (*turn)(struct worker *w, struct pollfd *fds))
{
	struct plane *p = w->plane;
	uint64_t count;

	while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE)) {
		poll(fds, n, w->stash.used > 0 ? WAITING_MS : -1);
		grace_online(&p->grace, w->number);
		w->now_ms = plane_now_ms();
		w->mtu = __atomic_load_n(mtu, __ATOMIC_RELAXED);
		if (fds[0].revents && read(w->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
			fds[0].fd = -1;
		if (w->stash.used > 0)
			worker_outbound_waiting(w);
		turn(w, fds);
		grace_offline(&p->grace, w->number);
	}
}

/* The device was taken away; what comes for it is counted on. */
static void on_lost(struct worker *w, struct pollfd *tap)
{
	tap->fd = -1;
	__atomic_store_n(&w->plane->lost, true, __ATOMIC_RELEASE);
	plane_wake(w->plane);
}

static void turn(struct worker *w, struct pollfd *fds)
{
	if (fds[1].revents)
		worker_inbound(w, NULL, NULL);
	if (fds[2].revents && worker_outbound(w) != 0)
		on_lost(w, &fds[2]);
}

void worker_run(struct worker *w)
{
	struct pollfd fds[] = {{w->wake, POLLIN, 0}, {w->udp.fd, POLLIN, 0}, {w->queue, POLLIN, 0}};

	worker_loop(w, fds, 3, &w->plane->mtu, turn);
}

int worker_thread(pthread_t *out, void *(*run)(void *arg), void *arg)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(out, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}
