/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pieces.h"

#include <stdint.h>
#include <string.h>

#include "agent/view.h"

static void begin(struct pieces *p)
{
	if (!p->begun && !p->lines) {
		view_begin(&p->json, p->kind);
		json_key(&p->json, "items");
		json_array_open(&p->json);
	}
	p->begun = true;
}

static void finish(struct pieces *p)
{
	if (p->lines)
		return;
	json_array_close(&p->json);
	json_object_close(&p->json);
}

static void write_piece(struct pieces *p, size_t size)
{
	begin(p);
	p->write(p, size);
	if (p->ended)
		finish(p);
	if (p->ended && !p->lines)
		json_newline(&p->json);
	else if (!p->ended && p->json.size == 0)
		json_space(&p->json);
}

void pieces_collect(struct pieces *p)
{
	begin(p);
	while (!p->ended)
		p->write(p, SIZE_MAX);
	finish(p);
}

static bool next(void *stream, char *buffer, size_t size, size_t *used)
{
	struct pieces *p = stream;

	if (p->drained == p->json.size) {
		if (p->ended)
			return false;
		p->json.size = p->drained = 0;
		write_piece(p, size);
		if (p->json.failed)
			return false;
	}
	*used = p->json.size - p->drained < size ? p->json.size - p->drained : size;
	if (*used)
		memcpy(buffer, p->json.data + p->drained, *used);
	p->drained += *used;
	return true;
}

static bool is_cut(const void *stream)
{
	return ((const struct pieces *)stream)->json.failed;
}

void pieces_reply(struct api_reply *reply, struct pieces *p, void (*free_fn)(void *stream))
{
	if (p->lines)
		reply->content_type = "application/jsonl";
	reply->next = next;
	reply->stream_cut = is_cut;
	reply->stream_free = free_fn;
	reply->stream = p;
}
