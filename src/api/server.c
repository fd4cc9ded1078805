/* SPDX-License-Identifier: Apache-2.0 */
#include "api/server.h"

#include <errno.h>
#include <grp.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "api/json.h"
#include "api/route.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/loop.h"

#define SOCKET_NAME "isthmus.sock"
#define GROUP API_GROUP
#define CONNECTIONS 256
#define CONNECTIONS_PER_USER 64   /* of one user that is not root, so that root can always connect */
#define IDLE_S 30                 /* nothing read or written */
#define REQUEST_MS 10000          /* to send a whole request; a drip-feeder is cut off here */
#define DISCARD_MAX (64u << 20) /* an oversized body is read and dropped up to this, so that the client sees the 413   \
				 */
#define MEMORY (64u << 10)        /* of one connection: headers, and pieces of a stream */
#define TURN_MS 3                 /* of the control thread at once */

struct connection {
	struct server *server;
	struct connection *previous, *next;
	int fd; /* microhttpd's */
	uid_t uid;
	enum api_access access;
	uint64_t waiting_since_ms; /* for the rest of a request; 0 = not waiting */
};

struct exchange { /* one request and its answer */
	char *target;
	char *body;
	size_t size, capacity;
	uint64_t received;
	bool started, too_big, no_memory;
	bool refused; /* whatever the body says: it is not kept */
};

struct server {
	struct loop *loop;
	struct loop_io *io;
	struct loop_timer *turn, *reaper;
	struct MHD_Daemon *mhd;
	struct connection *connections;
	bool freed; /* a connection ended: only its next run lets microhttpd listen again when it had stopped */
	struct route_table table;
	char *path;
	dev_t dev;
	ino_t ino;
	gid_t group;
	bool has_group;
	struct log_limit limit;
};

/* ---- who is asking ---- */

static bool in_group(int fd, gid_t primary, gid_t group)
{
	_cleanup_(free) gid_t *groups = NULL;
	socklen_t size = 0;

	if (primary == group)
		return true;
	/* The first call tells the size; the groups are those of the moment of connect() and do not change after. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
		return false;
	groups = malloc(size);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(gid_t); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static void connection_identify(struct connection *c)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	c->access = API_ACCESS_NONE;
	c->uid = (uid_t)-1;
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return;
	c->uid = cred.uid;
	if (cred.uid == 0)
		c->access = API_ACCESS_ALL;
	else if (c->server->has_group && in_group(c->fd, cred.gid, c->server->group))
		c->access = API_ACCESS_READ;
}

static void connection_add(struct server *s, struct MHD_Connection *handle, void **context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *c = calloc(1, sizeof(*c));
	size_t same_user = 0;

	*context = c;
	if (!c || !info) {
		if (info)
			shutdown(info->connect_fd, SHUT_RDWR);
		free(c);
		*context = NULL;
		return;
	}
	c->server = s;
	c->fd = info->connect_fd;
	c->waiting_since_ms = loop_now_ms(s->loop);
	connection_identify(c);
	for (struct connection *other = s->connections; other; other = other->next)
		same_user += other->uid == c->uid;
	c->next = s->connections;
	if (c->next)
		c->next->previous = c;
	else
		loop_timer_set(s->loop, s->reaper, c->waiting_since_ms + 1000);
	s->connections = c;
	if (c->access != API_ACCESS_ALL && same_user >= CONNECTIONS_PER_USER) {
		log_limited(&s->limit, LOG_LEVEL_WARNING, "api: user %u has %u connections; further ones are closed",
			    c->uid, CONNECTIONS_PER_USER);
		shutdown(c->fd, SHUT_RDWR);
	}
}

static void connection_remove(struct connection *c)
{
	struct server *s = c->server;

	if (c->next)
		c->next->previous = c->previous;
	if (c->previous)
		c->previous->next = c->next;
	else
		s->connections = c->next;
	s->freed = true;
	free(c);
}

static void on_connection(void *arg, struct MHD_Connection *handle, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		connection_add(arg, handle, context);
	} else if (*context) {
		connection_remove(*context);
		*context = NULL;
	}
}

/* ---- one request ---- */

static void *on_target(void *arg, const char *target, struct MHD_Connection *handle)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (x)
		x->target = strdup(target);
	return x;
}

static void on_completed(void *arg, struct MHD_Connection *handle, void **context, enum MHD_RequestTerminationCode code)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct connection *c = info ? info->socket_context : NULL;
	struct exchange *x = *context;

	if (c)
		c->waiting_since_ms = 0; /* between requests the idle time holds */
	*context = NULL;
	if (!x)
		return;
	free(x->target);
	free(x->body);
	free(x);
}

