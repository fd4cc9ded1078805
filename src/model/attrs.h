/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attrs.h - the table of sets of path attributes: equal sets are one object, so comparing two is comparing pointers.
 *
 * A million routes have some ten thousand sets.  attrs_new, then attrs_intern for each set that arrives or is
 * originated; each holder of a pointer owns one reference: attrs_ref for one more, attrs_unref to give one back; the
 * last one frees the set. attrs_free at the end; no set may be left then.  One thread.  No set is freed while someone
 * holds it, whatever happens to the peer that it came from.
 */
#ifndef ISTHMUS_ATTRS_H
#define ISTHMUS_ATTRS_H

#include "lib/cleanup.h"
#include "model/route.h"

struct attrs;

int attrs_new(struct attrs **out);
void attrs_free(struct attrs *t); /* accepts NULL */

/*
 * The one set with this content; the caller owns a reference of it.  Finds what route_attrs calls "found", sorts the
 * communities and removes repeated ones.  `candidate` and its arrays are only read.  0 or -ENOMEM.
 */
int attrs_intern(struct attrs *t, const struct route_attrs *candidate, const struct route_attrs **out);

/* What somebody's sets take: of those that were new when they were interned for it, and are there still, whoever holds them. */
struct attrs_account {
	size_t size; /* bytes */
	size_t references; /* of its owner, and one of each set */
};

int attrs_account_new(struct attrs_account **out); /* 0 or -ENOMEM */
void attrs_account_unref(struct attrs_account *account); /* accepts NULL */
/* As attrs_intern; a new set is charged to the account.  NULL: to nobody. */
int attrs_intern_for(struct attrs *t, const struct route_attrs *candidate, struct attrs_account *account,
		     const struct route_attrs **out);

const struct route_attrs *attrs_ref(const struct route_attrs *a);
void attrs_unref(struct attrs *t, const struct route_attrs *a); /* accepts NULL */

void attrs_trim(struct attrs *t); /* many sets have gone: gives back what the table took for them */

size_t attrs_length(const struct attrs *t); /* sets */
size_t attrs_size(const struct attrs *t);   /* bytes of them and of the table */

DEFINE_CLEANUP(attrs, struct attrs *, attrs_free)

#endif
