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

#include "api/client.h"
#include "api/json.h"
#include "api/route.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/text.h"

#define SOCKET_NAME "isthmus.sock"
#define DISCARD_MAX (64u << 20) /* an oversized body is read and dropped so far, to let the client see the 413 */
#define BODIES_MAX (64u << 20)  /* of all requests at once, in memory */
#define MEMORY (64u << 10)        /* of one connection: headers, and pieces of a stream */
#define TURN_MS 3                 /* of the control thread at once */
#define BACKLOG 4096 /* who finds it full is told at once that nobody listens: connect(2) says EAGAIN */

struct exchange { /* one request and its answer */
	struct server *server;
	char *target;
	char *body;
	size_t size, capacity;
	uint64_t received;
	bool started, too_big, no_memory, no_room;
	bool refused; /* whatever the body says: it is not kept */
};

struct server {
	struct loop *loop;
	struct loop_io *io;
	struct loop_timer *turn;
	struct MHD_Daemon *mhd;
	struct clients clients;
	size_t bodies; /* bytes of them */
	struct route_table table;
	char *path;
	dev_t dev;
	ino_t ino;
	size_t body_max;
};

/* ---- connections ---- */

static void on_connection(void *arg, struct MHD_Connection *handle, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct server *s = arg;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
		*context = info ? client_new(&s->clients, handle, info->connect_fd) : NULL;
	} else if (*context) {
		client_free(*context);
		*context = NULL;
	}
}

static struct client *client_of(struct MHD_Connection *handle)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* ---- one request ---- */

static void *on_target(void *arg, const char *target, struct MHD_Connection *handle)
{
	struct client *c = client_of(handle);
	struct exchange *x = calloc(1, sizeof(*x));

	if (c)
		client_asks(c);
	if (x) {
		x->server = arg;
		x->target = strdup(target);
	}
	return x;
}

static void body_drop(struct exchange *x)
{
	x->server->bodies -= x->capacity;
	free(TAKE_PTR(x->body));
	x->size = x->capacity = 0;
}

static void on_completed(void *arg, struct MHD_Connection *handle, void **context, enum MHD_RequestTerminationCode code)
{
	struct client *c = client_of(handle);
	struct exchange *x = *context;

	if (c)
		client_rests(c);
	*context = NULL;
	if (!x)
		return;
	body_drop(x);
	free(x->target);
	free(x);
}

/* Of what is too big, so much is read and thrown away. */
static uint64_t discard_max(const struct server *s)
{
	return s->body_max > DISCARD_MAX ? s->body_max : DISCARD_MAX;
}

static void body_append(struct exchange *x, const char *data, size_t size)
{
	struct server *s = x->server;
	size_t capacity = x->capacity ? x->capacity : 16384;
	char *body;

	if (x->received > s->body_max) {
		x->too_big = true;
		body_drop(x);
		return;
	}
	if (x->no_memory || x->no_room)
		return;
	while (capacity - x->size < size)
		capacity *= 2;
	if (capacity > x->capacity) {
		size_t others = s->bodies - x->capacity;

		x->no_room = others > 0 && others + capacity > BODIES_MAX;
		body = x->no_room ? NULL : realloc(x->body, capacity);
		if (!body) {
			x->no_memory = !x->no_room;
			body_drop(x);
			return;
		}
		s->bodies += capacity - x->capacity;
		x->body = body;
		x->capacity = capacity;
	}
	memcpy(x->body + x->size, data, size);
	x->size += size;
}

/* A reply that is made while it is sent. */
struct stream {
	struct api_reply reply;
	struct client *client;
};

static ssize_t stream_read(void *arg, uint64_t position, char *buffer, size_t size)
{
	struct stream *stream = arg;
	struct api_reply *reply = &stream->reply;
	uint64_t start_us = client_clock_us();
	size_t used = 0;

	/* To end it, it was resumed, and microhttpd asks before it looks at the socket. */
	if (client_is_ending(stream->client))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (!client_turn(stream->client))
		return 0;
	while (used == 0)
		if (!reply->next || !reply->next(reply->stream, buffer, size, &used)) {
			reply->next = NULL;
			break;
		}
	client_worked(stream->client, client_clock_us() - start_us);
	if (used)
		return (ssize_t)used;
	/* A list that ends for want of memory must not look as if it were whole. */
	return reply->stream_cut && reply->stream_cut(reply->stream) ? MHD_CONTENT_READER_END_WITH_ERROR
								      : MHD_CONTENT_READER_END_OF_STREAM;
}