static void body_append(struct exchange *x, const char *data, size_t size)
{
	x->received += size;
	if (x->received > API_BODY_MAX) {
		x->too_big = true;
		free(TAKE_PTR(x->body));
		x->size = x->capacity = 0;
		return;
	}
	if (x->no_memory)
		return;
	if (x->capacity - x->size < size) {
		size_t capacity = x->capacity ? x->capacity * 2 : 16384;

		while (capacity - x->size < size)
			capacity *= 2;
		char *body = realloc(x->body, capacity);

		if (!body) {
			x->no_memory = true;
			return;
		}
		x->body = body;
		x->capacity = capacity;
	}
	memcpy(x->body + x->size, data, size);
	x->size += size;
}

static ssize_t stream_read(void *arg, uint64_t position, char *buffer, size_t size)
{
	struct api_reply *reply = arg;
	size_t used = 0;

	while (used == 0)
		if (!reply->next || !reply->next(reply->stream, buffer, size, &used)) {
			reply->next = NULL;
			return used ? (ssize_t)used : MHD_CONTENT_READER_END_OF_STREAM;
		}
	return (ssize_t)used;
}

static void stream_done(void *arg)
{
	api_reply_fini(arg);
	free(arg);
}

static enum MHD_Result reply_send(struct MHD_Connection *handle, struct api_reply *reply)
{
	const char *type = reply->content_type ? reply->content_type : "application/json";
	int status = reply->status;
	struct MHD_Response *response;
	enum MHD_Result r;

	if (reply->next) {
		struct api_reply *stream = malloc(sizeof(*stream));

		if (!stream) {
			api_reply_fini(reply);
			return MHD_NO;
		}
		*stream = *reply;
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, MEMORY / 2, stream_read, stream,
							     stream_done);
		if (!response)
			stream_done(stream);
	} else {
		response = MHD_create_response_from_buffer(reply->body_size, reply->body, MHD_RESPMEM_MUST_FREE);
		if (!response)
			free(reply->body);
	}
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	r = MHD_queue_response(handle, (unsigned)status, response);
	MHD_destroy_response(response);
	return r;
}

static bool permitted(const struct server *s, const struct connection *c, const char *method, const char *target,
		      struct api_reply *reply)
{
	const struct api_user user = {.access = c ? c->access : API_ACCESS_NONE, .uid = c ? (int)c->uid : -1};

	return route_permit(&s->table, &user, method, target, reply);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *handle, const char *url, const char *method,
				  const char *version, const char *data, size_t *size, void **context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct connection *c = info ? info->socket_context : NULL;
	struct api_reply reply = {.status = 200};
	struct exchange *x = *context;
	struct server *s = arg;

