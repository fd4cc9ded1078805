/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secure_last.c - where plain peers were last, in a file of the state directory, so that a daemon that restarts goes to them
 * instead of waiting until they have noticed: WireGuard's own patience is 15 s.  A line each: key, address, port.
 *
 * It is a hint and no more.  What cannot be read or written is done without; whoever is at the address now does not have the
 * peer's key and learns nothing but that somebody asked.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/key.h"
#include "agent/secure_state.h"
#include "agent/snapshot.h"
#include "lib/base64.h"
#include "lib/cleanup.h"
#include "lib/text.h"

#define FILE_MAX ((size_t)4 << 20)
#define WRITE_MS 2000 /* roaming is no reason to wear a disk out */

struct last {
	struct config_key key;
	struct endpoint endpoint;
};

static void note(struct secure *s, const struct config_key *key, const struct endpoint *e)
{
	struct last *l = hmap_get(&s->last, key);

	if (l) {
		l->endpoint = *e;
		return;
	}
	l = malloc(sizeof(*l));
	if (!l)
		return;
	*l = (struct last){*key, *e};
	if (hmap_add(&s->last, l) < 0)
		free(l);
}

/* False: no such line. */
static bool parse(char *line, struct config_key *key, struct endpoint *out)
{
	char *address = strchr(line, ' '), *port = address ? strchr(address + 1, ' ') : NULL, *end;
	unsigned long number;

	if (!port)
		return false;
	*address++ = *port++ = '\0';
	number = strtoul(port, &end, 10);
	out->port = (uint16_t)number;
	return base64_decode(line, strlen(line), key->bytes, sizeof(key->bytes)) == 0 && addr_parse(address, &out->addr) == 0 &&
	       *port && !*end && number >= 1 && number <= UINT16_MAX;
}

void secure_last_read(struct secure *s)
{
	_cleanup_(free) char *text = NULL;
	char path[PATH_MAX], *rest;
	struct config_key key;
	struct endpoint e;
	size_t size;
	int n = snprintf(path, sizeof(path), "%s/" SECURE_LAST_FILE, s->agent->options.state_dir);

	s->last = HMAP_INIT(struct last, key);
	if (n < 0 || n >= PATH_MAX || file_read(path, FILE_MAX, &text, &size) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (parse(line, &key, &e))
			note(s, &key, &e);
}

struct endpoint secure_last_of(const struct secure *s, const struct config_key *key)
{
	const struct last *l = hmap_get(&s->last, key);

	return l ? l->endpoint : (struct endpoint){.port = 0};
}

void secure_last_note(struct secure *s, const struct config_key *key, const struct endpoint *e)
{
	struct endpoint known = secure_last_of(s, key);

	if (e->port == 0 || endpoint_equal(&known, e))
		return;
	note(s, key, e);
	s->last_is_new = true;
}

static void write_file(struct secure *s)
{
	char key[KEY_TEXT_SIZE], address[ADDR_TEXT_SIZE];
	_cleanup_(free) char *text = NULL;
	const struct last *l;
	size_t size = 0;
	FILE *f = text_stream(&text, &size);

	if (!f)
		return;
	for (size_t i = 0; (l = hmap_next(&s->last, &i));)
		if (secure_plain_holds(s, &l->key))
			fprintf(f, "%s %s %u\n", key_format(&l->key, key), addr_format(&l->endpoint.addr, address), l->endpoint.port);
	if (fclose(f) == 0)
		file_replace(s->agent->options.state_dir, SECURE_LAST_FILE, text, size);
}

void secure_last_write(struct secure *s, bool now)
{
	uint64_t now_ms = loop_now_ms(s->agent->loop);

	if (!s->last_is_new || (!now && now_ms < s->last_ms + WRITE_MS && s->last_ms))
		return;
	s->last_is_new = false;
	s->last_ms = now_ms;
	write_file(s);
}

void secure_last_fini(struct secure *s)
{
	struct last *l;

	for (size_t i = 0; (l = hmap_next(&s->last, &i));)
		free(l);
	hmap_fini(&s->last);
}
