/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feature.h - what a device does by itself, as `ethtool -k` shows it: names like "tx-udp-segmentation".  Any thread.
 */
#ifndef ISTHMUS_KERN_FEATURE_H
#define ISTHMUS_KERN_FEATURE_H

#include <stdbool.h>

/* The device could, and somebody switched it off.  False also when that cannot be read. */
bool kern_feature_is_off(const char *device, const char *feature);
/* 0, also when the device never could; -errno */
int kern_feature_switch_off(const char *device, const char *feature);

#endif
