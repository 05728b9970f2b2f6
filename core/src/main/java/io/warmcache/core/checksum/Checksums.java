/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.core.checksum;

import io.warmcache.spi.BlockChecksum;
import java.util.List;
import java.util.Optional;

/** The block checksums a segment can be formatted with. */
public final class Checksums {
    /** Every algorithm, the default first. */
    public static final List<BlockChecksum> ALL = List.of(new Xxh64(), new Crc32c());

    private Checksums() {}

    /** The algorithm of a name given in a configuration, or empty if there is none. */
    public static Optional<BlockChecksum> byName(String algorithm) {
        return ALL.stream().filter(c -> c.algorithm().equals(algorithm)).findFirst();
    }

    /** The algorithm of a number found in a header, or empty if there is none: any number may be found there. */
    public static Optional<BlockChecksum> byId(int algorithmId) {
        return ALL.stream().filter(c -> c.algorithmId() == algorithmId).findFirst();
    }
}
