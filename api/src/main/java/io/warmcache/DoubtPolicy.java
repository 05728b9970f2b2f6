/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** What happens to a file's preserved frames when its store cannot be shown to be unchanged. */
public enum DoubtPolicy {
    /** All frames of the file are dropped. The default. */
    DROP,
    /** Every frame of the file is read again from the store and compared, once, while the file is mapped. */
    VERIFY,
    /**
     * As {@link #VERIFY}, and whatever the store's version says: also a change that left no trace in it is found. A
     * restart reads then what it would read cold, and still serves nothing that was not written.
     */
    ALWAYS_VERIFY
}
