/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - tells the service manager how the daemon is doing: datagrams of sd_notify(3).
 *
 * notify_open before the sandbox is entered, notify_send at any time, notify_close.  Nothing here waits: a manager that
 * does not read loses states of the moment, and gets what it has to know (READY, RELOADING, STOPPING) with a later
 * message.  Without NOTIFY_SOCKET all of it does nothing.  Control thread.
 */
#ifndef ISTHMUS_NOTIFY_H
#define ISTHMUS_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1 = nobody listens */
	struct sockaddr_un address;
	socklen_t size;
	char owed[512]; /* what was not sent and has to be */
};

int notify_open(struct notify *n); /* 0, or -errno: the variable makes no sense */
void notify_close(struct notify *n);

/* Lines like READY=1.  A text that begins with STATUS= or WATCHDOG= is of the moment. */
void notify_send(struct notify *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sends what is owed, if anything. */
void notify_again(struct notify *n);

#endif
