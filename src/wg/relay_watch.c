/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/relay.h"

#define RECENT 16 /* answers to so many of the last questions count */

void relay_watch_on_sent(struct relay_watch *w, uint64_t now_ms)
{
	if (w->next_ms == 0)
		w->next_ms = now_ms + RELAY_QUIET_MS;
}

void relay_watch_on_heard(struct relay_watch *w)
{
	w->next_ms = 0;
	w->asked = 0;
}

void relay_watch_on_moved(struct relay_watch *w, bool relayed, uint64_t now_ms)
{
	relay_watch_on_heard(w);
	if (relayed)
		w->direct_ms = now_ms + RELAY_FIRST_MS;
}

enum relay_next relay_watch_next(struct relay_watch *w, bool relayed, uint64_t now_ms)
{
	if (w->next_ms != 0 && now_ms >= w->next_ms) {
		w->next_ms = now_ms + RELAY_QUIET_MS;
		w->token++;
		if (w->asked < RELAY_PATIENCE) {
			w->asked++;
			return RELAY_ASK_HERE;
		}
		w->asked = RELAY_PATIENCE + 1;
		return RELAY_ASK_ALL;
	}
	if (!relayed || now_ms < w->direct_ms)
		return RELAY_NOTHING;
	w->direct_ms = now_ms + RELAY_DIRECT_MS;
	w->token++;
	return RELAY_ASK_DIRECT;
}

bool relay_watch_on_answer(struct relay_watch *w, uint32_t token, const struct endpoint *from, const struct endpoint *here)
{
	bool looking = w->asked > RELAY_PATIENCE;

	if (w->token - token >= RECENT)
		return false;
	if (endpoint_equal(from, here)) {
		relay_watch_on_heard(w);
		return false;
	}
	/* Whoever goes through a relay goes directly where that leads there and back. */
	return looking || (here->relay != 0 && from->relay == 0);
}
