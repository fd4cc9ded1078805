/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_MAX 1024

int notify_open(struct notify *n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;

	*n = (struct notify){.fd = -1, .address.sun_family = AF_UNIX};
	if (length == 0)
		return 0;
	if ((path[0] != '/' && path[0] != '@') || length >= sizeof(n->address.sun_path))
		return -EINVAL;
	memcpy(n->address.sun_path, path, length);
	n->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (path[0] == '@')
		n->address.sun_path[0] = 0;
	else
		n->size++;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		return -errno;
	/* Now: from inside the sandbox, sockets without a name in the file system cannot be reached any more.  A manager
	 * that is not there yet is tried again. */
	(void)connect(n->fd, (struct sockaddr *)&n->address, n->size);
	return 0;
}

void notify_close(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

static bool sent(struct notify *n, const char *text)
{
	size_t size = strlen(text);

	if (send(n->fd, text, size, MSG_NOSIGNAL) == (ssize_t)size)
		return true;
	if (errno == EAGAIN || errno == ENOBUFS)
		return false;
	/* The manager was started anew and made its socket again. */
	return connect(n->fd, (struct sockaddr *)&n->address, n->size) == 0 &&
	       send(n->fd, text, size, MSG_NOSIGNAL) == (ssize_t)size;
}

void notify_again(struct notify *n)
{
	if (n->fd >= 0 && n->owed[0] && sent(n, n->owed))
		n->owed[0] = 0;
}

void notify_send(struct notify *n, const char *format, ...)
{
	char text[MESSAGE_MAX];
	size_t owed;
	va_list args;

	if (n->fd < 0)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	notify_again(n);
	if (!n->owed[0] && sent(n, text))
		return;
	owed = strlen(n->owed);
	if (strncmp(text, "STATUS=", 7) == 0 || strncmp(text, "WATCHDOG=", 9) == 0 ||
	    owed + strlen(text) + 2 > sizeof(n->owed))
		return;
	if (owed)
		n->owed[owed++] = '\n';
	memcpy(n->owed + owed, text, strlen(text) + 1);
}
