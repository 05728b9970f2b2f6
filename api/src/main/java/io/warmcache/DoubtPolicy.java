/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache;

/** What happens to a file's preserved frames when its store cannot be shown to be unchanged. */
public enum DoubtPolicy {
    /** All frames of the file are dropped. The default. */
    DROP,
    /** Every frame of the file is read again from the store and compared, once, while the file is mapped. */
    VERIFY
}
