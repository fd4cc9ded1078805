/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh.h - the ROUTE-REFRESH message, RFC 2918 3.  Pure, any thread.
 */
#ifndef ISTHMUS_BGP_REFRESH_H
#define ISTHMUS_BGP_REFRESH_H

#include "bgp/notification.h"
#include "lib/wire.h"
#include "model/route.h"

/*
 * 0; -ENOENT: a family that we do not speak or a subtype of RFC 7313, to be ignored; -EPROTO and *error: a wrong
 * length.
 */
int refresh_decode(struct reader body, enum route_family *out, struct notification *error);

void refresh_encode(struct writer *w, enum route_family f);

#endif
