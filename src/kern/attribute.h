/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attribute.h - the attributes of a netlink message or of a nest, by their type; private to kern/.
 *
 * Pure: what is kept points into the message.  An attribute that comes twice counts as the last.
 */
#ifndef ISTHMUS_KERN_ATTRIBUTE_H
#define ISTHMUS_KERN_ATTRIBUTE_H

#include <libmnl/libmnl.h>

#define ATTRIBUTES_MAX 64 /* types above it are of no interest here */

struct attributes {
	const struct nlattr *of[ATTRIBUTES_MAX];
};

/* For mnl_attr_parse and its relatives; `data` is a struct attributes of zeroes. */
static inline int attributes_collect(const struct nlattr *attribute, void *data)
{
	struct attributes *a = data;
	uint16_t type = mnl_attr_get_type(attribute);

	if (type < ATTRIBUTES_MAX)
		a->of[type] = attribute;
	return MNL_CB_OK;
}

/* Those inside `nest`; none when it is NULL. */
static inline struct attributes attributes_of(const struct nlattr *nest)
{
	struct attributes a = {0};

	if (nest)
		mnl_attr_parse_payload(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), attributes_collect, &a);
	return a;
}

#endif
