/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/**
 * How a store is mapped. A second mapping of the same store shares the first one's frames and options.
 *
 * @param policy when changes reach the store
 * @param ioMode how a plain file is read and written; ignored for other stores
 * @param doubt what to do with preserved frames when the store cannot be shown unchanged
 * @param create whether a missing plain file is created
 * @param readOnly whether a plain file is opened for reading alone
 */
public record MapOptions(WritePolicy policy, IoMode ioMode, DoubtPolicy doubt, boolean create, boolean readOnly) {
    /** Write-through, automatic I/O mode, frames in doubt dropped, a missing file created. */
    public static final MapOptions DEFAULT =
            new MapOptions(WritePolicy.WRITE_THROUGH, IoMode.AUTO, DoubtPolicy.DROP, true, false);

    public MapOptions withPolicy(WritePolicy value) {
        return new MapOptions(value, ioMode, doubt, create, readOnly);
    }

    public MapOptions withIoMode(IoMode value) {
        return new MapOptions(policy, value, doubt, create, readOnly);
    }

    public MapOptions withDoubt(DoubtPolicy value) {
        return new MapOptions(policy, ioMode, value, create, readOnly);
    }

    public MapOptions withCreate(boolean value) {
        return new MapOptions(policy, ioMode, doubt, value, readOnly);
    }

    public MapOptions withReadOnly(boolean value) {
        return new MapOptions(policy, ioMode, doubt, create, value);
    }
}