	if (!x || !x->target)
		return MHD_NO;
	if (!x->started) { /* headers are here */
		const char *expect = MHD_lookup_connection_value(handle, MHD_HEADER_KIND, "Expect");
		const char *length = MHD_lookup_connection_value(handle, MHD_HEADER_KIND, "Content-Length");
		uint64_t announced = length ? strtoull(length, NULL, 10) : 0;

		x->started = true;
		if (c && !c->waiting_since_ms)
			c->waiting_since_ms = loop_now_ms(s->loop);
		/* A client that waits for "100 Continue" is answered at once; others see the answer after their body is
		 * read, since closing on unread bytes may reset the connection under the reply. */
		if ((expect && announced > API_BODY_MAX) || announced > DISCARD_MAX)
			x->too_big = true;
		else if (permitted(s, c, method, x->target, &reply))
			return MHD_YES;
		if (reply.body && !expect) {
			x->refused = true;
			api_reply_fini(&reply);
			return MHD_YES;
		}
		if (reply.body)
			return reply_send(handle, &reply);
	}
	if (*size && !x->too_big && !x->refused) {
		body_append(x, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (*size) {
		x->received += *size;
		*size = 0;
		return x->received > DISCARD_MAX ? MHD_NO : MHD_YES;
	}

	if (c)
		c->waiting_since_ms = 0;
	if (!permitted(s, c, method, x->target, &reply))
		return reply_send(handle, &reply);
	if (x->too_big)
		api_reply_error(&reply, 413, "IST-4013", "split the configuration, or check that it is the right file",
				NULL, "the body is larger than %u MiB", API_BODY_MAX >> 20);
	else if (x->no_memory)
		api_reply_error(&reply, 500, "IST-5000", NULL, NULL, "out of memory");
	else
		route_run(&s->table, method, x->target, MHD_lookup_connection_value(handle, MHD_HEADER_KIND, "Accept"),
			  x->body ? x->body : "", x->size, &reply);
	return reply_send(handle, &reply);
}

/* ---- the loop ---- */

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Serves until nothing is ready or the turn is over; what is left goes on after everybody else's turn. */
static void serve(struct server *s)
{
	uint64_t end = clock_ms() + TURN_MS;
	MHD_UNSIGNED_LONG_LONG wait;
	bool more;

	do {
		s->freed = false;
		MHD_run(s->mhd);
		more = MHD_get_timeout(s->mhd, &wait) == MHD_YES;
		if (s->freed) {
			more = true;
			wait = 0;
		}
	} while (more && wait == 0 && clock_ms() < end);
	loop_timer_set(s->loop, s->turn, more ? loop_now_ms(s->loop) + (wait ? wait : 1) : 0);
}

static void on_ready(void *arg, uint32_t events)
{
	serve(arg);
}

static void on_turn(void *arg)
{
	serve(arg);
}

static void on_reap(void *arg)
{
	struct server *s = arg;
	uint64_t now = loop_now_ms(s->loop);

	for (struct connection *c = s->connections; c; c = c->next)
		if (c->waiting_since_ms && now - c->waiting_since_ms > REQUEST_MS)
			shutdown(c->fd, SHUT_RDWR);
	if (s->connections)
		loop_timer_set(s->loop, s->reaper, now + 1000);
}

/* microhttpd tells of peers that went away and the like: of no interest, and anybody can cause it. */
static void on_message(void *arg, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_message(void *arg, const char *format, va_list ap)
{
}

/* ---- the socket ---- */

/* Bound, listening, with its mode right before anybody can connect; -EADDRINUSE when another daemon answers there. */
static int socket_listen(struct server *s)
{
	_cleanup_(fd) int fd = -1;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct group *group = getgrnam(GROUP);
	struct stat st;
	mode_t mask;
	int r;

	if (strlen(s->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, s->path, strlen(s->path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno == ECONNREFUSED && unlink(s->path) < 0 && errno != ENOENT)
		return -errno;
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address));
	if (r < 0)
		r = -errno;
	umask(mask);
	if (r < 0)
		return r;
	if (group) {
		s->has_group = true;
		s->group = group->gr_gid;
		if (chown(s->path, (uid_t)-1, s->group) < 0)
			return -errno;
	}
	if (chmod(s->path, 0660) < 0 || stat(s->path, &st) < 0 || listen(fd, 1024) < 0)
		return -errno;
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return TAKE_FD(fd);
}

void server_close(struct server *s)
{
	struct stat st;

	if (!s)
		return;
	loop_io_remove(s->loop, s->io);
	if (s->mhd)
		MHD_stop_daemon(s->mhd);
	loop_timer_remove(s->loop, s->turn);
	loop_timer_remove(s->loop, s->reaper);
	/* Only our own: a successor may have put its socket there already. */
	if (s->path && s->ino && stat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	free(s->path);
	free(s);
}

DEFINE_CLEANUP(server, struct server *, server_close)

int server_open(struct loop *loop, const char *run_dir, const struct api_route *routes, size_t n_routes, void *arg,
		struct server **out)
{
	_cleanup_(server) struct server *s = calloc(1, sizeof(*s));
	_cleanup_(fd) int fd = -1;
	const union MHD_DaemonInfo *info;
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->table = (struct route_table){routes, n_routes, arg};
	if (asprintf(&s->path, "%s/" SOCKET_NAME, run_dir) < 0) {
		s->path = NULL;
		return -ENOMEM;
	}
	fd = socket_listen(s);
	if (fd < 0)
		return fd;
	r = loop_timer_add(loop, on_turn, s, &s->turn);
	if (r < 0)
		return r;
	r = loop_timer_add(loop, on_reap, s, &s->reaper);
	if (r < 0)
		return r;
	/* The logger comes first, or options that fail would still speak on standard error. */
	s->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, s,
				  MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
				  MHD_OPTION_LISTEN_SOCKET, fd,
				  MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
				  MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
				  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
				  MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
				  MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
				  MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
				  MHD_OPTION_END);
	if (!s->mhd)
		return -EIO;
	(void)TAKE_FD(fd); /* microhttpd's, closed by MHD_stop_daemon */
	info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info || info->epoll_fd < 0)
		return -EIO;
	r = loop_io_add(loop, info->epoll_fd, EPOLLIN, on_ready, s, &s->io);
	if (r < 0)
		return r;
	*out = TAKE_PTR(s);
	return 0;
}
