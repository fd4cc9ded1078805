/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/keyring.h"

#include "lib/cleanup.h"
#include "wg/secret.h"
#include "wg/state.h"

/* What is sent with from now on. */
static void use(struct peer *p, struct keypair *k)
{
	const struct device *d = p->device;

	p->current = k;
	if (d->ops->session_used)
		d->ops->session_used(d->arg, p, k);
}

static void end(struct peer *p, struct keypair *k)
{
	const struct device *d = p->device;

	if (d->ops->session_ended)
		d->ops->session_ended(d->arg, p, k);
	else
		keypair_free(k);
}

static void forget_keypair(struct peer *p, struct keypair **k)
{
	if (!*k)
		return;
	indices_remove(&p->device->index, (*k)->local);
	end(p, TAKE_PTR(*k));
}

void keyring_forget(struct peer *p)
{
	forget_keypair(p, &p->previous[0]);
	forget_keypair(p, &p->previous[1]);
	forget_keypair(p, &p->next);
	if (p->current) {
		struct keypair *k = p->current;

		use(p, NULL);
		forget_keypair(p, &k);
	}
}

/* No more to be sent with, but to be received with for a while. */
static void retire(struct peer *p, struct keypair **k)
{
	if (!*k)
		return;
	forget_keypair(p, &p->previous[1]);
	p->previous[1] = p->previous[0];
	p->previous[0] = TAKE_PTR(*k);
}

/* Ours was answered: the new session is used at once.  Theirs may have been asked for at the same moment. */
void keyring_put_initiated(struct peer *p, struct keypair *k)
{
	retire(p, &p->current);
	retire(p, &p->next);
	use(p, k);
}

/* Theirs was answered: not to be used before they have, as the answer may have been lost. */
void keyring_put_answered(struct peer *p, struct keypair *k)
{
	retire(p, &p->next);
	p->next = k;
}

/* They have. */
void keyring_next(struct peer *p)
{
	retire(p, &p->current);
	use(p, TAKE_PTR(p->next));
}

int keyring_derive(struct peer *p, struct noise *n, bool initiator, uint32_t local, uint32_t remote,
		   struct keypair **out)
{
	struct device *d = p->device;
	_secret_ struct secret_key forth;
	_secret_ struct secret_key back;
	enum packet_suite suite = (enum packet_suite)(noise_suite(n) - packet_suites);
	int r = noise_split(n, forth.bytes, back.bytes);

	if (r == 0)
		r = keypair_new(d->tools.aead, suite, forth.bytes, back.bytes, initiator, local, remote,
				d->clock.now_ms, out);
	if (r == 0 && d->ops->session_made) {
		r = d->ops->session_made(d->arg, p, *out);
		if (r != 0)
			keypair_free(*out);
	}
	if (r == 0)
		indices_get(&d->index, local)->keypair = *out;
	return r;
}
