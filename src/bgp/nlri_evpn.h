/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nlri_evpn.h - EVPN NLRI: RFC 7432 7 (types 1 to 4), RFC 9136 3 (type 5).  Called by nlri.c.  Pure, any thread.
 *
 *	+------+--------+---------------------------------------------------------------------+
 *	| type | length | value of `length` bytes                                             |
 *	+------+--------+---------------------------------------------------------------------+
 *	1 AD      RD 8  ESI 10  tag 4  label 3                                                25
 *	2 MAC/IP  RD 8  ESI 10  tag 4  48  MAC 6  0|32|128  IP 0|4|16  label 3  [label 3]     33, 36, 37, 40, 49, 52
 *	3 IMET    RD 8  tag 4  32|128  IP 4|16                                                17, 29
 *	4 ES      RD 8  ESI 10  32|128  IP 4|16                                               23, 35
 *	5 prefix  RD 8  ESI 10  tag 4  0..32|0..128  IP 4|16  gateway 4|16  label 3           34, 58
 */
#ifndef ISTHMUS_BGP_NLRI_EVPN_H
#define ISTHMUS_BGP_NLRI_EVPN_H

#include "bgp/nlri.h"

/* As nlri_next, after the path identifier; *out is zeroed but for key.family and key.path_id. */
enum nlri_verdict evpn_next(struct reader *block, bool withdraw, struct route_nlri *out, const char **why);

void evpn_encode(struct writer *w, const struct route_nlri *n);
size_t evpn_size(const struct route_nlri *n);

#endif
