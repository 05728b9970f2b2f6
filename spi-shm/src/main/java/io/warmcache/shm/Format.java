/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.shm;

/**
 * What a version of this library can take over of a segment, after the example of ext4. Magic, version, checksum and
 * the algorithm of the checksum are the same in every format, so that each can tell any other from damage.
 *
 * <ul>
 *   <li>A <b>version</b> other than those it reads: cold, with the version as the reason. Raised where words that are
 *       there change their meaning.
 *   <li>An unknown <b>incompatible feature</b>: cold, with the feature's bit as the reason.
 *   <li>An unknown <b>compatible feature</b>: warm. The bit is taken away, since what belongs to it is not kept up any
 *       more; who knows the feature starts it anew.
 * </ul>
 *
 * @param version the version it writes
 * @param oldest the oldest version it reads; taken over warm, and of {@code version} from then on
 * @param compatible features it keeps up
 * @param incompatible features it understands
 */
record Format(long version, long oldest, long compatible, long incompatible) {
    static final long VERSION = 1;

    /** Compatible: the replacement policy's words are kept up. */
    static final long POLICY_WORDS = 1;

    static final Format CURRENT = new Format(VERSION, 1, POLICY_WORDS, 0);

    boolean reads(long otherVersion) {
        return otherVersion >= oldest && otherVersion <= version;
    }

    /** For a message. */
    String range() {
        return oldest == version ? String.valueOf(version) : oldest + " to " + version;
    }
}