static void stream_done(void *arg)
{
	struct stream *stream = arg;

	api_reply_fini(&stream->reply);
	free(stream);
}

static enum MHD_Result reply_send(struct MHD_Connection *handle, struct client *c, struct api_reply *reply)
{
	const char *type = reply->content_type ? reply->content_type : "application/json";
	int status = reply->status;
	struct MHD_Response *response;
	enum MHD_Result r;

	if (reply->next) {
		struct stream *stream = malloc(sizeof(*stream));

		if (!stream) {
			api_reply_fini(reply);
			return MHD_NO;
		}
		*stream = (struct stream){.reply = *reply, .client = c};
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
	client_is_answered(c);
	r = MHD_queue_response(handle, (unsigned)status, response);
	MHD_destroy_response(response);
	return r;
}

static bool permitted(const struct server *s, const struct client *c, const char *method, const char *target,
		      struct api_reply *reply)
{
	return route_permit(&s->table, client_user(c), method, target, reply);
}

static void too_big(const struct server *s, struct api_reply *reply)
{
	api_reply_error(reply, 413, "IST-4013", "split the configuration, or check that it is the right file", NULL,
			"the body is larger than %zu MiB", s->body_max >> 20);
}

/* The headers are here: is it worth reading the body? */
static enum MHD_Result start(struct server *s, struct exchange *x, struct client *c, struct MHD_Connection *handle,
			     const char *method)
{
	const char *expect = MHD_lookup_connection_value(handle, MHD_HEADER_KIND, "Expect");
	const char *length = MHD_lookup_connection_value(handle, MHD_HEADER_KIND, "Content-Length");
	uint64_t announced = length ? strtoull(length, NULL, 10) : 0;
	struct api_reply reply = {.status = 200};

	x->started = true;
	/* A client that waits for "100 Continue" is answered at once; others see the answer after their body is read,
	 * since closing on unread bytes may reset the connection under the reply. */
	if (!permitted(s, c, method, x->target, &reply)) {
		x->refused = true;
		if (expect || announced > discard_max(s))
			return reply_send(handle, c, &reply);
		api_reply_fini(&reply);
		return MHD_YES;
	}
	if ((expect && announced > s->body_max) || announced > discard_max(s)) {
		too_big(s, &reply);
		return reply_send(handle, c, &reply);
	}
	return MHD_YES;
}

static bool only_reads(const char *method)
{
	return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

static enum MHD_Result take_body(struct server *s, struct exchange *x, struct client *c, const char *method,
				 const char *data, size_t size)
{
	struct api_reply reply = {.status = 200};

	x->received += size;
	client_received(c, size);
	if (x->received > discard_max(s)) {
		if (!x->refused)
			too_big(s, &reply);
		else if (permitted(s, c, method, x->target, &reply))
			return MHD_NO;
		client_refuse(c, &reply);
		return MHD_NO;
	}
	/* What only reads does so without a body. */
	if (!x->too_big && !x->refused && !only_reads(method))
		body_append(x, data, size);
	else
		x->too_big = x->too_big || x->received > s->body_max;
	return MHD_YES;
}

static void run(struct server *s, const struct exchange *x, struct client *c, struct MHD_Connection *handle,
		const char *method, struct api_reply *reply)
{
	uint64_t start_us = client_clock_us();

	if (!permitted(s, c, method, x->target, reply))
		;
	else if (x->too_big)
		too_big(s, reply);
	else if (x->no_memory)
		api_reply_error(reply, 500, "IST-5000", NULL, NULL, "out of memory");
	else if (x->no_room)
		api_reply_error(reply, 503, "IST-5031", "try again", NULL,
				"other requests have %zu MiB of bodies in memory", s->bodies >> 20);
	else
		route_run(&s->table, method, x->target, MHD_lookup_connection_value(handle, MHD_HEADER_KIND, "Accept"),
			  x->body ? x->body : "", x->size, reply);
	client_worked(c, client_clock_us() - start_us);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *handle, const char *url, const char *method,
				  const char *version, const char *data, size_t *size, void **context)
{
	struct api_reply reply = {.status = 200};
	struct client *c = client_of(handle);
	struct exchange *x = *context;
	struct server *s = arg;
	enum MHD_Result r;

	if (!x || !x->target || !c || client_is_ending(c))
		return MHD_NO;
	if (!x->started)
		return start(s, x, c, handle, method);
	if (*size) {
		r = take_body(s, x, c, method, data, *size);
		*size = 0;
		return r;
	}
	client_is_answered(c);
	if (!client_turn(c))
		return MHD_YES;
	run(s, x, c, handle, method, &reply);
	return reply_send(handle, c, &reply);
}

/* ---- the loop ---- */

/* Serves until nothing is ready or the turn is over; what is left goes on after everybody else's turn. */
static void serve(struct server *s)
{
	uint64_t end_us = client_clock_us() + TURN_MS * 1000;
	MHD_UNSIGNED_LONG_LONG wait;
	bool more;

	do {
		s->clients.changed = false;
		MHD_run(s->mhd);
		more = MHD_get_timeout(s->mhd, &wait) == MHD_YES;
		if (s->clients.changed) {
			more = true;
			wait = 0;
		}
	} while (more && wait == 0 && client_clock_us() < end_us);
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
	const struct group *group = getgrnam(API_GROUP);
	struct stat st;
	mode_t mask;
	int r;

	if (strlen(s->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, s->path, strlen(s->path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Only a socket that nobody listens on is taken away; a file of that name is somebody's. */
	if (lstat(s->path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return -EEXIST;
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN)
			return -EADDRINUSE;
		if (errno == ECONNREFUSED && unlink(s->path) < 0 && errno != ENOENT)
			return -errno;
	}
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address));
	if (r < 0)
		r = -errno;
	umask(mask);
	if (r < 0)
		return r;
	if (group) {
		s->clients.has_group = true;
		s->clients.group = group->gr_gid;
		if (chown(s->path, (uid_t)-1, group->gr_gid) < 0)
			return -errno;
	}
	if (chmod(s->path, 0660) < 0 || stat(s->path, &st) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return TAKE_FD(fd);
}

bool server_group(const struct server *s, gid_t *out)
{
	if (s->clients.has_group)
		*out = s->clients.group;
	return s->clients.has_group;
}

void server_close(struct server *s)
{
	struct stat st;

	if (!s)
		return;
	loop_io_remove(s->loop, s->io);
	clients_resume(&s->clients);
	if (s->mhd)
		MHD_stop_daemon(s->mhd);
	loop_timer_remove(s->loop, s->turn);
	clients_fini(&s->clients);
	/* Only our own: a successor may have put its socket there already. */
	if (s->path && s->ino && stat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	free(s->path);
	free(s);
}

DEFINE_CLEANUP(server, struct server *, server_close)

void server_allow_body(struct server *s, size_t size)
{
	s->body_max = size > API_BODY_MAX ? size : API_BODY_MAX;
}

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
	s->body_max = API_BODY_MAX;
	s->table = (struct route_table){routes, n_routes, arg};
	if (text_format(&s->path, "%s/" SOCKET_NAME, run_dir) < 0) {
		s->path = NULL;
		return -ENOMEM;
	}
	r = clients_init(&s->clients, loop, on_turn, s);
	if (r < 0)
		return r;
	fd = socket_listen(s);
	if (fd < 0)
		return fd;
	r = loop_timer_add(loop, on_turn, s, &s->turn);
	if (r < 0)
		return r;
	/* The logger comes first, or options that fail would still speak on standard error. */
	s->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
				  MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
				  MHD_OPTION_LISTEN_SOCKET, fd,
				  MHD_OPTION_CONNECTION_LIMIT, (unsigned)CLIENTS_MAX,
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
