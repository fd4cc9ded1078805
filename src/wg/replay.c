/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/replay.h"

#include <string.h>

#define WORDS (REPLAY_BITS / 64)

static void move_on(struct replay *r, uint64_t counter)
{
	uint64_t from = r->next > 0 ? (r->next - 1) / 64 : 0, to = counter / 64;

	if (to - from >= WORDS)
		memset(r->words, 0, sizeof(r->words));
	else
		for (uint64_t i = from + 1; i <= to; i++)
			r->words[i % WORDS] = 0;
	r->next = counter + 1;
}

bool replay_take(struct replay *r, uint64_t counter)
{
	uint64_t *word = &r->words[counter / 64 % WORDS], bit = 1ULL << counter % 64;

	if (counter == UINT64_MAX) /* has no next; far beyond what a session may send */
		return false;
	if (counter >= r->next)
		move_on(r, counter);
	else if (r->next - 1 - counter > REPLAY_WINDOW)
		return false;
	if (*word & bit)
		return false;
	*word |= bit;
	return true;
}
